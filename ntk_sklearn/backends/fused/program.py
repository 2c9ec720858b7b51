"""The table of layers that the fused engine executes, as plain data.

A stride-1 convolution moves both positions of a pair together, so it keeps the *displacement*
delta = i' - i between the position i in the row image and i' in the column image, and a stride s
takes delta to delta / s. Everything between two layers that mix displacements (pooling) is a
*stage*: each of its displacements is one independent plane of positions i that runs through all
operations of the stage while it lies in the cache. Stages pass their results on through *buffers*,
which collect sums over planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from ...architecture import Layer, Window
from ...duals import DualActivation

Sizes = tuple[int, ...]
Matrix = tuple[tuple[float, ...], ...]


class Sink(IntEnum):
    """Where an operation leaves its results."""

    REGISTER = 0  # a plane of the same stage, after sums over a window
    BUFFER = 1  # the buffer between two stages, added up over pairs of windows
    HEAD = 2  # the sum over all planes of the stage that the network's head asks for


@dataclass(frozen=True)
class Affine:
    """q' = scale q + bias and t' = scale (t + rate q) + bias_ntk of NNGP q and NTK t."""

    scale: float = 1.0
    bias: float = 0.0
    rate: float = 0.0
    bias_ntk: float = 0.0


UNCHANGED = Affine()


class NotFusedError(Exception):
    """The network has a part that the engine does not cover; the message says which."""


@dataclass
class Operation:
    """Apply an activation, sum over windows, map linearly, and leave or add the result.

    Attributes
    ----------
    source : int
        Register of the stage.
    sink : Sink
    target : int
        Register, buffer or head.
    activation : DualActivation or None
    windows : tuple of Window
        Per axis. For a register both positions move together; for a buffer they move
        independently, unless `together`.
    together : bool
        Whether only pairs at the same place of the window enter a buffer (a convolution).
    affine : Affine
    accumulate : bool
        Whether a register is added to instead of overwritten.
    local : bool
        Whether positions share no weights: a register gets nothing but at displacement 0.
    table : int
        Number of the table of variances that the activation needs.
    """

    source: int
    sink: Sink
    target: int
    windows: tuple[Window, ...]
    activation: DualActivation | None = None
    together: bool = False
    affine: Affine = UNCHANGED
    accumulate: bool = False
    local: bool = False
    table: int = -1


@dataclass(frozen=True)
class Register:
    """A plane of a stage: sizes of its image, and its cumulated strides since the stage's source.

    Its displacement is that of the source divided by the strides; it exists only where that is
    possible without a rest.
    """

    sizes: Sizes
    strides: Sizes


@dataclass
class Stage:
    """Operations on planes that keep their displacement.

    Attributes
    ----------
    source : int
        The buffer that is read, or -1 for the input images.
    wrapped : bool or None
        Whether planes hold all positions of one displacement modulo the size (circular padding),
        or those of one signed displacement; None where nothing has decided it.
    """

    source: int
    registers: list[Register]
    operations: list[Operation] = field(default_factory=list)
    wrapped: bool | None = None


@dataclass(frozen=True)
class Head:
    """The end of the positions: what is summed, and the weight of the sum.

    `diagonal` keeps pairs of equal positions only (`Flatten`), otherwise all pairs are summed.
    `shares` are the weights of pairs of positions, the product of a matrix for each axis.
    """

    diagonal: bool
    weight: float
    shares: tuple[Matrix, ...] = ()


def shared_places(lives: Sequence[tuple[int, int]]) -> list[int]:
    """Numbers of places for registers, one for all that are never alive together.

    `lives` holds the first operation that writes a register and the last that touches it.
    """
    free_behind: list[int] = []  # per place, the operation behind which it is free
    places = []
    for register in sorted(range(len(lives)), key=lambda r: lives[r][0]):
        begin, end = lives[register]
        place = next((p for p, free in enumerate(free_behind) if free < begin), len(free_behind))
        free_behind[place : place + 1] = [end]
        places.append((register, place))
    return [place for _, place in sorted(places)]


@dataclass
class Program:
    """A table of stages for images, and what follows each head."""

    stages: list[Stage]
    buffers: list[Sizes]
    heads: list[Head]
    tails: list[tuple[int, tuple[Layer, ...]]]  # per network: its head, and the layers behind it
    n_tables: int = 0
