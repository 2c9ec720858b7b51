"""The engine: all operations of a stage on one plane, plane after plane. Compiled.

All arrays are pointers (see `lanes.pointer`), offsets count numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .compiling import Entry, compiled
from .lanes import LANES, kept_apart, load, pointer, spread, store, widened
from .program import Sink
from .rows import (
    Images,
    activate,
    clear,
    combine,
    copy,
    products,
    slide,
    three_linear,
    three_relu,
)
from .tables import (
    ACCUMULATE,
    AT,
    BIAS,
    BIAS_NTK,
    BUFFER,
    BUFFER_COLUMNS,
    DILATION,
    ENDS,
    FIRST,
    FIRST_PLANE,
    FIRST_REGISTER,
    HALF,
    HEIGHT,
    KIND,
    LAST,
    LAST_PLANE,
    LOW,
    N_SLOTS,
    NUMBERS,
    OFFSET,
    OPERATION,
    REGISTER,
    SCALE,
    SINK,
    SIZE,
    SLOTS,
    SOURCE,
    STAGE,
    STRIDE,
    STRIDES,
    TABLE,
    TARGET,
    TOGETHER,
    WIDTH,
    WRAPPED,
)

_REGISTER, _BUFFER = int(Sink.REGISTER), int(Sink.BUFFER)
_NEVER = -(2**62)


class Machine(NamedTuple):
    """The tables of a program, the workspace, and what changes from plane to plane."""

    operations: Any
    numbers: Any
    registers: Any
    stages: Any
    planes: Any
    buffers: Any
    slots: Any
    starts: Any
    places: Any
    taps: Any
    diagonal: Any
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
def _region(size, displacement, wrapped):
    """Positions i of the row image for which i + displacement is one of the column image."""
    if wrapped:
        return 0, size
    low, high = max(0, -displacement), min(size, size - displacement)
    return low, max(low, high)


@compiled
def _source(m, k, dy, dx, wrapped):
    """What operation k reads on the plane of displacement (dy, dx) at the stage's source."""
    o = k * OPERATION
    r = m.operations[o + SOURCE]
    a, r = 3 * r, r * REGISTER
    height, width = m.registers[r + HEIGHT], m.registers[r + WIDTH]
    shift_y, shift_x = dy // m.registers[r + STRIDES], dx // m.registers[r + STRIDES + 1]
    y0, y1 = _region(height, shift_y, wrapped)
    x0, x1 = _region(width, shift_x, wrapped)
    return Source(
        m.at[a], m.at[a + 1], m.at[a + 2], height, width, y0, y1, x0, x1, shift_y, shift_x,
        m.operations[o + KIND], m.operations[o + TABLE], k * NUMBERS,
    )  # fmt: skip


@compiled
def _read(m, s, each, y, x, n, out_q, out_t):
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


@compiled
def _window_row(m, k, s, each, wrapped, y, x, n, row):
    """Sums over n windows along a row of the source, from target position x on."""
    kept_apart()
    o = k * OPERATION + 1
    size, stride, dilation = (
        m.operations[o + SIZE], m.operations[o + STRIDE], m.operations[o + DILATION],
    )  # fmt: skip
    first = x * stride - m.operations[o + LOW]
    span = (n - 1) * stride + (size - 1) * dilation + 1
    begin, end = max(s.x0, first), min(s.x1, first + span)
    if size == 1 and stride == 1 and end - begin == n:
        _read(m, s, each, y, begin, n, row, row + m.half)
        return
    end = max(begin, end)
    before, after = begin - first, first + span - end
    inner = m.rows + before * LANES
    if end > begin:
        _read(m, s, each, y, begin, end - begin, inner, inner + m.half)
        outer = inner + (end - begin) * LANES
    else:
        before, outer = span, m.rows
    for part in (0, m.half):
        if wrapped:
            turn = s.width * LANES
            copy(m.ws, m.rows + part + turn, m.rows + part, before)
            copy(m.ws, outer + part - turn, outer + part, after)
        else:
            clear(m.ws, m.rows + part, before)
            clear(m.ws, outer + part, after)
        slide(m.ws, m.rows + part, row + part, n, size, stride, dilation)


