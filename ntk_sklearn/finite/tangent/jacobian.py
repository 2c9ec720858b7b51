"""The Jacobian of a module's outputs in its parameters, as products with vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vjp, vmap

from .function import ModuleFunction, Values, following_gradients, n_rows, take

# rows of a dense Jacobian in one pass, which goes back through all of them for each output of each
_PIECE = 2


@dataclass(frozen=True)
class Jacobian:
    """J (n * k, n_parameters): derivatives of outputs (n, k), by sample and then by output.

    Attributes
    ----------
    function : ModuleFunction
    values : mapping
        Where it is taken: ``function.values``, or other parameters of the same names and shapes.
    inputs
        From ``function.prepare``.
    """

    function: ModuleFunction
    values: Values
    inputs: Any

    def outputs(self) -> Tensor:
        """f (n, k)."""
        with torch.no_grad():
            return self.function(self.values, self.inputs)

    @following_gradients()
    def jvp(self, direction: Tensor) -> Tensor:
        """J v (n, k) of a direction (n_parameters,) in parameter space."""
        tangent = self.function.unflatten(direction)
        found: Tensor = jvp(self._at, (dict(self.values),), (tangent,))[1]
        return found.detach()

    @following_gradients()
    def vjp(self, cotangent: Tensor) -> Tensor:
        """J^T u (n_parameters,) of a cotangent (n, k)."""
        _, pull = self._pullback()
        (found,) = pull(cotangent)
        return self.function.flatten(found).detach()

    @following_gradients()
    def dense(self) -> Tensor:
        """J itself, (n * k, n_parameters): for few rows and small modules only."""
        ends = range(_PIECE, len(self), _PIECE)
        pieces = [slice(a, b) for a, b in zip([0, *ends], [*ends, None], strict=True)]
        parts = [replace(self, inputs=take(self.inputs, piece)) for piece in pieces]
        return torch.cat([part._at_once() for part in parts])

    def _at_once(self) -> Tensor:
        outputs, pull = self._pullback()
        n, k = outputs.shape
        directions = torch.eye(n * k, dtype=outputs.dtype, device=outputs.device)
        (found,) = vmap(pull)(directions.reshape(n * k, n, k))
        rows = [found[name].reshape(n * k, -1) for name in self.function.values]
        return torch.cat(rows, dim=1).detach()

    def __len__(self) -> int:
        return n_rows(self.inputs)

    def _pullback(self) -> tuple[Tensor, Callable[[Tensor], Any]]:
        """The outputs, and what maps cotangents to derivatives by parameter."""
        found: Any = vjp(self._at, dict(self.values))
        return found[0], found[1]

    def _at(self, values: Values) -> Tensor:
        return self.function(values, self.inputs)
