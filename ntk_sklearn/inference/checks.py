"""Checks of kernel matrices, targets and weights that users pass in."""

from __future__ import annotations

import numpy as np


def as_gram(K: np.ndarray, name: str, size: int | None = None) -> np.ndarray:
    """A symmetric matrix in float64.

    Raises
    ------
    ValueError
        If it is not square and symmetric (up to 1e-5 of its largest entry), or of another size.
    """
    K = np.asarray(K, dtype=np.float64)
    if K.ndim != 2 or K.shape[0] != K.shape[1] or K.size == 0:
        raise ValueError(f"{name} must be a square matrix, got shape {K.shape}")
    if size not in (None, len(K)):
        raise ValueError(f"{name} must have shape {(size, size)}, got {K.shape}")
    if not np.abs(K - K.T).max() <= 1e-5 * np.abs(K).max():
        raise ValueError(f"{name} must be finite and symmetric")
    symmetric: np.ndarray = 0.5 * (K + K.T)
    return symmetric


def check_positive(values: np.ndarray, matrix: np.ndarray, name: str) -> None:
    """Refuse negative eigenvalues of a symmetric matrix, given those that are not cut off as 0.

    Raises
    ------
    ValueError
        If they exceed the trace by more than 1e-5 of it, as rounding of single precision does not.
    """
    above = float(values.sum()) - float(np.trace(matrix))
    if above > 1e-5 * float(values.sum()) or (not values.any() and above > 0):
        raise ValueError(
            f"{name} must be positive semidefinite: its negative eigenvalues sum to {-above:.3g}, "
            f"the positive ones to {float(values.sum()):.3g}"
        )


def as_columns(targets: np.ndarray, n: int, name: str = "targets") -> np.ndarray:
    """Targets (n, k) in float64, of one row for every row of the kernel.

    Raises
    ------
    ValueError
        If they have another number of rows, or are not finite.
    """
    y = np.asarray(targets, dtype=np.float64)
    columns = y[:, np.newaxis] if y.ndim == 1 else y
    if columns.ndim != 2 or len(columns) != n or not np.isfinite(columns).all():
        raise ValueError(f"{name} must be finite, (n,) or (n, k) for n = {n}, got {y.shape}")
    return columns


def as_weight(weight: np.ndarray, n: int) -> np.ndarray:
    """Weights (n,) in float64.

    Raises
    ------
    ValueError
        If they are not finite and positive, or of another number.
    """
    found = np.asarray(weight, dtype=np.float64)
    if found.shape != (n,) or not (found > 0).all() or not np.isfinite(found).all():
        raise ValueError(f"weight must be ({n},), finite and positive")
    return found
