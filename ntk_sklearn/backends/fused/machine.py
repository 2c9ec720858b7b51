"""What the compiled engine knows while it runs: tables, memory, and the plane it reads.

All arrays are pointers (see `lanes.pointer`), offsets count numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .activations import MASKING
from .compiling import compiled
from .lanes import LANES, kept_apart
from .rows import activate, scale
from .tables import (
    GROWN,
    HEIGHT,
    KIND,
    NUMBERS,
    OPERATION,
    REGISTER,
    SOURCE,
    STRIDES,
    TABLE,
    WIDTH,
)


class Machine(NamedTuple):
    """The tables of a program, the workspace, and what changes from plane to plane."""

    operations: Any
    numbers: Any
    registers: Any
    stages: Any
    buffers: Any
    slots: Any
    starts: Any
    places: Any
    taps: Any
    diagonal: Any
    shared: Any
    shares: Any
    n_channels: Any
    rows: Any  # of scratch
    half: Any  # numbers between the NNGP and the NTK part of a row of scratch
    ws: Any
    at: Any  # per register: where its plane begins for NNGP and NTK, and the length of its rows
    tags: Any  # per row of scratch: the row of the source that it holds
    found: Any  # the rows of scratch to be added up
    images: Any
    sums: Any


class Source(NamedTuple):
    """The plane that an operation reads, and the activation it is read through."""

    q: Any
    t: Any
    pitch: Any
    height: Any
    width: Any
    y0: Any  # the positions of the row image on the plane
    y1: Any
    x0: Any
    x1: Any
    shift_y: Any  # the displacement
    shift_x: Any
    kind: Any
    table: Any
    numbers: Any


@compiled
def region(size, displacement, wrapped):
    """Positions i of the row image for which i + displacement is one of the column image."""
    if wrapped:
        return 0, size
    low, high = max(0, -displacement), min(size, size - displacement)
    return low, max(low, high)


@compiled
def source(m, k, dy, dx, wrapped):
    """What operation k reads on the plane of displacement (dy, dx) at the stage's source."""
    o = k * OPERATION
    r = m.operations[o + SOURCE]
    a, r = 3 * r, r * REGISTER
    height, width = m.registers[r + HEIGHT], m.registers[r + WIDTH]
    shift_y, shift_x = dy // m.registers[r + STRIDES], dx // m.registers[r + STRIDES + 1]
    y0, y1 = region(height, shift_y, wrapped)
    x0, x1 = region(width, shift_x, wrapped)
    return Source(
        m.at[a], m.at[a + 1], m.at[a + 2], height, width, y0, y1, x0, x1, shift_y, shift_x,
        m.operations[o + KIND], m.operations[o + TABLE], k * NUMBERS,
    )  # fmt: skip


@compiled
def read(m, s, each, y, x, n, out_q, out_t):
    """Activated covariances of n positions of a row of the source, from x on."""
    kept_apart()
    skip = ((y - s.y0) * s.pitch + x - s.x0) * LANES
    zy, zx = y + s.shift_y, x + s.shift_x
    if zy >= s.height:
        zy -= s.height
    if zx >= s.width:
        zx -= s.width
    before = min(n, s.width - zx)  # where a wrapped plane begins again in the column image
    here, there = s.table + y * s.width + x, s.table + zy * s.width
    activate(
        s.kind, m.ws, s.q + skip, s.t + skip, before, m.images, here, there + zx, m.numbers,
        s.numbers, each, out_q, out_t,
    )  # fmt: skip
    if before < n:
        gone = before * LANES
        activate(
            s.kind, m.ws, s.q + skip + gone, s.t + skip + gone, n - before, m.images, here + before,
            there, m.numbers, s.numbers, each, out_q + gone, out_t + gone,
        )  # fmt: skip
    if each and s.kind == MASKING and s.shift_y == 0 and s.shift_x == 0:
        grown = m.numbers[s.numbers + GROWN]  # only an image's position with itself has one mask
        scale(m.ws, out_q, n, grown)
        scale(m.ws, out_t, n, grown)
