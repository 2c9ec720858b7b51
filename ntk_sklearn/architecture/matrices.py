"""Matrices as immutable values: what layers hold that map positions."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Entries up to which a matrix is printed.
_PRINTED = 16


@dataclass(frozen=True, repr=False)
class Matrix:
    """A matrix of float64, compared and hashed by its entries.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    data : bytes
        The entries, row by row; Python keeps the hash of bytes, so that large ones stay cheap.
    """

    shape: tuple[int, int]
    data: bytes

    @property
    def rows(self) -> list[list[float]]:
        """The entries."""
        (n, m), entries = self.shape, array("d", self.data).tolist()
        return [entries[i * m : (i + 1) * m] for i in range(n)]

    def __repr__(self) -> str:
        n, m = self.shape
        return repr(self.rows) if n * m <= _PRINTED else f"<{n} x {m} matrix>"


def as_matrix(value: Any, name: str) -> Matrix:
    """A matrix of a nested sequence, an array, or a sparse array of SciPy.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, for anything but finite numbers in rows of one length.
    """
    if isinstance(value, Matrix):
        return value
    value = value.toarray() if hasattr(value, "toarray") else value
    rows = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(rows, Sequence) or not all(
        isinstance(row, Sequence) and not isinstance(row, str) for row in rows
    ):
        raise TypeError(f"{name} must be a matrix (rows of numbers), got {value!r}")
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(f"{name} must have rows of one length >= 1, got lengths {sorted(lengths)}")
    try:
        # + 0.0: a negative zero is the same number
        entries = array("d", [float(entry) + 0.0 for row in rows for entry in row])
    except (TypeError, ValueError):
        raise TypeError(f"{name} must hold numbers") from None
    if not all(map(math.isfinite, entries)):
        raise ValueError(f"{name} must be finite")
    return Matrix((len(rows), lengths.pop()), entries.tobytes())
