"""Equal rows merged: the same regression on fewer rows, with a kernel that is not singular."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Groups:
    """Rows that are equal to each other.

    Attributes
    ----------
    first : ndarray, (n_groups,)
        A row of each group, in the order of first appearance.
    of_row : ndarray, (n,)
        The group of each row.
    """

    first: np.ndarray
    of_row: np.ndarray

    @property
    def trivial(self) -> bool:
        """Whether no two rows are equal."""
        return len(self.first) == len(self.of_row)

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sums of values (n,) over groups."""
        return np.bincount(self.of_row, weights=values, minlength=len(self.first))

    def mean(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Weighted means (n_groups, k) of targets (n, k)."""
        sums = np.stack([self.total(weight * column) for column in y.T], axis=1)
        return sums / self.total(weight)[:, np.newaxis]


def ungrouped(n: int) -> Groups:
    """Every row for itself."""
    return Groups(np.arange(n), np.arange(n))


def equal_rows(X: np.ndarray) -> Groups:
    """Groups of rows of X that are equal in every entry."""
    # -0.0 equals 0.0 but has other bytes
    _, first, inverse = np.unique(X + 0.0, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return Groups(first[order], rank[inverse.reshape(-1)])
