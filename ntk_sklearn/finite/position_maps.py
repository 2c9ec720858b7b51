"""Linear maps of positions, and branches side by side, in networks of finite width."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..architecture import (
    Aggregate,
    ConcatPositions,
    GraphInput,
    Matrix,
    PositionMap,
    axis_maps,
    check_nodes,
)
from .build import Wire, alike, build
from .modules import Branches, Part, Run, Tape


class Mapped(Part):
    """A fixed matrix along each spatial axis, or None where the axis stays as it is."""

    def __init__(self, maps: tuple[Matrix | None, ...]) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, *mapped)."""
        for axis, matrix in enumerate(self.maps, start=2):
            if matrix is not None:
                x = _along(axis, as_tensor(matrix, x), x)
        return x

    def extra_repr(self) -> str:
        """The matrices."""
        return repr(self.maps)


class NodesOf(Part):
    """The features of rows that carry a graph."""

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, nodes) of rows (n, channels + nodes, nodes)."""
        return x[:, : -x.shape[-1]]


class Aggregated(Part):
    """Sums over neighbours in the graph that each row carries."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, *spatial)."""
        if not isinstance(tape, Run):
            raise ValueError("graphs are known while a whole network runs only")
        n_nodes = x.shape[2 + self.axis]
        check_nodes(n_nodes, tuple(tape.rows.shape[1:]))
        return _along(2 + self.axis, tape.rows[:, -n_nodes:], x)

    def extra_repr(self) -> str:
        """The axis of the nodes."""
        return f"axis={self.axis}"


class Joined(Branches):
    """Parts that read the same input, side by side along an axis of the output."""

    def __init__(self, parts: list[Part], axis: int) -> None:
        super().__init__(parts, concatenate=True)
        self.axis = axis

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, *spatial)."""
        return torch.cat([part(x, tape) for part in self.parts], self.axis)


def _along(axis: int, A: Tensor, x: Tensor) -> Tensor:
    """A matrix, or one of each row, applied along an axis of x (n, channels, *spatial)."""
    moved = x.movedim(axis, -1)
    rows_last = moved.reshape(len(moved), -1, moved.shape[-1]) @ A.mT
    return rows_last.reshape(*moved.shape[:-1], A.shape[-2]).movedim(-1, axis)


def as_tensor(matrix: Matrix, like: Tensor | torch.dtype) -> Tensor:
    """The entries, in the precision and on the device of another tensor."""
    entries = torch.frombuffer(bytearray(matrix.data), dtype=torch.float64)
    return entries.reshape(matrix.shape).to(like)


@build.register
def _(layer: PositionMap, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    maps = axis_maps(layer, wire.spatial)
    pairs = zip(maps, wire.spatial, strict=True)
    out = tuple(n if A is None else A.shape[0] for A, n in pairs)
    own = isinstance(layer, Aggregate) and layer.adjacency is None
    part = Aggregated(layer.axis) if own else Mapped(maps)  # type: ignore[attr-defined]
    return part, Wire(wire.channels, out, wire.merged)


@build.register
def _(layer: GraphInput, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    return NodesOf(), Wire(wire.channels - wire.spatial[0], wire.spatial, wire.merged)


@build.register
def _(layer: ConcatPositions, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    parts, ends = alike(layer, wire, channels, width)
    sizes = list(ends[0].spatial)
    sizes[layer.axis] = sum(end.spatial[layer.axis] for end in ends)
    return Joined(parts, 2 + layer.axis), replace(ends[0], spatial=tuple(sizes))
