"""Pieces of rows whose graphs fit into a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor

from ..._validation import working_bytes
from .function import tensors_of
from .graph import kept_bytes
from .jacobian import Jacobian

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
    memory_budget : int, str or None
        Bytes for what a piece needs beside the parameters, inputs and outputs, as a number or
        "2GB"; None is scikit-learn's `working_memory`. One row and one direction are the least,
        whatever they need.

    Raises
    ------
    ValueError
        For budgets that are not positive, no rows, and rows that depend on each other.
    """

    jacobian: Jacobian
    memory_budget: int | str | None = None

    def __post_init__(self) -> None:
        if not self.budget:
            raise ValueError("memory_budget must be at least one byte")
        if not len(self.jacobian):
            raise ValueError("X has no rows")
        self.jacobian.check_rows()

    @cached_property
    def budget(self) -> int:
        """The budget in bytes."""
        return working_bytes(self.memory_budget)

    @cached_property
    def row_bytes(self) -> int:
        """Bytes that the graph of one row keeps, measured."""
        return graph_bytes(self.jacobian)

    def rows(self, directions: int, extra: int = 0) -> list[slice]:
        """Pieces of rows that several directions, and further bytes per row, fit into."""
        per_row = self.row_bytes * (1 + directions) + extra
        size = max(1, self.budget // (_COPIES * per_row))
        return [slice(at, at + size) for at in range(0, len(self.jacobian), size)]

    def directions(self, vectors: Tensor) -> Iterator[Tensor]:
        """Rows of a matrix in groups whose tangents in parameter space fit."""
        function = self.jacobian.function
        tangent = _COPIES * function.n_parameters * function.dtype.itemsize
        return iter(vectors.split(max(1, min(_DIRECTIONS, self.budget // tangent))))

    def outputs(self) -> Tensor:
        """f (n, k) of all rows."""
        return torch.cat([self.jacobian.rows(rows).outputs() for rows in self.rows(1)])

    def vjp(self, cotangent: Tensor) -> Tensor:
        """J^T u (n_parameters,) of a cotangent (n, k)."""
        slices = self.rows(1)
        return sum_of(self.jacobian.rows(rows).vjp(cotangent[rows]) for rows in slices)


def sum_of(parts: Iterator[Tensor]) -> Tensor:
    """The sum, of which one part is alive at a time."""
    total = next(parts).clone()
    for part in parts:
        total += part
    return total


def gram(pieces: Callable[[], Iterable[Tensor]], size: int) -> Tensor:
    """G G^T (size, size), exactly symmetric, of a matrix that comes in pieces of its rows.

    Only a piece and one before it are held: pieces are made anew for each one behind them.
    """
    found, start = torch.empty(0), 0
    for i, left in enumerate(pieces()):
        found = left.new_empty(size, size) if i == 0 else found
        own, stop = left @ left.mT, start + len(left)
        found[start:stop, start:stop] = (own + own.mT) / 2.0
        _fill(found[start:stop], left, islice(pieces(), i))
        found[:start, start:stop] = found[start:stop, :start].mT
        start = stop
    return found


def products(
    left: Callable[[], Iterable[Tensor]], right: Callable[[], Iterable[Tensor]], size: int
) -> Tensor:
    """G H^T (rows, size) of two matrices that come in pieces of their rows."""
    found = []
    for rows in left():
        found.append(rows.new_empty(len(rows), size))
        _fill(found[-1], rows, right())
    return torch.cat(found)


def _fill(target: Tensor, left: Tensor, pieces: Iterable[Tensor]) -> None:
    start = 0
    for right in pieces:
        target[:, start : start + len(right)] = left @ right.mT
        start += len(right)


def graph_bytes(jacobian: Jacobian) -> int:
    """Bytes of the tensors that the graph of the first row holds beside parameters and inputs."""
    first = jacobian.rows(slice(0, 1))
    values = {name: v.detach().requires_grad_() for name, v in first.values.items()}
    with torch.enable_grad():
        outputs, kept = kept_bytes(
            lambda: first.function(values, first.inputs),
            [*values.values(), *tensors_of(first.inputs)],
        )
    return kept + outputs.numel() * outputs.element_size()
