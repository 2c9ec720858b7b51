"""The noise of targets: one variance or one per row, and equal rows merged by it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inference import Groups, MergedTargets, TargetScale, merge_targets
from ._base import check_nonnegative
from ._rows import warn_of_conflicts

# Noise of "auto", in units of the weighted mean diagonal of the kernel (for normalized targets).
AUTO_NOISE = 1e-4


def is_auto(noise: Any) -> bool:
    """Whether the noise follows the kernel."""
    return isinstance(noise, str) and noise == "auto"


def check_noise(noise: Any, n: int) -> np.ndarray | None:
    """Noise per row in the units of y, or None for "auto"."""
    if is_auto(noise):
        return None
    if np.ndim(noise) == 0:
        return np.full(n, check_nonnegative(noise, "noise"))
    found = np.array(noise, dtype=np.float64)
    if found.shape != (n,) or not (np.isfinite(found).all() and (found >= 0).all()):
        raise ValueError(
            f"noise must be 'auto', a number >= 0 or {n} of them, one per row, got an array of "
            f"shape {found.shape}"
        )
    return found


def normalized_noise(
    noise: np.ndarray | None, n: int, mean_variance: float, scale: TargetScale
) -> np.ndarray:
    """Noise (n, n_targets) of normalized targets; "auto" is relative to the kernel."""
    shape = (n, len(scale.std))
    if noise is None:  # rows of zeros without biases have no variance
        return np.full(shape, AUTO_NOISE * mean_variance if mean_variance > 0 else AUTO_NOISE)
    return np.broadcast_to(noise[:, np.newaxis] / scale.std / scale.std, shape)


def in_units_of_y(noise: np.ndarray, scale: TargetScale) -> np.ndarray:
    """Noise of normalized targets in units of y squared, inf or 0 where that is out of range."""
    with np.errstate(over="ignore", under="ignore"):
        found: np.ndarray = noise * scale.std * scale.std
    return found


def merge_outputs(
    y: np.ndarray, noise: np.ndarray, weight: np.ndarray, groups: Groups
) -> list[MergedTargets]:
    """Targets (n, n_targets) with noise / weight: outputs that share the noise together.

    Rows without noise are merged by their weights, with a warning where their targets differ.
    """
    variance = noise / weight[:, np.newaxis]
    shared = (noise == noise[:, :1]).all()
    parts = [slice(None)] if shared else [slice(k, k + 1) for k in range(y.shape[1])]
    found = [merge_targets(y[:, k], variance[:, k][:, 0], groups, weight) for k in parts]
    exact = variance[:, 0] == 0
    means = np.concatenate([part.mean for part in found], axis=1)
    warn_of_conflicts(y[exact], means[groups.of_row][exact])
    return found
