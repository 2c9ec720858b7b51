"""The Jacobian of a module's outputs in its parameters, as products with vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vjp

from .function import (
    ROWS_MEET,
    ModuleFunction,
    Prepared,
    Values,
    agree,
    following_gradients,
    n_rows,
    take,
)
from .rows import row_jacobians


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
    inputs: Prepared

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
        return self.by_row().flatten(0, 1)

    @following_gradients()
    def by_row(self, directions: Tensor | None = None) -> Tensor:
        """u^T J_i (n, q, n_parameters) for directions u (n, q, k) of each row i.

        None for the outputs themselves, q = k. Each row is in a pass of its own, all at once where
        `torch.func.vmap` follows the module.

        Raises
        ------
        ValueError
            See `check_rows`.
        """
        self.check_rows()
        at, names = self.function.at(self.values), list(self.function.values)
        found = row_jacobians(at, names, self.inputs, directions=directions)
        return torch.cat([found[name] for name in names], 2)

    @following_gradients()
    def check_rows(self) -> None:
        """Refuse outputs of the first row that the second one, or chance, changes.

        Raises
        ------
        ValueError
            Naming what outputs must be.
        """
        beside, alone = (self.rows(slice(n)).outputs()[:1] for n in (2, 1))
        if bool(alone.isfinite().all()) and not agree(beside, alone):
            raise ValueError(ROWS_MEET)

    def rows(self, some: slice) -> Jacobian:
        """That of some rows."""
        return replace(self, inputs=take(self.inputs, some))

    def __len__(self) -> int:
        return n_rows(self.inputs)

    def _pullback(self) -> tuple[Tensor, Callable[[Tensor], Any]]:
        """The outputs, and what maps cotangents to derivatives by parameter."""
        found: Any = vjp(self._at, dict(self.values))
        return found[0], found[1]

    def _at(self, values: Values) -> Tensor:
        return self.function(values, self.inputs)
