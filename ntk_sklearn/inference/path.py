"""The whole path of training: dual coefficients and losses at any time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .curriculum import ModeCurriculum
from .losses import LossGradient, train_on_loss
from .schedule import Schedule
from .training import Learned, TrainingModes


@dataclass(frozen=True)
class TrainingPath:
    """Training one network from given initial outputs; nothing is decomposed for another time.

    Attributes
    ----------
    modes : TrainingModes
        Of the training kernel and the weights.
    schedule : Schedule
    ridge : float
        In units of the kernel.
    targets, initial : ndarray, (n, k)
        y and f_0(X).
    gradient : callable or None
        Of a loss without closed form, whose path is integrated; None is squared loss.
    curriculum : ModeCurriculum or None
        Stages that show more and more modes of the targets, on squared loss.
    """

    modes: TrainingModes
    schedule: Schedule
    ridge: float
    targets: np.ndarray
    initial: np.ndarray
    gradient: LossGradient | None = None
    curriculum: ModeCurriculum | None = None

    def learned(self, t: float) -> Learned:
        """The fractions that are learned of the modes at t, on squared loss."""
        if self.curriculum is None:
            return self.schedule.learned(t)
        return self.curriculum.learned(self.modes.system.values, self.schedule, t)

    def coefficients(self, times: Sequence[float]) -> np.ndarray:
        """c_t (n_times, n, k) with f_t(x) = f_0(x) + Theta(x, X) c_t."""
        if self.gradient is not None:
            return self._integrated(times)
        residual = self.targets - self.initial
        learned = [self.learned(t) for t in times]
        return np.stack([self.modes.coefficients(residual, f, self.ridge) for f in learned])

    def _integrated(self, times: Sequence[float]) -> np.ndarray:
        """The same through an ODE solver, for times in any order."""
        ascending, place = np.unique(times, return_inverse=True)
        weight = self.modes.root_weight**2
        path = train_on_loss(
            self.modes.kernel,
            self.targets,
            self.gradient,  # type: ignore[arg-type]
            ascending / self.schedule.scale,
            self.initial,
            weight,
            self.ridge,
        )
        found: np.ndarray = path[place]
        return found

    def squared_losses(self, times: Sequence[float]) -> np.ndarray:
        """1/2 sum_i w_i |f_t(x_i) - y_i|^2 for all times (n_times,), solving nothing."""
        residual = self.targets - self.initial
        learned = [self.learned(t) for t in times]
        return np.array([self.modes.loss(residual, f, self.ridge) for f in learned])
