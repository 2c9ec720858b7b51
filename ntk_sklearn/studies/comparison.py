"""A module in training beside its own linearization: functions, parameters, kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ..finite import TaylorExpansion, taylor_expand
from ..finite.tangent import Inputs
from ..finite.tangent.function import Prepared, Values
from ._checks import check_count, check_steps
from ._descent import Learner, Loss, MakeOptimizer, descend, make_optimizer, task
from ._tangent import KernelAtStart


@dataclass(frozen=True)
class TrainingComparison:
    r"""A module and its linearization after the same numbers of the same optimizer's steps.

    Distances between functions are root mean squares over rows and outputs; those of parameters
    are Euclidean norms, one for each parameter tensor. Numbers belong to `steps`, the first axis.

    Attributes
    ----------
    steps : ndarray, (n_steps,)
    losses, linearized_losses : ndarray, (n_steps,)
        As the loss is scaled.
    outputs, linearized_outputs : ndarray, (n_steps, n, k)
        At the training rows.
    test_outputs, linearized_test_outputs : ndarray, (n_steps, m, k)
        At the test rows; m = 0 without any.
    parameters : tuple of str, (n_parameters,)
    start_norms : ndarray, (n_parameters,)
        :math:`|\theta_0|`
    parameter_distances : ndarray, (n_steps, n_parameters)
        Between those of the module and those of its linearization.
    movements, linearized_movements : ndarray, (n_steps, n_parameters)
        :math:`|\theta_t - \theta_0|`
    kernel_drifts : ndarray, (n_steps,)
        :math:`\|\hat\Theta_t - \hat\Theta_0\|_F / \|\hat\Theta_0\|_F` of the module's tangent
        kernel; that of the linearization stays.
    """

    steps: np.ndarray
    losses: np.ndarray
    linearized_losses: np.ndarray
    outputs: np.ndarray
    linearized_outputs: np.ndarray
    test_outputs: np.ndarray
    linearized_test_outputs: np.ndarray
    parameters: tuple[str, ...]
    start_norms: np.ndarray
    parameter_distances: np.ndarray
    movements: np.ndarray
    linearized_movements: np.ndarray
    kernel_drifts: np.ndarray

    @property
    def train_distances(self) -> np.ndarray:
        """Root mean square of f_t less its linearization at the training rows, (n_steps,)."""
        return _rms(self.outputs - self.linearized_outputs)

    @property
    def test_distances(self) -> np.ndarray:
        """The same at the test rows; NaN without any."""
        return _rms(self.test_outputs - self.linearized_test_outputs)

    @property
    def relative_movements(self) -> np.ndarray:
        """`movements` by the norms at the start, (n_steps, n_parameters); NaN from 0 on."""
        return self.movements / _or_nan(self.start_norms)

    @property
    def relative_distances(self) -> np.ndarray:
        """`parameter_distances` by the norms at the start; NaN where these are 0."""
        return self.parameter_distances / _or_nan(self.start_norms)


def trained_versus_linearized(
    module: nn.Module,
    X: Inputs,
    y: ArrayLike,
    X_test: Inputs | None = None,
    *,
    learning_rate: float,
    steps: Sequence[int] = (0, 1, 3, 10, 30, 100),
    loss: Loss | None = None,
    optimizer: MakeOptimizer = torch.optim.SGD,
    parameters: Sequence[str] | None = None,
    order: int = 1,
    kernel_rows: int | None = None,
) -> TrainingComparison:
    r"""Train a module and its linearization alike, on all rows at a time, and compare them.

    The linearization :math:`f(x; \theta_0) + J(x) (\theta - \theta_0)` is trained by the same
    optimizer, from the same parameters, on the same loss. On squared loss with plain gradient
    descent it has a closed form; the module follows it as far as its tangent kernel stays.

    Parameters
    ----------
    module : torch.nn.Module
        Not touched: copies of its parameters are trained.
    X, X_test : array, tensor, tuple or mapping of them
        What the module reads; rows along the first axis.
    y : array-like, (n,) or (n, k)
    learning_rate : float
        Belongs to the loss: one that is a mean over n rows has n times that of a sum.
    steps : sequence of int
        Numbers of steps after which both are compared, ascending; 0 is the start.
    loss : callable or None
        Of outputs and targets, both (n, k), such as ``torch.nn.functional.cross_entropy`` for
        one-hot targets. None is ``1/2 sum (f - y)^2``.
    optimizer : callable
        Called as ``optimizer(parameters, lr=learning_rate)``, such as
        ``functools.partial(torch.optim.SGD, momentum=0.9)`` or ``torch.optim.Adam``.
    parameters : sequence of str or None
        Names, or beginnings, of the parameters that are trained; see `linearize`.
    order : int, default=1
        Of the expansion that takes the place of the linearization; see `taylor_expand`.
    kernel_rows : int or None
        The tangent kernel is that of so many of the first rows; None takes all, 0 leaves
        `kernel_drifts` NaN, as they are where training has diverged.

    Returns
    -------
    TrainingComparison

    Raises
    ------
    ValueError
        For targets of another shape than the outputs, steps that do not ascend, numbers that are
        not finite, and modules that `linearize` refuses.
    TypeError
        For optimizers that need a closure (LBFGS), and losses that cannot be called.

    References
    ----------
    Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent",
    2019, section 2.2 and figures 2 and 3.
    """
    given, checked = task(module, X, y, loss, parameters), check_steps(steps)
    pair = given.learner(), _expanded(taylor_expand(module, order, parameters))
    training = [
        descend(
            learner,
            given,
            make_optimizer(optimizer, learner.values.values(), learning_rate),
            checked,
        )
        for learner in pair
    ]
    test = None if X_test is None else given.function.prepare(X_test)
    if kernel_rows is not None:
        kernel_rows = check_count(kernel_rows, "kernel_rows", least=0)
    kernel = KernelAtStart(given, kernel_rows)
    moments = [
        {
            "losses": losses[0],
            "linearized_losses": losses[1],
            **_functions(pair, given.inputs, test),
            **_movements(pair, given.function.values),
            "kernel_drifts": kernel.drift(pair[0].values),
        }
        for losses in zip(*training, strict=True)
    ]
    found = {name: np.stack([moment[name] for moment in moments]) for name in moments[0]}
    names = tuple(given.function.values)
    norms = _norms(given.function.values)
    return TrainingComparison(checked, parameters=names, start_norms=norms, **found)


def _expanded(expansion: TaylorExpansion) -> Learner:
    def outputs(values: Values, inputs: Prepared) -> Tensor:
        if isinstance(inputs, dict):
            found = expansion.at(values, **inputs)
        else:
            found = expansion.at(values, *inputs)
        return found.reshape(len(found), -1)

    return Learner(outputs, expansion.values)


def _functions(
    pair: tuple[Learner, Learner], inputs: Prepared, test: Prepared | None
) -> dict[str, np.ndarray]:
    """Outputs of both at the training and at the test rows."""
    found = {}
    for learner, start in zip(pair, ("", "linearized_"), strict=True):
        outputs = learner.predict(inputs)
        found[f"{start}outputs"] = outputs
        found[f"{start}test_outputs"] = outputs[:0] if test is None else learner.predict(test)
    return found


def _movements(pair: tuple[Learner, Learner], start: Values) -> dict[str, np.ndarray]:
    """How far the parameters of both are from the start and from each other."""
    trained, linearized = (learner.values for learner in pair)
    return {
        "parameter_distances": _distances(trained, linearized),
        "movements": _distances(trained, start),
        "linearized_movements": _distances(linearized, start),
    }


def _distances(values: Values, others: Values) -> np.ndarray:
    return _norms({name: value - others[name] for name, value in values.items()})


def _norms(values: Values) -> np.ndarray:
    return np.array([float(value.detach().double().norm()) for value in values.values()])


def _rms(differences: np.ndarray) -> np.ndarray:
    """(n_steps,) of (n_steps, rows, outputs)."""
    if differences.size == 0:
        return np.full(len(differences), np.nan)
    return np.sqrt(np.mean(differences**2, axis=(1, 2)))


def _or_nan(norms: np.ndarray) -> np.ndarray:
    return np.where(norms > 0, norms, np.nan)
