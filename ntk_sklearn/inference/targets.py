"""Targets centred and scaled for regression, and one-hot for classification."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TargetScale:
    """Mean and standard deviation of each output, weighted; 0 and 1 where not normalized.

    Outputs that are `constant` up to rounding have the standard deviation 1.
    """

    mean: np.ndarray
    std: np.ndarray
    constant: np.ndarray

    def normalized(self, y: np.ndarray) -> np.ndarray:
        """Targets (n, k) with mean 0 and standard deviation 1; constant ones are exactly 0."""
        return np.where(self.constant, 0.0, (y - self.mean) / self.std)

    def scaled(self, f: np.ndarray) -> np.ndarray:
        """Outputs (n, k) in the units of normalized targets."""
        return (f - self.mean) / self.std

    def restored(self, f: np.ndarray) -> np.ndarray:
        """Predictions (n, k) in the units of y."""
        return f * self.std + self.mean


def target_scale(
    y: np.ndarray, weight: np.ndarray, normalize: bool, common: bool = False
) -> TargetScale:
    """The scale of targets (n, k); constant outputs keep their scale.

    With `common` all outputs have one standard deviation, the root of their mean variance.
    """
    k = y.shape[1]
    if not normalize:
        return TargetScale(np.zeros(k), np.ones(k), np.zeros(k, dtype=bool))
    mean = np.average(y, axis=0, weights=weight)
    largest = np.abs(y - mean).max(axis=0)
    size = np.where(largest > 0, largest, 1.0)  # squares of tiny targets would underflow
    std = size * np.sqrt(np.average(((y - mean) / size) ** 2, axis=0, weights=weight))
    constant = std <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    if common and not constant.all():
        widest = std.max()
        std = np.full(k, widest * np.sqrt(np.mean((std / widest) ** 2)))
        return TargetScale(mean, std, constant)
    return TargetScale(mean, np.where(constant, 1.0, std), constant)


def centred_one_hot(codes: np.ndarray, n_classes: int, n_columns: int = 1) -> np.ndarray:
    """+1 and -1 in one column for two classes, else one-hot minus 1 / n_classes.

    With `n_columns` = 2 also for two classes.
    """
    if n_classes == 2 and n_columns == 1:
        return np.where(codes == 1, 1.0, -1.0)[:, np.newaxis]
    return np.eye(n_classes)[codes] - 1.0 / n_classes
