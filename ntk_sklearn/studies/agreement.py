"""Trained networks of finite width beside what is predicted of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..inference import Schedule, training_modes
from ..kernels._network import Network
from ._checks import check_count, check_steps, check_targets, check_widths
from ._given import Given, given
from ._power_law import PowerLaw, fit_power_law
from .comparison import TrainingComparison, trained_versus_linearized


@dataclass(frozen=True)
class FiniteAgreement:
    r"""Functions of trained random networks at test rows, and two predictions of them.

    Attributes
    ----------
    widths : ndarray, (n_widths,)
    steps : ndarray, (n_steps,)
    learning_rate : float
        ``learning_rate * steps`` are times of gradient flow.
    outputs : ndarray, (n_widths, n_draws, n_steps, m, k)
        Of the networks.
    predictions : ndarray, (n_widths, n_draws, n_steps, m, k)
        Of infinite width, from the initial function of each network.
    linearized_outputs : ndarray, (n_widths, n_draws, n_steps, m, k)
        Of each network's own linearization, trained alike.
    start_outputs : ndarray, (n_widths, n_draws, n, k)
        At the training rows before training.
    start_residuals : ndarray, (n_widths, n_draws)
        Root mean square of the targets less these.
    """

    widths: np.ndarray
    steps: np.ndarray
    learning_rate: float
    outputs: np.ndarray
    predictions: np.ndarray
    linearized_outputs: np.ndarray
    start_outputs: np.ndarray
    start_residuals: np.ndarray

    @property
    def times(self) -> np.ndarray:
        """``learning_rate * steps``, (n_steps,)."""
        return self.learning_rate * self.steps

    @property
    def errors(self) -> np.ndarray:
        """Root mean squares of outputs less predictions, (n_widths, n_draws, n_steps)."""
        return _rms(self.outputs - self.predictions, (3, 4))

    @property
    def linearized_errors(self) -> np.ndarray:
        """The same against the networks' own linearizations."""
        return _rms(self.outputs - self.linearized_outputs, (3, 4))

    @property
    def fit(self) -> PowerLaw:
        """Of the errors against infinite width, which are expected to fall like width^-1/2.

        Of their root mean square over steps, divided by that of the network's own residual before
        training: the errors grow with it, and it differs from draw to draw.
        """
        return self._fit(self.errors)

    @property
    def linearized_fit(self) -> PowerLaw:
        """The same against linearizations: about width^-1 for smooth activations."""
        return self._fit(self.linearized_errors)

    def _fit(self, errors: np.ndarray) -> PowerLaw:
        return fit_power_law(self.widths, _rms(errors, (2,)) / self.start_residuals)


def finite_agreement(
    network: Network | None,
    X: ArrayLike,
    y: ArrayLike,
    X_test: ArrayLike,
    widths: Sequence[int] = (64, 256),
    n_draws: int = 3,
    *,
    learning_rate: float | None = None,
    steps: Sequence[int] = (1, 3, 10, 30, 100),
    image_shape: tuple[int, ...] | None = None,
    random_state: int = 0,
) -> FiniteAgreement:
    r"""Train random networks by gradient descent, and predict what they become.

    Full-batch steps on 1/2 sum (f - y)^2. The prediction of infinite width after k steps,

    .. math:: f_k(x) = f_0(x) + \Theta(x, X) \Theta^{-1} (1 - (1 - \eta \Theta)^k) (y - f_0(X)),

    starts from the initial function of each network: from 0, it is the mean over all of them, and
    a single network differs from it by f_0(x) less what training removes, at any width. Errors
    against it are of order width^-1/2; those against the network's own linearization are of the
    order that its tangent kernel moves.

    Parameters
    ----------
    network : Preset, Layer or None
        Of infinite width; None is ``FullyConnected()``.
    X, X_test : array-like, (n, n_features) and (m, n_features), or images
    y : array-like, (n,) or (n, k)
    widths : sequence of int, (n_widths,)
    n_draws : int, default=3
        Random networks of every width.
    learning_rate : float or None
        None is 1 / (largest eigenvalue of the NTK of infinite width).
    steps : sequence of int
        Numbers of steps after which functions are compared, ascending.
    image_shape : tuple of int or None
    random_state : int, default=0

    Returns
    -------
    FiniteAgreement

    Raises
    ------
    ValueError
        For a learning rate at which gradient descent diverges in the limit, 2 / (largest
        eigenvalue) and above; else as in `width_convergence` and `trained_versus_linearized`.
    TypeError
        For a network that is neither a preset nor a tree of layers.

    References
    ----------
    Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent",
    2019, equations 10 and 11 (for the flow) and figures 2 and 3.
    """
    widths_, n = check_widths(widths), check_count(n_draws, "n_draws")
    study, targets = given(network, X, image_shape), check_targets(y)
    Z, checked = study.others(X_test, "X_test"), check_steps(steps)
    rate = study.rate(learning_rate)
    smoothers = _smoothers(study, Z, rate, checked)
    runs = [
        [
            trained_versus_linearized(
                module,
                study.rows,
                targets,
                Z,
                learning_rate=rate,
                steps=sorted({0, *checked.tolist()}),
                kernel_rows=0,
            )
            for module in study.draws(int(width), n, random_state, targets.shape[1])
        ]
        for width in widths_
    ]
    logged = slice(0 if checked[0] == 0 else 1, None)
    found = {
        "outputs": _stack(runs, lambda run: run.test_outputs[logged]),
        "predictions": _stack(runs, lambda run: _predicted(run, smoothers, targets)),
        "linearized_outputs": _stack(runs, lambda run: run.linearized_test_outputs[logged]),
        "start_outputs": _stack(runs, lambda run: run.outputs[0]),
        "start_residuals": _stack(runs, lambda run: _rms(targets - run.outputs[0], (0, 1))),
    }
    return FiniteAgreement(widths_, checked, rate, **found)


def _smoothers(study: Given, Z: np.ndarray, rate: float, steps: np.ndarray) -> np.ndarray:
    """(n_steps, m, n): what the outputs at Z move by, per initial residual."""
    modes, schedule = training_modes(study.limit()), Schedule(rate)
    schedule.check(modes.system.largest)
    cross = study.limit(Z)
    return np.stack([modes.smoother(cross, schedule.learned(float(k))) for k in steps])


def _predicted(run: TrainingComparison, smoothers: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The outputs at Z, (n_steps, m, k)."""
    moves: np.ndarray = smoothers @ (y - run.outputs[0])
    return run.test_outputs[0] + moves


def _stack(
    runs: list[list[TrainingComparison]], part: Callable[[TrainingComparison], np.ndarray]
) -> np.ndarray:
    return np.array([[part(run) for run in row] for row in runs])


def _rms(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    found: np.ndarray = np.sqrt(np.mean(values**2, axis=axes))
    return found
