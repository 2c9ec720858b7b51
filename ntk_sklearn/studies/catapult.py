"""Gradient descent at and beyond the largest learning rate of the lazy regime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from ..finite.tangent import Inputs
from ._checks import check_count
from ._descent import Task, descend, task
from ._tangent import tangent_gram


@dataclass(frozen=True)
class Catapult:
    r"""Training at several learning rates, in units of that where linearized training diverges.

    Attributes
    ----------
    multiples : ndarray, (n_rates,)
        :math:`\eta \lambda_0 / 2`
    learning_rates : ndarray, (n_rates,)
        :math:`\eta`
    start_eigenvalue : float
        :math:`\lambda_0`, the largest eigenvalue of the tangent kernel before training.
    end_eigenvalues : ndarray, (n_rates,)
        The largest eigenvalue after training; NaN where training diverged.
    losses : ndarray, (n_rates, n_steps + 1)
        1/2 sum (f - y)^2 before every step and after the last; infinite from where it is no
        number any more.
    """

    multiples: np.ndarray
    learning_rates: np.ndarray
    start_eigenvalue: float
    end_eigenvalues: np.ndarray
    losses: np.ndarray

    @property
    def diverged(self) -> np.ndarray:
        """Whether the loss ends where it began or higher, (n_rates,) of bool."""
        ends: np.ndarray = self.losses[:, -1]
        return ~(ends < self.losses[:, 0])

    @property
    def end_sharpness(self) -> np.ndarray:
        r""":math:`\eta \lambda` after training, (n_rates,): stable below 2."""
        return self.learning_rates * self.end_eigenvalues

    @property
    def regimes(self) -> tuple[str, ...]:
        """Of every rate "lazy" (multiple < 1), "catapult" (beyond, converging) or "divergent"."""
        calm = np.where(self.multiples < 1, "lazy", "catapult")
        return tuple(map(str, np.where(self.diverged, "divergent", calm)))


def catapult(
    module: nn.Module,
    X: Inputs,
    y: ArrayLike,
    multiples: Sequence[float] = (0.5, 0.9, 1.2, 1.5, 1.8, 2.5, 4.0),
    n_steps: int = 100,
    parameters: Sequence[str] | None = None,
) -> Catapult:
    r"""Train copies of a module by full-batch gradient descent at multiples of 2 / lambda_0.

    On squared loss, with :math:`\lambda_0` the largest eigenvalue of the module's own tangent
    kernel at the rows X, Lewkowycz et al. (2020) find three regimes of wide networks:

    * :math:`\eta \lambda_0 < 2`, *lazy*: the loss falls and the kernel hardly moves;
    * :math:`2 < \eta \lambda_0 < c`, *catapult*: the loss first grows, until the kernel shrinks;
      training converges where :math:`\eta \lambda < 2`, in a flatter place;
    * :math:`\eta \lambda_0 > c`: divergence.

    For a linear network with one hidden layer and one row, c is 4 in the limit of infinite width.
    It depends on the network: relu networks have been seen to converge up to about 12. Predictions
    by a fixed tangent kernel hold in the first regime alone.

    Parameters
    ----------
    module : torch.nn.Module
        Not touched. The regimes are those of the NTK parametrization (see `to_module`) and of
        widths that are large for the number of rows.
    X : array, tensor, tuple or mapping of them
        What the module reads.
    y : array-like, (n,) or (n, k)
    multiples : sequence of float, (n_rates,)
        Learning rates in units of :math:`2 / \lambda_0`, for the loss 1/2 sum (f - y)^2.
    n_steps : int, default=100
        The catapult takes about log(width) steps, and longer near the boundaries.
    parameters : sequence of str or None
        Names, or beginnings, of those that are trained; see `linearize`.

    Returns
    -------
    Catapult

    Raises
    ------
    ValueError
        For multiples that are not positive and finite, and targets of another shape than the
        outputs.

    References
    ----------
    Lewkowycz, Bahri, Dyer, Sohl-Dickstein and Gur-Ari, "The large learning rate phase of deep
    learning: the catapult mechanism", 2020.
    """
    units = np.asarray(multiples, dtype=np.float64)
    if units.ndim != 1 or not units.size or not (np.isfinite(units) & (units > 0)).all():
        raise ValueError(f"multiples must be positive numbers, got {multiples!r}")
    n_steps = check_count(n_steps, "n_steps")
    given = task(module, X, y, None, parameters)
    start = _largest(tangent_gram(given.function, given.function.values, given.inputs))
    if not start > 0:
        raise ValueError("the module's tangent kernel is 0 for X: no learning rate is critical")
    rates = units * 2.0 / start
    runs = [_train(given, float(rate), n_steps) for rate in rates]
    losses, ends = (np.array(part) for part in zip(*runs, strict=True))
    return Catapult(units, rates, start, ends, losses)


def _train(given: Task, rate: float, n_steps: int) -> tuple[np.ndarray, float]:
    """The losses, infinite from where training overflows, and the largest eigenvalue then."""
    learner, losses = given.learner(), np.full(n_steps + 1, np.inf)
    optimizer = torch.optim.SGD(learner.values.values(), lr=rate)
    for k, loss in enumerate(descend(learner, given, optimizer, range(n_steps + 1))):
        if not np.isfinite(loss):
            break
        losses[k] = loss
    if not losses[-1] < losses[0]:
        return losses, np.nan
    return losses, _largest(tangent_gram(given.function, learner.values, given.inputs))


def _largest(K: np.ndarray) -> float:
    return float(np.linalg.eigvalsh(K)[-1])
