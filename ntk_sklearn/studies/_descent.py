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
from ._checks import as_targets, check_positive

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
        Unless the targets have the shape of the outputs, both are finite, and the loss is one
        number; for modules that `ModuleFunction` refuses.
    """
    function = ModuleFunction(module, parameters)
    inputs = function.prepare(X)
    given = as_targets(y).to(function.device, function.dtype)
    with torch.no_grad():
        outputs = function(function.values, inputs)
    if not bool(torch.isfinite(outputs).all()):
        raise ValueError("the module has infinite or undefined outputs for X")
    shape = outputs.shape
    if given.ndim == 0 or len(given) != shape[0] or given.numel() != shape.numel():
        raise ValueError(
            f"y must have the shape {tuple(shape)} of the module's outputs for X, got "
            f"{tuple(given.shape)}; classes are given one-hot"
        )
    found = Task(function, inputs, given.reshape(shape), squared if loss is None else loss)
    _check_loss(found.loss, outputs, found.targets)
    return found


def make_optimizer(
    make: MakeOptimizer, values: Iterable[Tensor], learning_rate: float
) -> torch.optim.Optimizer:
    """An optimizer whose steps need nothing but gradients.

    Raises
    ------
    TypeError
        For what makes no optimizer, or one that wants to call the loss itself (LBFGS).
    ValueError
        For learning rates that are not finite and positive.
    """
    if not callable(make):
        raise TypeError(
            "optimizer must be called as optimizer(parameters, lr=learning_rate), such as "
            f"torch.optim.SGD, got {make!r}"
        )
    made = make(values, lr=check_positive(learning_rate, "learning_rate"))
    if not isinstance(made, torch.optim.Optimizer) or isinstance(made, torch.optim.LBFGS):
        raise TypeError(
            "optimizer must make a torch optimizer that steps along gradients without a closure, "
            f"got {type(made).__name__}"
        )
    return made


def _check_loss(loss: Loss, outputs: Tensor, targets: Tensor) -> None:
    if not callable(loss):
        raise TypeError(f"loss must be called as loss(outputs, targets), got {loss!r}")
    with torch.no_grad():
        value = loss(outputs, targets)
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise ValueError("loss must return one number, the loss of all rows, as a tensor")


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
