"""Splits into training rows and rows left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.model_selection import check_cv

Split = tuple[np.ndarray, np.ndarray]


def splits_of(
    cv: Any, rows: np.ndarray, y: np.ndarray, used: np.ndarray, classifier: bool
) -> list[Split]:
    """Splits of the rows as given, in numbers of those that are `used`.

    Parameters
    ----------
    cv : int, splitter, iterable or None
        As in scikit-learn; None is five folds.
    rows, y : ndarray
        All rows.
    used : ndarray of bool, (n,)
        Rows of positive weight; the others are dropped from both parts.

    Raises
    ------
    ValueError
        If nothing is left of a part.
    """
    number = np.cumsum(used) - 1
    every = np.arange(len(used))

    def kept(part: Any) -> np.ndarray:
        chosen = every[part]
        return number[chosen[used[chosen]]]

    splitter = check_cv(cv, y, classifier=classifier)
    found = [(kept(train), kept(test)) for train, test in splitter.split(rows, y)]
    if not found or any(len(part) == 0 for split in found for part in split):
        raise ValueError("every split needs rows of positive weight to train on and to leave out")
    return found
