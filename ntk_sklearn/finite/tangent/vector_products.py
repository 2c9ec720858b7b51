"""Kernels as products J (J^T u) with the unit vectors u of the columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vmap

from . import forms
from .function import ModuleFunction, n_rows, take
from .rows import row_jacobians


@dataclass(frozen=True)
class VectorProducts:
    """Gradients of the columns one piece after another, and derivatives of the rows along them.

    No product of gradients is formed: a piece of columns costs forward passes of the rows with
    their derivatives (Novak et al. 2022, section 3.3).

    Parameters
    ----------
    function : ModuleFunction
    form : str
    pass_rows, columns : int
        Rows, and columns, that are worked on at a time.
    vectorized : bool
        Whether `torch.func.vmap` follows the module.
    """

    function: ModuleFunction
    form: str
    pass_rows: int
    columns: int
    vectorized: bool

    def record(self, inputs: Any) -> Any:
        """The inputs: nothing else is kept."""
        return inputs

    def products(self, total: Tensor, names: Sequence[str], a: Any, b: Any) -> None:
        """Add the products of the gradients by some parameters to a stack (b, N, M)."""
        total += forms.reduced(self._full(names, a, b)[0], self.form)

    def gram(self, total: Tensor, names: Sequence[str], a: Any) -> Tensor:
        """Add products of rows with themselves; returns `squares`."""
        full, found = self._full(names, a, a)
        total += forms.reduced(full, self.form)
        return found

    def squares(self, names: Sequence[str], a: Any) -> Tensor:
        """Squared norms (n, k) of the gradients."""
        pieces = self._pieces(a, self.columns)
        return torch.cat([_squares(self._gradients(names, piece)) for piece in pieces])

    def _full(self, names: Sequence[str], a: Any, b: Any) -> tuple[Tensor, Tensor]:
        """All products (n, k, m, k), and the squares (m, k) of the columns."""
        blocks, found = [], []
        for piece in self._pieces(b, self.columns):
            gradients = self._gradients(names, piece)
            found.append(_squares(gradients))
            blocks.append(self._along(gradients, a))
        return torch.cat(blocks, 2), torch.cat(found)

    def _gradients(self, names: Sequence[str], rows: Any) -> dict[str, Tensor]:
        return row_jacobians(self.function, names, rows, self.vectorized)

    def _along(self, gradients: dict[str, Tensor], a: Any) -> Tensor:
        """Derivatives (n, k, c, k) of rows along the gradients (c, k, size) of columns."""
        (c, k), values = next(iter(gradients.values())).shape[:2], self.function.values
        directions = {
            name: found.reshape(c * k, *values[name].shape) for name, found in gradients.items()
        }
        found = [self._derivatives(directions, x) for x in self._pieces(a, self.pass_rows)]
        return torch.cat(found, 1).unflatten(0, (c, k)).permute(2, 3, 0, 1)

    def _derivatives(self, directions: dict[str, Tensor], x: Any) -> Tensor:
        """Derivatives (directions, n, k) of the outputs."""
        at = {name: self.function.values[name] for name in directions}

        def along(direction: dict[str, Tensor]) -> Tensor:
            moved = jvp(
                lambda v: self.function({**self.function.values, **v}, x), (at,), (direction,)
            )
            tangent: Tensor = moved[1]
            return tangent

        if self.vectorized:
            found: Tensor = vmap(along)(directions)
            return found.detach()
        several = zip(*(d.unbind() for d in directions.values()), strict=True)
        return torch.stack([along(dict(zip(directions, d, strict=True))) for d in several]).detach()

    @staticmethod
    def _pieces(inputs: Any, step: int) -> Iterator[Any]:
        for start in range(0, n_rows(inputs), step):
            yield take(inputs, slice(start, start + step))


def _squares(gradients: dict[str, Tensor]) -> Tensor:
    return torch.stack([found.square().sum(2) for found in gradients.values()]).sum(0)
