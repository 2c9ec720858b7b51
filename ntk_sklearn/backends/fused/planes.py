"""The engine: all operations of a stage on one plane, plane after plane. Compiled.

All arrays are pointers (see `lanes.pointer`), offsets count numbers.
"""

from __future__ import annotations

from .compiling import Entry, compiled
from .lanes import LANES, kept_apart, pointer
from .machine import Machine, region, source
from .program import Sink
from .rows import Images, clear, products
from .sinks import to_buffer, to_head
from .tables import (
    AT,
    BUFFER,
    BUFFER_COLUMNS,
    FIRST,
    FIRST_PLANE,
    FIRST_REGISTER,
    HALF,
    HEIGHT,
    LAST,
    LAST_PLANE,
    N_SLOTS,
    OFFSET,
    OPERATION,
    REGISTER,
    SINK,
    SLOTS,
    SOURCE,
    STAGE,
    STRIDES,
    TARGET,
    WIDTH,
    WRAPPED,
)
from .windows import to_register

_REGISTER, _BUFFER = int(Sink.REGISTER), int(Sink.BUFFER)


@compiled
def _open(m, stage, s, each):
    """Let the first register of a stage be a plane of the inputs' products, or of a buffer."""
    kept_apart()
    first = m.stages[stage * STAGE + FIRST_REGISTER]
    a, n, pixels = 3 * first, s.x1 - s.x0, s.height * s.width
    if m.stages[stage * STAGE + BUFFER] >= 0:
        b = m.stages[stage * STAGE + BUFFER] * BUFFER_COLUMNS
        row = m.slots[m.buffers[b + SLOTS] + s.shift_y % s.height]
        column = m.slots[m.buffers[b + SLOTS + 1] + s.shift_x % s.width]
        plane = row * m.buffers[b + N_SLOTS + 1] + column
        q = m.buffers[b + AT] + (plane * pixels + s.y0 * s.width + s.x0) * LANES
        m.at[a], m.at[a + 1], m.at[a + 2] = q, q + m.buffers[b + HALF], s.width
        return
    q = m.registers[first * REGISTER + OFFSET]
    m.at[a], m.at[a + 1], m.at[a + 2] = q, q + pixels * LANES, n
    for y in range(s.y0, s.y1):
        zy, zx = (y + s.shift_y) % s.height, (s.x0 + s.shift_x) % s.width
        before = min(n, s.width - zx)
        x, z, i = y * s.width + s.x0, zy * s.width + zx, q + (y - s.y0) * n * LANES
        products(m.ws, i, before, m.images, x, z, m.n_channels, pixels, each)
        clear(m.ws, i + pixels * LANES, n)
        if before < n:
            x, z, i = x + before, zy * s.width, i + before * LANES
            products(m.ws, i, n - before, m.images, x, z, m.n_channels, pixels, each)


@compiled
def _run_plane(m, stage, dy, dx, each):
    """All operations of a stage on one plane."""
    kept_apart()
    g = stage * STAGE
    wrapped = m.stages[g + WRAPPED] != 0
    for k in range(m.stages[g + FIRST], m.stages[g + LAST]):
        o = k * OPERATION
        r = m.operations[o + SOURCE] * REGISTER + STRIDES
        if dy % m.registers[r] or dx % m.registers[r + 1]:
            continue
        s = source(m, k, dy, dx, wrapped)
        some = s.y1 > s.y0 and s.x1 > s.x0
        if k == m.stages[g + FIRST] and some:
            _open(m, stage, s, each)
            s = source(m, k, dy, dx, wrapped)
        if m.operations[o + SINK] == _REGISTER:
            r = m.operations[o + TARGET] * REGISTER
            stride_y, stride_x = m.registers[r + STRIDES], m.registers[r + STRIDES + 1]
            if dy % stride_y or dx % stride_x:
                continue
            y0, y1 = region(m.registers[r + HEIGHT], dy // stride_y, wrapped)
            x0, x1 = region(m.registers[r + WIDTH], dx // stride_x, wrapped)
            if y1 > y0 and x1 > x0:
                to_register(m, k, s, each, wrapped, y0, y1, x0, x1 - x0)
        elif m.operations[o + SINK] == _BUFFER:
            if some:
                to_buffer(m, k, s, each)
        elif some:
            head = m.operations[o + TARGET]
            if m.diagonal[head] == 0 or (s.shift_y == 0 and s.shift_x == 0):
                to_head(m, k, s, each)


@Entry
def run(tb, first, last, restart, ws, integers, x, xu, xw, xc, z, zu, zw, zc, each, sums, halt):
    """Stages `first` to `last` for each of several row images against one block of columns.

    `x`, `xu`, `xw` and `xc` have one row per row image; `sums` (n_rows, 2 n_heads LANES) is added
    to. `ws` and `integers` are memory to work in: its own would be freed before the pointer to it
    is used. Stops early once `halt` is not 0.
    """
    tags = integers[3 * len(tb.registers) :]
    found = tags[tb.depth :]
    for i in range(len(x)):
        if restart:
            ws[: tb.n_buffered] = 0.0
        images = Images(
            pointer(x[i]), pointer(xu[i]), pointer(xw[i]), pointer(xc[i]),
            pointer(z), pointer(zu), pointer(zw), pointer(zc),
        )  # fmt: skip
        m = Machine(
            pointer(tb.operations), pointer(tb.numbers), pointer(tb.registers), pointer(tb.stages),
            pointer(tb.buffers), pointer(tb.slots), pointer(tb.starts),
            pointer(tb.places), pointer(tb.taps), pointer(tb.diagonal),
            pointer(tb.shared), pointer(tb.shares), tb.n_channels, tb.rows, tb.width * LANES,
             pointer(ws), pointer(integers), pointer(tags), pointer(found), images,
            pointer(sums[i]),
        )  # fmt: skip
        for stage in range(first, last):
            for p in range(tb.stages[stage, FIRST_PLANE], tb.stages[stage, LAST_PLANE]):
                if halt[0] != 0:
                    return
                _run_plane(m, stage, tb.planes[p, 0], tb.planes[p, 1], each)
