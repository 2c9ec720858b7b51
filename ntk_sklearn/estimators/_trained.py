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
    TargetScale,
    TrainingModes,
    TrainingPath,
    mean_diagonal,
    solve_ridge,
    training_modes,
)
from ..kernels import NTK
from ..solvers import Eigensystem, Factorization
from ._base import KernelEstimator, check_nonnegative
from ._blocks import Blocks
from ._rows import TrainingRows, warn_of_conflicts
from ._training import check_curriculum, check_time, find_loss, make_schedule

# Modes decomposed for a prediction at another time than `fit` was for, which changes no attribute:
# kept beside the coefficients of the fit that they belong to.
_MODES: WeakKeyDictionary[TrainedNetwork, tuple[np.ndarray, TrainingModes]] = WeakKeyDictionary()


# In place of the seed of an initial function.
_ZERO, _MODULE = -1, -2

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
    _n_blocks: int = 1

    def _train(
        self,
        data: TrainingRows,
        targets: np.ndarray,
        weight: np.ndarray,
        quantities: tuple[str, ...] = ("ntk",),
        keep_factor: bool = False,
        scale: TargetScale | None = None,
    ) -> dict[str, Any]:
        """Fitted attributes for targets (n, k): nothing is set before all is done.

        Equal rows are merged by weighted means, which changes no prediction and keeps the kernel
        from being singular. Targets were normalized by the `scale`.
        """
        alpha, t = check_nonnegative(self.alpha, "alpha"), check_time(self.t, self.learning_rate)
        schedule = self._schedule(weight, targets.shape[1])
        loss = find_loss(self.loss, self._losses, self.learning_rate, t)
        curriculum = check_curriculum(self.curriculum, self.loss, self.learning_rate)
        unfit = 0.0
        if loss is None:  # others are not functions of the mean of the targets
            data, groups = data.merged()
            targets, weight, unfit = _merged(groups, targets, weight, warn=alpha == 0)
        initial, seed = self._initial_outputs(data, targets.shape[1], scale)
        by_output = data.by_output
        blocks = self._gram(data, *quantities)
        ridge = alpha * mean_diagonal(blocks[0], by_output.weights(weight))
        found: dict[str, Any] = {"kernel_": data.kernel, "X_fit_": data.reference}
        found |= {"targets_": targets, "weight_": weight, "initial_": initial, "_seed": seed}
        found |= {"nngp_train_": np.array(blocks[1:]), "ridge_": ridge} | _UNSOLVED
        found |= {"t_": t, "_steps": astuple(schedule), "_loss": self.loss, "_unfit": unfit}
        found["_stages"] = None if curriculum is None else astuple(curriculum)
        found["_n_blocks"] = by_output.n
        targets, initial = by_output.flat(targets), by_output.flat(initial)
        weight = by_output.weights(weight)
        with self._progress("solve"):
            if ridge > 0 and math.isinf(t) and self.learning_rate is None:
                solution = solve_ridge(blocks[0], targets - initial, weight, alpha)
                solved = _factored(solution, keep_factor or data.precomputed)
                coefficients = np.array(by_output.shaped(solution.coefficients))
                return found | solved | {"dual_coef_": coefficients}
            modes = training_modes(blocks[0], weight)
            schedule.check(modes.system.largest + ridge)
            gradient = by_output.gradient(loss)
            path = TrainingPath(modes, schedule, ridge, targets, initial, gradient, curriculum)
            coefficients = np.array(by_output.shaped(path.coefficients([t])[0]))
            return found | _decomposed(modes) | {"dual_coef_": coefficients}

    def _schedule(self, weight: np.ndarray, n_outputs: int) -> Schedule:
        # the mean of a cross-entropy is over samples: it is one number for all outputs of a sample
        counted = 1 if self.loss == "cross_entropy" else n_outputs
        return make_schedule(self.learning_rate, self.momentum, self.loss_scale, weight, counted)

    def _initial_outputs(
        self, data: TrainingRows, n_outputs: int, scale: TargetScale | None
    ) -> tuple[np.ndarray, int]:
        """f_0 of the training rows, and the seed of the network that it is the output of."""
        if self.initial not in ("zero", "random", "network"):
            raise ValueError(
                "initial must be 'zero' or 'random', or 'network' for a torch module, got "
                f"{self.initial!r}"
            )
        if self.initial == "zero":
            return np.zeros((len(data.rows), n_outputs)), _ZERO
        if self.initial == "network":
            found = data.kernel.of_network("ntk").module_outputs(data.rows)
            if found.shape[1] != n_outputs:
                raise ValueError(
                    f"initial='network' starts from the module's {found.shape[1]} output(s), and "
                    f"there are {n_outputs} target(s): take a module with one output for each, or "
                    "initial='zero'"
                )
            return found if scale is None else scale.scaled(found), _MODULE
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return data.kernel.of_network("ntk").initial_outputs(data.rows, n_outputs, seed), seed

    def _set(self, fitted: dict[str, Any]) -> None:
        """Set all fitted attributes together, at the end of `fit`."""
        for name, value in fitted.items():
            setattr(self, name, value)

    # Predictions

    def _outputs(self, rows: np.ndarray, theta_cross: np.ndarray, t: Any) -> np.ndarray:
        """Outputs (m, k) of the network at time t, or (n_times, m, k) for an array of times."""
        found = self._blocks.shaped(theta_cross @ self._coefficients(t))
        if self._seed == _ZERO:
            return found
        kernel = self.kernel_.of_network("ntk")
        if self._seed == _MODULE:
            return found + self._normalized(kernel.module_outputs(rows))
        return found + kernel.initial_outputs(rows, found.shape[-1], self._seed)

    @property
    def _blocks(self) -> Blocks:
        """Rows of the kernel matrix for every row."""
        return Blocks(self._n_blocks)

    def _normalized(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of a module in the units of the targets that were trained on."""
        return outputs

    def _coefficients(self, t: Any) -> np.ndarray:
        """By rows of the kernel matrix."""
        if t is None:
            return self._blocks.flat(self.dual_coef_)
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
        modes, blocks, gradient = self._modes(), self._blocks, self._blocks.gradient(loss)
        targets, initial = blocks.flat(self.targets_), blocks.flat(self.initial_)
        return TrainingPath(modes, schedule, self.ridge_, targets, initial, gradient, stages)

    def _modes(self) -> TrainingModes:
        """The eigenmodes of training; decomposed once where `fit` did not need them."""
        if self.eigenvalues_.size:
            system = Eigensystem(self.eigenvalues_, self.eigenvectors_)
            return TrainingModes(system, np.sqrt(self._blocks.weights(self.weight_)))
        coefficients, modes = _MODES.get(self, (None, None))
        if modes is None or coefficients is not self.dual_coef_:
            modes = training_modes(self._training_kernel(), self._blocks.weights(self.weight_))
            _MODES[self] = (self.dual_coef_, modes)
        return modes

    def _training_kernel(self) -> np.ndarray:
        if not self.L_.size:
            kernel = self.kernel_.of_network("ntk")
            return np.asarray(kernel.matrix(self.X_fit_)[0], dtype=np.float64)
        K: np.ndarray = self.L_ @ self.L_.T
        K[np.diag_indices_from(K)] -= (
            self.ridge_ / self._blocks.weights(self.weight_) + self.jitter_
        )
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
    return {"jitter_": factor.jitter} | ({"L_": factor.lower} if keep else {})


def _decomposed(modes: TrainingModes) -> dict[str, Any]:
    return {"eigenvalues_": modes.system.values, "eigenvectors_": modes.system.vectors}


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
