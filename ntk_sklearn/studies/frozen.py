"""How long training stays what an optimizer's frozen preconditioner says."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from ..finite.preconditioners import rules
from ..finite.tangent import Inputs, ModuleFunction
from ._checks import check_count, check_positive
from .frozen_training import FrozenTraining, Training


@dataclass(frozen=True)
class FrozenPreconditioner:
    """A real training beside what it would be with D, and J, kept as they were.

    Attributes
    ----------
    steps : ndarray, (L,)
        Steps since D was frozen; the first one is 0.
    outputs : ndarray, (L, m, k)
        Of the trained module.
    predicted : ndarray, (L, m, k)
        The same optimizer with D frozen on the linearized module: momentum, bias corrections and
        weight decay go on.
    flow : ndarray, (L, m, k)
        Gradient flow in the kernel ``K_D``, without momentum's inertia and weight decay.
    relative_error, flow_error : ndarray, (L,)
        Of `predicted` and `flow`: their distance to `outputs` over the distance that these have
        gone since step 0; infinite where these overflow.
    drift : ndarray, (L,)
        ``|D_t - D_0| / |D_0|``, in the Euclidean norm of the diagonals.
    kernel : ndarray, (n k, n k)
        K_D of the training rows per step, learning rates included: ``f' = -loss_weight K_D r``.
    loss : ndarray, (L,)
        On the training rows.
    """

    steps: np.ndarray
    outputs: np.ndarray
    predicted: np.ndarray
    flow: np.ndarray
    relative_error: np.ndarray
    flow_error: np.ndarray
    drift: np.ndarray
    kernel: np.ndarray
    loss: np.ndarray

    def passes(self, tolerance: float) -> int | None:
        """The first logged step at which `relative_error` exceeds a tolerance, or None."""
        beyond = np.flatnonzero(self.relative_error > tolerance)
        return int(self.steps[beyond[0]]) if len(beyond) else None


def frozen_preconditioner(
    module: nn.Module,
    optimizer: Optimizer,
    X: Inputs,
    y: Any,
    *,
    start: int = 0,
    steps: int | Sequence[int] = 100,
    rows: Inputs | None = None,
    loss_weight: float = 1.0,
) -> FrozenPreconditioner:
    r"""Train a module, and compare with training in which D is frozen after `start` steps.

    The loss is ``loss_weight / 2 * sum (f - y)^2`` over all rows and outputs, in full batches. Two
    predictions are made where D is frozen: the optimizer's own recursion on the linearized module,
    ``theta_k+1 = theta_k - lr D^-1 m_k``, with the m that it has then; and gradient flow,

    .. math:: f_t(x) = f_0(x) + K_D(x, X) K_D^{-1} (1 - e^{-w K_D t}) (y - f_0(X)), \quad
              K_D = J \, \eta D^{-1} J^T,

    one step being one unit of time and eta the learning rate times what momentum gathers from a
    constant gradient. Training follows neither exactly unless D and J stay: D is a function of all
    gradients, and J of the parameters. This measures for how many steps they hold.

    Parameters
    ----------
    module : torch.nn.Module
        Trained in its own precision; predictions are in float64.
    optimizer : torch.optim.Optimizer
        Of all or some of the module's parameters, see `preconditioner`; frozen ones, and those
        that get no gradient, stay. Copies of both are trained.
    X, y : inputs and array-like, (n,) or (n, k)
    start : int
        Steps before D is frozen; at least one if the optimizer has taken none so far.
    steps : int or sequence of int
        Steps after it at which both are compared; an integer means all up to it.
    rows : inputs or None
        Rows (m) at which functions are compared; None means X.
    loss_weight : float
        Positive. ``2 / (n k)`` makes it ``torch.nn.MSELoss``.

    Returns
    -------
    FrozenPreconditioner

    Raises
    ------
    TypeError
        For optimizers that cannot be read.
    ValueError
        If there is no D yet, the optimizer maximizes, or targets do not fit the outputs; for
        numbers of steps that are negative, and weights that are not positive.
    """
    logged, start = _logged(steps), check_count(start, "start", least=0)
    loss_weight = check_positive(loss_weight, "loss_weight")
    module, optimizer = copy.deepcopy((module, optimizer))
    training = Training(module, optimizer, X, y, loss_weight)
    for _ in range(start):
        training.step()
    rows = X if rows is None else rows
    function = ModuleFunction(module, training.moved, torch.float64)
    frozen = FrozenTraining(function, rules(optimizer, function), training, rows)
    found = [(training.outputs(rows), *frozen.expected(), 0.0, training.loss())]
    for k in range(1, logged[-1] + 1):
        training.step()
        frozen.step()
        if k in logged:
            drift = frozen.drift(rules(optimizer, function))
            found.append((training.outputs(rows), *frozen.expected(), drift, training.loss()))
    real, predicted, flow, drift_, loss = (np.array(column) for column in zip(*found, strict=True))
    return FrozenPreconditioner(
        np.array([0, *logged]), real, predicted, flow, _error(predicted, real),
        _error(flow, real), drift_, frozen.kernel, loss,
    )  # fmt: skip


def _error(predicted: np.ndarray, real: np.ndarray) -> np.ndarray:
    away = np.linalg.norm((predicted - real).reshape(len(real), -1), axis=1)
    gone = np.linalg.norm((real - real[0]).reshape(len(real), -1), axis=1)
    found: np.ndarray = np.divide(away, gone, out=np.where(away > 0, np.inf, 0.0), where=gone > 0)
    # of a training that has diverged nothing is right any more
    return np.where(np.isfinite(away) & np.isfinite(gone), found, np.inf)


def _logged(steps: int | Sequence[int]) -> list[int]:
    if isinstance(steps, Sequence | np.ndarray) and not isinstance(steps, str) and len(steps):
        return sorted({check_count(step, "each of steps") for step in steps})
    if isinstance(steps, Integral) and not isinstance(steps, bool) and int(steps) >= 1:
        return list(range(1, int(steps) + 1))
    raise ValueError(f"steps must be an integer >= 1 or a sequence of them, got {steps!r}")