@compiled
def _to_register(m, k, s, each, wrapped, y0, y1, x, n):
    """Sums over windows, row by row of the target, each source row being computed once."""
    kept_apart()
    o = k * OPERATION
    size, stride, dilation = (
        m.operations[o + SIZE], m.operations[o + STRIDE], m.operations[o + DILATION],
    )  # fmt: skip
    target, reach = m.operations[o + TARGET], (size - 1) * dilation + 1
    r = target * REGISTER
    q = m.registers[r + OFFSET]
    t = q + m.registers[r + HEIGHT] * m.registers[r + WIDTH] * LANES
    m.at[3 * target], m.at[3 * target + 1], m.at[3 * target + 2] = q, t, n
    scale, add = m.numbers[s.numbers + SCALE], m.operations[o + ACCUMULATE] != 0
    bias, bias_ntk = m.numbers[s.numbers + BIAS], m.numbers[s.numbers + BIAS_NTK]
    if (
        s.kind <= 0 and size == 3 and stride == 1 and dilation == 1
        and m.operations[o + SIZE + 1] == 3 and m.operations[o + STRIDE + 1] == 1
        and m.operations[o + DILATION + 1] == 1
    ):  # fmt: skip
        _by_threes(m, k, s, each, wrapped, y0, y1, x, n, q, t)
        return
    for slot in range(reach):
        m.tags[slot] = _NEVER
    for y in range(y0, y1):
        n_rows = 0
        for tap in range(size):
            unwrapped = y * stride - m.operations[o + LOW] + tap * dilation
            place = unwrapped % s.height if wrapped else unwrapped
            if place < s.y0 or place >= s.y1:
                continue
            slot = unwrapped % reach
            row = m.rows + 2 * (1 + slot) * m.half
            if m.tags[slot] != unwrapped:
                m.tags[slot] = unwrapped
                _window_row(m, k, s, each, wrapped, place, x, n, row)
            m.found[n_rows] = row
            m.found[reach + n_rows] = row + m.half
            n_rows += 1
        skip = (y - y0) * n * LANES
        combine(m.ws, m.found, 0, n_rows, n, q + skip, scale, bias, add)
        combine(m.ws, m.found, reach, n_rows, n, t + skip, scale, bias_ntk, add)


@compiled
def _by_threes(m, k, s, each, wrapped, y0, y1, x, n, q, t):
    """The same for windows of 3 x 3, with fewer ways through memory."""
    kept_apart()
    o = k * OPERATION
    scale, add = m.numbers[s.numbers + SCALE], m.operations[o + ACCUMULATE] != 0
    biases = (m.numbers[s.numbers + BIAS], m.numbers[s.numbers + BIAS_NTK])
    ring, size = m.rows + 2 * m.half, 2 * m.half
    first = x - m.operations[o + LOW + 1]
    nothing = ring + 3 * size
    clear(m.ws, nothing, n)
    clear(m.ws, nothing + m.half, n)
    for y in range(y0, y1):
        top = y - m.operations[o + LOW]
        places, rows = (top, top + 1, top + 2), (0, 0, 0)
        if wrapped:
            places = (top % s.height, (top + 1) % s.height, (top + 2) % s.height)
        rows = (
            ring + top % 3 * size if s.y0 <= places[0] < s.y1 else nothing,
            ring + (top + 1) % 3 * size if s.y0 <= places[1] < s.y1 else nothing,
            ring + (top + 2) % 3 * size if s.y0 <= places[2] < s.y1 else nothing,
        )
        if y == y0:
            if rows[0] != nothing:
                _window_row(m, k, s, each, wrapped, places[0], x, n, rows[0])
            if rows[1] != nothing:
                _window_row(m, k, s, each, wrapped, places[1], x, n, rows[1])
        skip = (y - y0) * n * LANES
        if rows[2] == nothing:
            for part, target, bias in ((0, q, biases[0]), (m.half, t, biases[1])):
                m.found[0], m.found[1] = rows[0] + part, rows[1] + part
                combine(m.ws, m.found, 0, 2, n, target + skip, scale, bias, add)
        elif s.kind == 0:
            three_relu(
                m, s, each, wrapped, places[2], first, n, rows[2], rows[:2], q + skip, t + skip,
                scale, biases, add,
            )  # fmt: skip
        else:
            three_linear(
                m, s, each, wrapped, places[2], first, n, rows[2], rows[:2], q + skip, t + skip,
                scale, biases, add,
            )  # fmt: skip


@compiled
def _to_head(m, k, s, each):
    """Add the sum over a plane to the sums of a head."""
    kept_apart()
    n, q, t = s.x1 - s.x0, m.rows, m.rows + m.half
    total_q = spread(m.numbers[s.numbers]) * 0.0
    total_t = total_q
    for y in range(s.y0, s.y1):
        _read(m, s, each, y, s.x0, n, q, t)
        row_q, row_t = load(m.ws, q), load(m.ws, t)
        for i in range(LANES, n * LANES, LANES):
            row_q, row_t = row_q + load(m.ws, q + i), row_t + load(m.ws, t + i)
        total_q, total_t = total_q + row_q, total_t + row_t
    place = 2 * m.operations[k * OPERATION + TARGET] * LANES
    store(m.sums, place, load(m.sums, place) + widened(total_q))
    place += LANES
    store(m.sums, place, load(m.sums, place) + widened(total_t))


