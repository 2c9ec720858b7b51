"""Sums over windows in which both positions of a pair move together. Compiled.

All arrays are pointers (see `lanes.pointer`), offsets count numbers.
"""

from __future__ import annotations

from .activations import FORMULAS
from .compiling import compiled
from .lanes import LANES, fma, kept_apart, load, spread, store, zero
from .machine import read
from .rows import clear, copy, of_row
from .tables import (
    ACCUMULATE,
    BIAS,
    BIAS_NTK,
    DILATION,
    HEIGHT,
    LOCAL,
    LOW,
    OFFSET,
    OPERATION,
    RATE,
    REGISTER,
    SCALE,
    SIZE,
    STRIDE,
    TARGET,
    WIDTH,
)

_NEVER = -(2**62)


@compiled
def slide(ws, source, target, n, size, stride, dilation):
    """Sums over n windows along a row."""
    step, gap = stride * LANES, dilation * LANES
    for k in range(n):
        i = source + k * step
        total = load(ws, i)
        for tap in range(1, size):
            total = total + load(ws, i + tap * gap)
        store(ws, target + k * LANES, total)


@compiled
def combine(ws, rows, first, n_rows, n, target, scale, bias, accumulate):
    """Scale the sum of rows, add a bias, and write or add the result."""
    for i in range(0, n * LANES, LANES):
        if n_rows == 3:
            total = load(ws, rows[first] + i) + load(ws, rows[first + 1] + i)
            total = total + load(ws, rows[first + 2] + i)
        else:
            total = zero(spread(scale))
            for k in range(n_rows):
                total = total + load(ws, rows[first + k] + i)
        value = fma(total, scale, bias)
        if accumulate:
            value = value + load(ws, target + i)
        store(ws, target + i, value)


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
        read(m, s, each, y, begin, n, row, row + m.half)
        return
    end = max(begin, end)
    before, after = begin - first, first + span - end
    inner = m.rows + before * LANES
    if end > begin:
        read(m, s, each, y, begin, end - begin, inner, inner + m.half)
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


def _along_and_over_three(formula):
    """Sums over 3 x 3 windows whose last row is activated on the way."""

    @compiled
    def along(m, s, each, wrapped, y, first, n, row, above, target, to_t, scale, biases, add):
        kept_apart()
        o, ws, images = s.numbers, m.ws, m.images
        p0, p1, p2, p3 = m.numbers[o], m.numbers[o + 1], m.numbers[o + 2], m.numbers[o + 3]
        rate = m.numbers[o + RATE]
        zy = y + s.shift_y
        if zy >= s.height:
            zy -= s.height
        here, there = s.table + y * s.width, s.table + zy * s.width
        begin = (y - s.y0) * s.pitch - s.x0
        nothing = zero(spread(scale))
        q1, t1, q2, t2 = nothing, nothing, nothing, nothing
        for k in range(-2, n):
            x = first + 2 + k
            if wrapped and x < 0:
                x += s.width
            elif wrapped and x >= s.width:
                x -= s.width
            q3, t3 = nothing, nothing
            if s.x0 <= x < s.x1:
                zx = x + s.shift_x
                if zx >= s.width:
                    zx -= s.width
                ux, wx = of_row(images.xu, here + x, each), of_row(images.xw, here + x, each)
                uz, wz = (
                    load(images.zu, (there + zx) * LANES),
                    load(images.zw, (there + zx) * LANES),
                )
                i = (begin + x) * LANES
                q3, slope = formula(load(ws, s.q + i), ux, wx, uz, wz, p0, p1, p2, p3)
                t3 = fma(load(ws, s.t + i), slope, q3 * rate)
            if k >= 0:
                i, half = k * LANES, m.half
                q1, t1 = q1 + q2 + q3, t1 + t2 + t3
                store(ws, row + i, q1)
                store(ws, row + half + i, t1)
                q1 = q1 + load(ws, above[0] + i) + load(ws, above[1] + i)
                t1 = t1 + load(ws, above[0] + half + i) + load(ws, above[1] + half + i)
                q1, t1 = fma(q1, scale, biases[0]), fma(t1, scale, biases[1])
                if add:
                    q1, t1 = q1 + load(ws, target + i), t1 + load(ws, to_t + i)
                store(ws, target + i, q1)
                store(ws, to_t + i, t1)
            q1, t1, q2, t2 = q2, t2, q3, t3

    return along


@compiled
def _linear(q, ux, wx, uz, wz, p0, p1, p2, p3):
    """No activation: T' is exactly 1, whatever the covariance."""
    return q, zero(spread(p0)) + 1.0


_three_relu, _three_linear = map(_along_and_over_three, (FORMULAS[0], _linear))


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
        places = (top, top + 1, top + 2)
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
            _three_relu(
                m, s, each, wrapped, places[2], first, n, rows[2], rows[:2], q + skip, t + skip,
                scale, biases, add,
            )  # fmt: skip
        else:
            _three_linear(
                m, s, each, wrapped, places[2], first, n, rows[2], rows[:2], q + skip, t + skip,
                scale, biases, add,
            )  # fmt: skip


@compiled
def to_register(m, k, s, each, wrapped, y0, y1, x, n):
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
    if m.operations[o + LOCAL] != 0 and (s.shift_y != 0 or s.shift_x != 0):
        if not add:
            clear(m.ws, q, (y1 - y0) * n)
            clear(m.ws, t, (y1 - y0) * n)
        return
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
