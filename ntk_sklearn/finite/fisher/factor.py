"""The factor A of a Fisher or Gauss-Newton matrix F = A^T A, in pieces of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import vmap

from ..tangent import Jacobian
from ..tangent.pieces import Pieces, sum_of
from .roots import Root


@dataclass(frozen=True)
class Part:
    """sqrt(c_i) R_i^T J_i of some rows, as products with several vectors side by side."""

    jacobian: Jacobian
    root: Root
    amplitude: Tensor

    def forward(self, V: Tensor) -> Tensor:
        """A v (q, n, rank) of directions (q, n_parameters)."""
        push = self.jacobian.jvp
        outputs = push(V[0])[None] if len(V) == 1 else vmap(push)(V)
        return self.root.adjoint(outputs) * self.amplitude[:, None]

    def adjoint(self, U: Tensor) -> Tensor:
        """A^T u (q, n_parameters) of cotangents (q, n, rank)."""
        outputs, pull = self.root.apply(U * self.amplitude[:, None]), self.jacobian.vjp
        return pull(outputs[0])[None] if len(U) == 1 else vmap(pull)(outputs)

    def rows(self) -> Tensor:
        """A itself, (n * rank, n_parameters)."""
        unit = torch.eye(self.root.rank).to(self.amplitude)[:, None, :]
        directions = self.root.apply(unit * self.amplitude[:, None])
        return self.jacobian.by_row(directions.transpose(0, 1)).flatten(0, 1)


@dataclass(frozen=True)
class Factor:
    """A (n * rank, n_parameters), rows by sample and then by column of the roots.

    Attributes
    ----------
    pieces : Pieces
    root : Root
        Of the curvature of all rows' losses.
    amplitude : Tensor, (n,)
        Square roots of the rows' shares of the mean.
    """

    pieces: Pieces
    root: Root
    amplitude: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        n_parameters = self.pieces.jacobian.function.n_parameters
        return len(self.amplitude) * self.root.rank, n_parameters

    def forward(self, V: Tensor) -> Tensor:
        """A v as (q, n * rank) of directions (q, n_parameters)."""
        return torch.cat([self._forward(few) for few in self.pieces.directions(V)])

    def _forward(self, few: Tensor) -> Tensor:
        slices = self.pieces.rows(len(few))
        return torch.cat([self.part(rows).forward(few) for rows in slices], 1).flatten(1)

    def adjoint(self, U: Tensor) -> Tensor:
        """A^T u as (q, n_parameters) of cotangents (q, n * rank)."""
        cotangents = U.unflatten(1, (-1, self.root.rank))
        return torch.cat([self._adjoint(few) for few in self.pieces.directions(cotangents)])

    def _adjoint(self, few: Tensor) -> Tensor:
        slices = self.pieces.rows(len(few))
        return sum_of(self.part(rows).adjoint(few[:, rows]) for rows in slices)

    def normal(self, V: Tensor) -> Tensor:
        """A^T A v as (q, n_parameters): one pass over the rows."""
        return torch.cat([self._normal(few) for few in self.pieces.directions(V)])

    def _normal(self, few: Tensor) -> Tensor:
        parts = map(self.part, self.pieces.rows(len(few)))
        return sum_of(part.adjoint(part.forward(few)) for part in parts)

    def dense(self) -> Iterator[Tensor]:
        """A in pieces (b * rank, n_parameters)."""
        row = self.root.rank * self.shape[1] * self.amplitude.element_size()
        for rows in self.pieces.rows(self.root.rank, extra=row):
            yield self.part(rows).rows()

    def part(self, rows: slice) -> Part:
        """Some rows."""
        jacobian = self.pieces.jacobian.rows(rows)
        return Part(jacobian, self.root.take(rows), self.amplitude[rows])