@compiled
def _to_buffer(m, k, s, each):
    """Add a plane to all windows that its pairs of positions lie in."""
    kept_apart()
    o = k * OPERATION
    ends, n = m.operations[o + ENDS], s.x1 - s.x0
    together = m.operations[o + TOGETHER] != 0
    for y in range(s.y0, s.y1):
        _read(m, s, each, y, s.x0, n, m.rows, m.rows + m.half)
        zy = (y + s.shift_y) % s.height
        for a in range(m.starts[ends + y], m.starts[ends + y + 1]):
            for b in range(m.starts[ends + zy], m.starts[ends + zy + 1]):
                if not together or m.taps[a] == m.taps[b]:
                    _row_to_buffer(m, k, s, m.places[a], m.places[b])


@compiled
def _row_to_buffer(m, k, s, row, column):
    """Add a row of a plane to the windows along it, which are in `row` and `column` otherwise."""
    kept_apart()
    o = k * OPERATION
    ends, together = m.operations[o + ENDS + 1], m.operations[o + TOGETHER] != 0
    b = m.operations[o + TARGET] * BUFFER_COLUMNS
    height, width = m.buffers[b + HEIGHT], m.buffers[b + WIDTH]
    slots = m.buffers[b + SLOTS + 1]
    slot = m.slots[m.buffers[b + SLOTS] + (column - row) % height]
    if slot < 0:
        return
    scale, first = m.numbers[s.numbers + SCALE], slot * m.buffers[b + N_SLOTS + 1]
    begin, half = m.buffers[b + AT], m.buffers[b + HALF]
    for x in range(s.x0, s.x1):
        i = m.rows + (x - s.x0) * LANES
        q, t = load(m.ws, i) * scale, load(m.ws, i + m.half) * scale
        zx = (x + s.shift_x) % s.width
        for a in range(m.starts[ends + x], m.starts[ends + x + 1]):
            for c in range(m.starts[ends + zx], m.starts[ends + zx + 1]):
                other = m.slots[slots + (m.places[c] - m.places[a]) % width]
                if other < 0 or (together and m.taps[a] != m.taps[c]):
                    continue
                i = begin + (((first + other) * height + row) * width + m.places[a]) * LANES
                store(m.ws, i, load(m.ws, i) + q)
                store(m.ws, i + half, load(m.ws, i + half) + t)


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
        s = _source(m, k, dy, dx, wrapped)
        some = s.y1 > s.y0 and s.x1 > s.x0
        if k == m.stages[g + FIRST] and some:
            _open(m, stage, s, each)
            s = _source(m, k, dy, dx, wrapped)
        if m.operations[o + SINK] == _REGISTER:
            r = m.operations[o + TARGET] * REGISTER
            stride_y, stride_x = m.registers[r + STRIDES], m.registers[r + STRIDES + 1]
            if dy % stride_y or dx % stride_x:
                continue
            y0, y1 = _region(m.registers[r + HEIGHT], dy // stride_y, wrapped)
            x0, x1 = _region(m.registers[r + WIDTH], dx // stride_x, wrapped)
            if y1 > y0 and x1 > x0:
                _to_register(m, k, s, each, wrapped, y0, y1, x0, x1 - x0)
        elif m.operations[o + SINK] == _BUFFER:
            if some:
                _to_buffer(m, k, s, each)
        elif some:
            head = m.operations[o + TARGET]
            if m.diagonal[head] == 0 or (s.shift_y == 0 and s.shift_x == 0):
                _to_head(m, k, s, each)


@Entry
def run(tb, first, last, restart, ws, integers, x, xu, xw, z, zu, zw, each, sums, halt):
    """Stages `first` to `last` for each of several row images against one block of columns.

    `x`, `xu` and `xw` have one row per row image, and `sums` (n_rows, 2 n_heads LANES) is added to.
    `ws` and `integers` are memory to work in: its own would be freed before the pointer to it is
    used. Stops early once `halt` is not 0.
    """
    tags = integers[3 * len(tb.registers) :]
    found = tags[tb.depth :]
    for i in range(len(x)):
        if restart:
            ws[: tb.n_buffered] = 0.0
        images = Images(
            pointer(x[i]), pointer(xu[i]), pointer(xw[i]), pointer(z), pointer(zu), pointer(zw)
        )
        m = Machine(
            pointer(tb.operations), pointer(tb.numbers), pointer(tb.registers), pointer(tb.stages),
            pointer(tb.planes), pointer(tb.buffers), pointer(tb.slots), pointer(tb.starts),
            pointer(tb.places), pointer(tb.taps), pointer(tb.diagonal), tb.n_channels, tb.rows,
            tb.width * LANES, pointer(ws), pointer(integers), pointer(tags), pointer(found), images,
            pointer(sums[i]),
        )  # fmt: skip
        for stage in range(first, last):
            for p in range(tb.stages[stage, FIRST_PLANE], tb.stages[stage, LAST_PLANE]):
                if halt[0] != 0:
                    return
                _run_plane(m, stage, tb.planes[p, 0], tb.planes[p, 1], each)
