"""What is computed for spectra: eigenvalues, targets in their modes, slopes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..solvers import eigendecompose
from ._arrays import as_numbers


def even_slope(
    values: np.ndarray, offset: float, degrees: tuple[float, float]
) -> tuple[float, float]:
    """Slope and intercept of log values against log(k + offset), over even degrees k."""
    k = np.arange(len(values))
    used = (k % 2 == 0) & (k >= max(degrees[0], 1)) & (k <= degrees[1])
    if used.sum() < 2 or not (values[used] > 0).all():
        raise ValueError(
            f"fit={degrees} needs two even degrees with positive eigenvalues at least, among those "
            f"from 1 to {len(values) - 1}"
        )
    slope, intercept = np.polyfit(np.log(k[used] + offset), np.log(values[used]), 1)
    return float(slope), float(intercept)


def decomposed(K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, ascending, and eigenvectors of a symmetric matrix."""
    system = eigendecompose(K)
    return system.values, system.vectors


def numeric_targets(y: Any, n: int) -> np.ndarray | None:
    """Targets (n, n_targets), or None where there are none."""
    if y is None:
        return None
    ndim = 1 if np.ndim(y) == 1 else 2
    targets = as_numbers(y, "y", ndim)
    if len(targets) != n:
        raise ValueError(f"y has {len(targets)} rows, the kernel matrix {n}")
    return targets.reshape(n, -1)
