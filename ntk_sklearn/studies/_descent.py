"""Full-batch training of functions of parameters, looked at after given numbers of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ..finite.tangent import Inputs, ModuleFunction
from ..finite.tangent.function import Prepared, Values

# (outputs (n, k), targets (n, k)) -> a number
Loss = Callable[[Tensor, Tensor], Tensor]

# (parameters, lr=learning_rate) -> what steps them
MakeOptimizer = Callable[..., torch.optim.Optimizer]


def squared(outputs: Tensor, targets: Tensor) -> Tensor:
    """1/2 sum (f - y)^2."""
    return 0.5 * (outputs - targets).square().sum()


@dataclass(frozen=True)
class Task:
    """A module as a function of its parameters, and the rows and targets that it is trained on.

    Attributes
    ----------
    function : ModuleFunction
    inputs
        From ``function.prepare``.
    targets : Tensor, (n, k)
    loss : callable
    """

    function: ModuleFunction
    inputs: Prepared
    targets: Tensor
    loss: Loss

    def learner(self) -> Learner:
        """The module itself, with copies of its parameters."""
        copies: dict[str, Tensor] = {
            name: nn.Parameter(v.clone()) for name, v in self.function.values.items()
        }
        return Learner(self.function, copies)


@dataclass(frozen=True)
class Learner:
    """Outputs (n, k) of parameters and inputs, and the parameters, which training changes."""

    outputs: Callable[[Values, Prepared], Tensor]
    values: dict[str, Tensor]

    def predict(self, inputs: Prepared) -> np.ndarray:
        """Outputs (n, k) as they are now."""
        with torch.no_grad():
            return self.outputs(self.values, inputs).double().cpu().numpy()


def task(
    module: nn.Module,
    X: Inputs,
    y: ArrayLike,
    loss: Loss | None = None,
    parameters: Sequence[str] | None = None,
) -> Task:
    """The module with its data, checked.

    Raises
    ------
    ValueError
        Unless the targets have the shape of the outputs; for modules that `ModuleFunction` refuses.
    """
    function = ModuleFunction(module, parameters)
    inputs = function.prepare(X)
    given = torch.as_tensor(np.asarray(y), dtype=function.dtype, device=function.device)
    with torch.no_grad():
        shape = function(function.values, inputs).shape
    if given.ndim == 0 or len(given) != shape[0] or given.numel() != shape.numel():
        raise ValueError(
            f"y must have the shape {tuple(shape)} of the module's outputs for X, got "
            f"{tuple(given.shape)}; classes are given one-hot"
        )
    return Task(function, inputs, given.reshape(shape), squared if loss is None else loss)


def descend(
    learner: Learner, given: Task, optimizer: torch.optim.Optimizer, steps: Iterable[int]
) -> Iterator[float]:
    """Train, and stop after each of the given numbers of steps: what is yielded is the loss then.

    The learner's parameters are changed in place.
    """
    done = 0
    for until in steps:
        for _ in range(done, until):
            optimizer.zero_grad()
            _loss(learner, given).backward()
            optimizer.step()
        done = until
        with torch.no_grad():
            loss = float(_loss(learner, given))
        yield loss


def _loss(learner: Learner, given: Task) -> Tensor:
    return given.loss(learner.outputs(learner.values, given.inputs), given.targets)
