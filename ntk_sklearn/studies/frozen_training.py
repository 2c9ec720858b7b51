"""A module under its optimizer, and its linearization under the same one with D frozen."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..finite.preconditioners import Diagonal, Rule, preconditioned_kernel
from ..finite.preconditioners.reading import check_optimizer
from ..finite.preconditioners.rules import advance
from ..finite.tangent import Inputs, Jacobian, ModuleFunction
from ..inference import gradient_flow, training_modes
from ._checks import as_targets
from ._tangent import as_matrix


class Training:
    """A module that its optimizer trains on half the weighted sum of squares, in full batches.

    Attributes
    ----------
    moved : list of str
        The parameters that get gradients and are among the optimizer's; it leaves all others, be
        they frozen or not used, where they are.

    Raises
    ------
    TypeError
        For optimizers that cannot be read.
    ValueError
        If the optimizer maximizes or moves nothing, or the targets do not fit the outputs.
    """

    def __init__(
        self, module: nn.Module, optimizer: Optimizer, X: Inputs, y: Any, weight: float
    ) -> None:
        self.module, self.optimizer, self.X, self.weight = module, optimizer, X, weight
        check_optimizer(optimizer)
        self.prepare = ModuleFunction(module).prepare
        self.inputs = self.prepare(X)
        if any(group["maximize"] for group in optimizer.param_groups):
            raise ValueError("the optimizer maximizes, and the loss is to be minimized")
        outputs = _call(module, self.inputs).detach()
        self.y = as_targets(y).to(outputs)
        self.y = self.y[:, None] if self.y.ndim == 1 else self.y
        if self.y.shape != outputs.shape:
            raise ValueError(
                f"y has the shape {tuple(self.y.shape)}, the outputs {tuple(outputs.shape)}"
            )
        self.moved = self._moved()

    def _moved(self) -> list[str]:
        own = {p for group in self.optimizer.param_groups for p in group["params"]}
        named = {n: p for n, p in self.module.named_parameters() if p in own and p.requires_grad}
        if not named:
            raise ValueError("the optimizer moves none of the module's parameters")
        slopes = torch.autograd.grad(self._loss(), list(named.values()), allow_unused=True)
        return [name for name, slope in zip(named, slopes, strict=True) if slope is not None]

    def step(self) -> None:
        """One step of the optimizer."""
        self.optimizer.zero_grad()
        self._loss().backward()
        self.optimizer.step()

    def loss(self) -> float:
        """The present loss."""
        with torch.no_grad():
            return float(self._loss())

    def outputs(self, rows: Inputs) -> np.ndarray:
        """The present outputs (m, k) in float64."""
        with torch.no_grad():
            found: np.ndarray = _call(self.module, self.prepare(rows)).cpu().double().numpy()
        return found

    def _loss(self) -> Tensor:
        return self.weight / 2.0 * (_call(self.module, self.inputs) - self.y).square().sum()


class FrozenTraining:
    """The linearized module under the same optimizer with D frozen."""

    def __init__(
        self, function: ModuleFunction, found: dict[str, Rule], training: Training, rows: Inputs
    ) -> None:
        self.function, self.rules, self.weight = function, found, training.weight
        self.J = Jacobian(function, function.values, function.prepare(training.X))
        self.at = Jacobian(function, function.values, function.prepare(rows))
        self.theta0 = function.flatten(function.values)
        self.theta, self.steps = dict(function.values), 0
        self.f0, self.start = self.J.outputs() - training.y, self.at.outputs()
        self.denominator = self._flat({name: rule.denominator for name, rule in found.items()})
        per_step = {
            name: rule.current_rate * rule.steady_gain / rule.denominator
            for name, rule in found.items()
        }
        D = Diagonal(self._flat(per_step))
        X, Z = self.J.inputs, self.at.inputs
        self.kernel = as_matrix(preconditioned_kernel(function, X, preconditioner=D))
        self.cross = as_matrix(preconditioned_kernel(function, Z, X, preconditioner=D))
        self.modes = training_modes(self.kernel)

    def step(self) -> None:
        """One step of the optimizer's rules with D as it was at first."""
        residual = self.f0 + self.J.jvp(self._moved())
        slopes = self.function.unflatten(self.J.vjp(self.weight * residual))
        for name, rule in self.rules.items():
            self.rules[name], self.theta[name] = advance(rule, self.theta[name], slopes[name])
        self.steps += 1

    def expected(self) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (m, k) by the recursion, and by gradient flow."""
        recursion = self.start + self.at.jvp(self._moved())
        learned = partial(gradient_flow, t=self.weight * self.steps)
        residual = -self.f0.reshape(-1, 1).cpu().numpy()
        change = self.cross @ self.modes.coefficients(residual, learned)
        start = self.start.cpu().numpy()
        return recursion.cpu().numpy(), start + change.reshape(start.shape)

    def drift(self, now: dict[str, Rule]) -> float:
        """How far D has gone from where it was frozen, relative to its norm."""
        D = self._flat({name: rule.denominator for name, rule in now.items()})
        return float((D - self.denominator).norm() / self.denominator.norm())

    def _moved(self) -> Tensor:
        return self._flat(self.theta) - self.theta0

    def _flat(self, values: dict[str, Tensor]) -> Tensor:
        return self.function.flatten(values)


def _call(module: nn.Module, inputs: Any) -> Tensor:
    found = module(**inputs) if isinstance(inputs, dict) else module(*inputs)
    return found.reshape(len(found), -1)
