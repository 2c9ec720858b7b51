"""What the NTK estimators share: training an infinitely wide network for a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..inference import (
    TrainingModes,
    equal_rows,
    gradient_flow,
    mean_diagonal,
    mean_loss_scale,
    solve_ridge,
    training_modes,
)
from ..kernels import NTK
from ..solvers import Eigensystem
from ._base import KernelEstimator, check_nonnegative


class TrainedNetwork(KernelEstimator):
    """Base of the NTK estimators: dual coefficients at the time `t`, and at others on demand."""

    _kernel_type = NTK

    def _train(
        self, kernel: NTK, rows: np.ndarray, targets: np.ndarray, weight: np.ndarray
    ) -> dict[str, Any]:
        """Fitted attributes for targets (n, k): nothing is set before all is done.

        Equal rows are merged by weighted means, which changes no prediction and keeps the kernel
        from being singular.
        """
        alpha, t = check_nonnegative(self.alpha, "alpha"), check_time(self.t)
        check_loss_scale(self.loss_scale)
        groups = equal_rows(rows)
        if not groups.trivial:
            means = groups.mean(targets, weight)
            if alpha == 0 and not np.allclose(means[groups.of_row], targets):
                warnings.warn(
                    "equal rows of X have different targets, which no network can fit; their "
                    "weighted means are fitted",
                    UserWarning,
                    stacklevel=3,
                )
            rows, targets, weight = rows[groups.first], means, groups.total(weight)
        K = np.asarray(kernel(rows), dtype=np.float64)
        ridge = alpha * mean_diagonal(K, weight)
        found: dict[str, Any] = {"kernel_": kernel, "X_fit_": rows, "ridge_": ridge, "jitter_": 0.0}
        found |= {"targets_": targets, "weight_": weight}
        found |= {"eigenvalues_": np.empty(0), "eigenvectors_": np.empty((0, 0))}
        if ridge > 0 and np.isinf(t):  # without biases, zero rows have a zero kernel and ridge
            solution = solve_ridge(K, targets, weight, alpha)
            return found | {"dual_coef_": solution.coefficients, "jitter_": solution.jitter}
        modes = training_modes(K, weight)
        learned = self._learned(t, weight, targets)
        found["dual_coef_"] = modes.coefficients(targets, learned, ridge)
        found |= {"eigenvalues_": modes.system.values, "eigenvectors_": modes.system.vectors}
        return found

    def _learned(
        self, t: float, weight: np.ndarray, targets: np.ndarray
    ) -> Callable[[np.ndarray], np.ndarray]:
        """The fraction learned of each mode at time t, in the time of the summed loss."""
        if self.loss_scale == "mean":
            t = t / mean_loss_scale(weight, targets.shape[1])
        return lambda values: gradient_flow(values, t)

    def _set(self, fitted: dict[str, Any]) -> None:
        """Set all fitted attributes together, at the end of `fit`."""
        for name, value in fitted.items():
            setattr(self, name, value)

    def _outputs(self, rows: np.ndarray, t: Any) -> np.ndarray:
        """Outputs (m, k) of the network at time t, or (n_times, m, k) for an array of times."""
        if t is None:
            coefficients = self.dual_coef_
        else:
            times = [check_time(time) for time in np.ravel(t)]
            coefficients = np.stack(self._coefficients_at(times))
            coefficients = coefficients[0] if np.ndim(t) == 0 else coefficients
        found: np.ndarray = self.kernel_(rows, self.X_fit_) @ coefficients
        return found

    def _coefficients_at(self, times: list[float]) -> list[np.ndarray]:
        modes, targets = self._modes(), self.targets_
        learned = [self._learned(t, self.weight_, targets) for t in times]
        return [modes.coefficients(targets, fraction, self.ridge_) for fraction in learned]

    def _modes(self) -> TrainingModes:
        """The eigenmodes of training; decomposed anew where `fit` did not need them."""
        if not self.eigenvalues_.size:
            return training_modes(self.kernel_(self.X_fit_), self.weight_)
        system = Eigensystem(self.eigenvalues_, self.eigenvectors_)
        return TrainingModes(system, np.sqrt(self.weight_))


def check_time(t: Any) -> float:
    """`t` as a float in [0, inf]."""
    try:
        time = float(t)
    except (TypeError, ValueError):
        raise TypeError(f"t must be a number in [0, inf], got {t!r}") from None
    if isinstance(t, (bool, str)) or not time >= 0:
        raise ValueError(f"t must be a number in [0, inf], got {t!r}")
    return time


def check_loss_scale(loss_scale: Any) -> None:
    """Refuse anything but "sum" and "mean"."""
    if loss_scale not in ("sum", "mean"):
        raise ValueError(f"loss_scale must be 'sum' or 'mean', got {loss_scale!r}")
