"""Pieces of rows whose graphs fit into a memory budget, and gradients row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

import torch
from torch import Tensor
from torch.func import vjp, vmap

from ..tangent import Jacobian
from ..tangent.function import _tensors, take

# Forward mode holds values and tangents, reverse mode values and gradients, each with temporaries.
_COPIES = 4
# Directions that are propagated side by side: beyond, dispatching costs nothing any more.
_DIRECTIONS = 32


@dataclass(frozen=True)
class Pieces:
    """How many rows, and how many directions in parameter space, are treated at a time.

    Attributes
    ----------
    jacobian : Jacobian
        Of all rows.
    memory_budget : int
        Bytes for what a piece needs beside the parameters, inputs and outputs. One row and one
        direction are the least, whatever they need.
    """

    jacobian: Jacobian
    memory_budget: int

    def __post_init__(self) -> None:
        if not isinstance(self.memory_budget, Integral) or self.memory_budget < 1:
            raise ValueError(f"memory_budget must be a number of bytes, got {self.memory_budget!r}")
        if not len(self.jacobian):
            raise ValueError("X has no rows")

    @cached_property
    def row_bytes(self) -> int:
        """Bytes that the graph of one row keeps, measured."""
        return graph_bytes(self.jacobian)

    def rows(self, directions: int, extra: int = 0) -> list[slice]:
        """Pieces of rows that several directions, and further bytes per row, fit into."""
        per_row = self.row_bytes * (1 + directions) + extra
        size = max(1, self.memory_budget // (_COPIES * per_row))
        return [slice(at, at + size) for at in range(0, len(self.jacobian), size)]

    def directions(self, vectors: Tensor) -> Iterator[Tensor]:
        """Rows of a matrix in groups whose tangents in parameter space fit."""
        function = self.jacobian.function
        tangent = _COPIES * function.n_parameters * function.dtype.itemsize
        return iter(vectors.split(max(1, min(_DIRECTIONS, self.memory_budget // tangent))))

    def outputs(self) -> Tensor:
        """f (n, k) of all rows."""
        return torch.cat([at_rows(self.jacobian, rows).outputs() for rows in self.rows(1)])

    def vjp(self, cotangent: Tensor) -> Tensor:
        """J^T u (n_parameters,) of a cotangent (n, k)."""
        slices = self.rows(1)
        return sum_of(at_rows(self.jacobian, rows).vjp(cotangent[rows]) for rows in slices)


def sum_of(parts: Iterator[Tensor]) -> Tensor:
    """The sum, of which one part is alive at a time."""
    total = next(parts).clone()
    for part in parts:
        total += part
    return total


def at_rows(jacobian: Jacobian, rows: slice) -> Jacobian:
    """The Jacobian of some rows."""
    return Jacobian(jacobian.function, jacobian.values, take(jacobian.inputs, rows))


def gradients_by_row(jacobian: Jacobian, directions: Tensor) -> Tensor:
    """u^T J_i (n, q, n_parameters) for directions u (n, q, k) of each row i.

    All rows at once where torch.func can map the module over rows, and else one after the other.
    """
    function, values = jacobian.function, dict(jacobian.values)

    def of_one(row: Any, u: Tensor) -> Tensor:
        alone = take(row, None)
        pulled: Any = vjp(lambda at: function(at, alone)[0], values)
        (found,) = vmap(pulled[1])(u)
        return torch.cat([found[name].flatten(1) for name in function.values], 1).detach()

    try:
        together: Tensor = vmap(of_one)(jacobian.inputs, directions)
    except RuntimeError:  # recurrent layers, and some in-place arithmetic, have no batching rules
        each = [take(jacobian.inputs, i) for i in range(len(jacobian))]
        return torch.stack([of_one(row, u) for row, u in zip(each, directions, strict=True)])
    return together


def graph_bytes(jacobian: Jacobian) -> int:
    """Bytes of the tensors that the graph of the first row holds beside parameters and inputs."""
    first = at_rows(jacobian, slice(0, 1))
    values = {name: v.detach().requires_grad_() for name, v in first.values.items()}
    own = {t.untyped_storage().data_ptr() for t in [*values.values(), *_tensors(first.inputs)]}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = first.function(values, first.inputs)
    found = sum(t.untyped_storage().nbytes() for at, t in kept.items() if at not in own)
    return found + outputs.numel() * outputs.element_size()
