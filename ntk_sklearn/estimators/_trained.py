"""What the NTK estimators share: training an infinitely wide network for a time."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..inference import (
    Groups,
    LossGradient,
    ModeCurriculum,
    RidgeSolution,
    Schedule,
    TrainingModes,
    TrainingPath,
    mean_diagonal,
    solve_ridge,
    training_modes,
)
from ..kernels import NTK
from ..solvers import Eigensystem, Factorization
from ._base import KernelEstimator, check_nonnegative
from ._rows import TrainingRows, warn_of_conflicts
from ._training import check_curriculum, check_time, find_loss, make_schedule

# Modes decomposed for a prediction at another time than `fit` was for, which changes no attribute:
# kept beside the coefficients of the fit that they belong to.
_MODES: WeakKeyDictionary[TrainedNetwork, tuple[np.ndarray, TrainingModes]] = WeakKeyDictionary()


# Attributes that only one of the two ways to solve sets.
_UNSOLVED = {
    "jitter_": 0.0,
    "L_": np.empty((0, 0)),
    "eigenvalues_": np.empty(0),
    "eigenvectors_": np.empty((0, 0)),
}


class TrainedNetwork(KernelEstimator):
    """Base of the NTK estimators: dual coefficients at the time `t`, and at others on demand."""

    _kernel_type = NTK
    _losses: ClassVar[dict[str, LossGradient]]
    _stages: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # the curriculum of the fit

    def _train(
        self,
        data: TrainingRows,
        targets: np.ndarray,
        weight: np.ndarray,
        quantities: tuple[str, ...] = ("ntk",),
        keep_factor: bool = False,
    ) -> dict[str, Any]:
        """Fitted attributes for targets (n, k): nothing is set before all is done.

        Equal rows are merged by weighted means, which changes no prediction and keeps the kernel
        from being singular.
        """
        alpha, t = check_nonnegative(self.alpha, "alpha"), check_time(self.t, self.learning_rate)
        schedule = self._schedule(weight, targets.shape[1])
        loss = find_loss(self.loss, self._losses, self.learning_rate, t)
        curriculum = check_curriculum(self.curriculum, self.loss, self.learning_rate)
        unfit = 0.0
        if loss is None:  # others are not functions of the mean of the targets
            data, groups = data.merged()
            targets, weight, unfit = _merged(groups, targets, weight, warn=alpha == 0)
        initial, seed = self._initial_outputs(data, targets.shape[1])
        blocks = self._gram(data, *quantities)
        ridge = alpha * mean_diagonal(blocks[0], weight)
        found: dict[str, Any] = {"kernel_": data.kernel, "X_fit_": data.reference}
        found |= {"targets_": targets, "weight_": weight, "initial_": initial, "_seed": seed}
        found |= {"nngp_train_": np.array(blocks[1:]), "ridge_": ridge} | _UNSOLVED
        found |= {"t_": t, "_steps": astuple(schedule), "_loss": self.loss, "_unfit": unfit}
        found["_stages"] = None if curriculum is None else astuple(curriculum)
        with self._progress("solve"):
            if ridge > 0 and math.isinf(t) and self.learning_rate is None:
                solution = solve_ridge(blocks[0], targets - initial, weight, alpha)
                return found | _factored(solution, keep_factor or data.precomputed)
            modes = training_modes(blocks[0], weight)
            schedule.check(modes.system.largest + ridge)
            path = TrainingPath(modes, schedule, ridge, targets, initial, loss, curriculum)
            return found | _decomposed(path, t)

    def _schedule(self, weight: np.ndarray, n_outputs: int) -> Schedule:
        # the mean of a cross-entropy is over samples: it is one number for all outputs of a sample
        counted = 1 if self.loss == "cross_entropy" else n_outputs
        return make_schedule(self.learning_rate, self.momentum, self.loss_scale, weight, counted)

    def _initial_outputs(self, data: TrainingRows, n_outputs: int) -> tuple[np.ndarray, int]:
        """f_0 of the training rows, and the seed of the network that it is the output of."""
        if self.initial not in ("zero", "random"):
            raise ValueError(f"initial must be 'zero' or 'random', got {self.initial!r}")
        if self.initial == "zero":
            return np.zeros((len(data.rows), n_outputs)), -1
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return data.kernel.of_network("ntk").initial_outputs(data.rows, n_outputs, seed), seed

    def _set(self, fitted: dict[str, Any]) -> None:
        """Set all fitted attributes together, at the end of `fit`."""
        for name, value in fitted.items():
            setattr(self, name, value)

    # Predictions

    def _outputs(self, rows: np.ndarray, theta_cross: np.ndarray, t: Any) -> np.ndarray:
        """Outputs (m, k) of the network at time t, or (n_times, m, k) for an array of times."""
        found: np.ndarray = theta_cross @ self._coefficients(t)
        if self._seed < 0:
            return found
        kernel = self.kernel_.of_network("ntk")
        return found + kernel.initial_outputs(rows, found.shape[-1], self._seed)

    def _coefficients(self, t: Any) -> np.ndarray:
        if t is None:
            return self.dual_coef_
        found = self._path().coefficients(self._times(t))
        return found[0] if np.ndim(t) == 0 else found

    def _smoother(self, theta_cross: np.ndarray, t: Any) -> np.ndarray:
        """A (m, n) with f(x) = f_0(x) + A (y - f_0(X)), at one time."""
        if t is None and self.L_.size:
            A: np.ndarray = Factorization(self.L_, 0.0).solve(theta_cross.T).T
            return A
        path = self._path()
        learned = path.learned(self.t_ if t is None else self._times(t)[0])
        return path.modes.smoother(theta_cross, learned, self.ridge_)

    def _times(self, t: Any) -> list[float]:
        """One time or several, checked."""
        if np.ndim(t) > 1 or np.size(t) == 0:
            raise ValueError(f"t must be a number or a sequence of numbers, got {t!r}")
        return [check_time(time, self._steps[0]) for time in np.ravel(t)]

    def _path(self) -> TrainingPath:
        """What serves all times."""
        schedule = Schedule(*self._steps)
        loss = find_loss(self._loss, self._losses, schedule.learning_rate, self.t_)
        stages = None if self._stages is None else ModeCurriculum(*self._stages)
        modes, initial = self._modes(), self.initial_
        return TrainingPath(modes, schedule, self.ridge_, self.targets_, initial, loss, stages)

    def _modes(self) -> TrainingModes:
        """The eigenmodes of training; decomposed once where `fit` did not need them."""
        if self.eigenvalues_.size:
            system = Eigensystem(self.eigenvalues_, self.eigenvectors_)
            return TrainingModes(system, np.sqrt(self.weight_))
        coefficients, modes = _MODES.get(self, (None, None))
        if modes is None or coefficients is not self.dual_coef_:
            modes = training_modes(self._training_kernel(), self.weight_)
            _MODES[self] = (self.dual_coef_, modes)
        return modes

    def _training_kernel(self) -> np.ndarray:
        if not self.L_.size:
            return np.asarray(self.kernel_(self.X_fit_), dtype=np.float64)
        K: np.ndarray = self.L_ @ self.L_.T
        K[np.diag_indices_from(K)] -= self.ridge_ / self.weight_ + self.jitter_
        return K

    # What else is known of the training

    def max_learning_rate(self) -> float:
        """The learning rate from which on gradient descent diverges.

        2 (1 + momentum) / v with v the largest eigenvalue of the training kernel with its ridge, in
        units of the `loss_scale`.
        """
        check_is_fitted(self)
        path = self._path()
        if path.gradient is not None:
            raise ValueError("steps are taken on squared loss: other losses have no learning rate")
        return path.schedule.bound(path.modes.system.largest + self.ridge_)

    def loss_curve(self, t: Any) -> np.ndarray:
        """Training loss of the network at times t, without solving again.

        Parameters
        ----------
        t : array-like, (n_times,)

        Returns
        -------
        ndarray, (n_times,)
            1/2 sum_i w_i (f(x_i) - y_i)^2 over training rows and outputs, divided by their number
            for ``loss_scale="mean"``; for normalized targets where they are.
        """
        check_is_fitted(self)
        path = self._path()
        if path.gradient is not None:
            raise ValueError("loss_curve is of squared loss")
        return (path.squared_losses(self._times(t)) + self._unfit) / path.schedule.scale


def _factored(solution: RidgeSolution, keep: bool) -> dict[str, Any]:
    factor = solution.factorization
    found = {"dual_coef_": solution.coefficients, "jitter_": factor.jitter}
    return found | ({"L_": factor.lower} if keep else {})


def _decomposed(path: TrainingPath, t: float) -> dict[str, Any]:
    system = path.modes.system
    found = {"eigenvalues_": system.values, "eigenvectors_": system.vectors}
    return found | {"dual_coef_": path.coefficients([t])[0]}


def _merged(
    groups: Groups, targets: np.ndarray, weight: np.ndarray, warn: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Targets and weights of merged rows, and the squared loss within them, which none can fit."""
    if groups.trivial:
        return targets, weight, 0.0
    means = groups.mean(targets, weight)
    of_rows = means[groups.of_row]
    if warn:
        warn_of_conflicts(targets, of_rows)
    within = 0.5 * float(weight @ ((targets - of_rows) ** 2).sum(axis=1))
    return means, groups.total(weight), within
