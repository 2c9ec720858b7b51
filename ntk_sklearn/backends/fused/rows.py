"""One row of positions: activations at each, and sums along it. Compiled.

All arrays are pointers (see `lanes.pointer`), offsets count numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .activations import FORMULAS
from .compiling import compiled, inlined
from .lanes import LANES, fma, kept_apart, load, spread, store
from .tables import RATE


class Images(NamedTuple):
    """Inputs, and two numbers per activation and position that depend on variances.

    Positions follow one another, of the column images with one number per lane.
    """

    x: Any
    xu: Any
    xw: Any
    z: Any
    zu: Any
    zw: Any


@inlined
def of_row(table, position, each):
    """The value of the row image at a position: of one image in all lanes, or of one in each."""
    if each:
        return load(table, position * LANES)
    return spread(table[position])


def _along(formula):
    """T and T' t + rate T of a formula at n positions that follow one another."""

    @compiled
    def along(ws, q, t, n, images, x, z, numbers, o, each, out_q, out_t):
        kept_apart()
        p0, p1, p2, p3 = numbers[o], numbers[o + 1], numbers[o + 2], numbers[o + 3]
        rate = numbers[o + RATE]
        for k in range(n):
            i = k * LANES
            ux, wx = of_row(images.xu, x + k, each), of_row(images.xw, x + k, each)
            uz, wz = load(images.zu, (z + k) * LANES), load(images.zw, (z + k) * LANES)
            value, slope = formula(load(ws, q + i), ux, wx, uz, wz, p0, p1, p2, p3)
            store(ws, out_q + i, value)
            store(ws, out_t + i, fma(load(ws, t + i), slope, value * rate))

    return along


def _either(kind, along, otherwise):
    """The row function of one kind of activation, or what else there is."""

    @compiled
    def chosen(k, ws, q, t, n, images, x, z, numbers, o, each, out_q, out_t):
        if k == kind:
            along(ws, q, t, n, images, x, z, numbers, o, each, out_q, out_t)
        else:
            otherwise(k, ws, q, t, n, images, x, z, numbers, o, each, out_q, out_t)

    return chosen


@compiled
def _unchanged(kind, ws, q, t, n, images, x, z, numbers, o, each, out_q, out_t):
    """No activation: q and t + rate q."""
    for i in range(0, n * LANES, LANES):
        value = load(ws, q + i)
        store(ws, out_q + i, value)
        store(ws, out_t + i, fma(value, numbers[o + RATE], load(ws, t + i)))


activate = _unchanged
for _kind, _formula in enumerate(FORMULAS):
    activate = _either(_kind, _along(_formula), activate)


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
        zero = spread(scale) * 0.0
        q1, t1, q2, t2 = zero, zero, zero, zero
        for k in range(-2, n):
            x = first + 2 + k
            if wrapped and x < 0:
                x += s.width
            elif wrapped and x >= s.width:
                x -= s.width
            q3, t3 = zero, zero
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
    return q, spread(p0) * 0.0 + 1.0


three_relu, three_linear = map(_along_and_over_three, (FORMULAS[0], _linear))


@compiled
def clear(ws, start, n):
    """Set n vectors to zero."""
    for i in range(0, n * LANES, LANES):
        store(ws, start + i, spread(ws[0]) * 0.0)


@compiled
def copy(ws, source, target, n):
    """Copy n vectors."""
    for i in range(0, n * LANES, LANES):
        store(ws, target + i, load(ws, source + i))


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
            total = spread(scale) * 0.0
            for k in range(n_rows):
                total = total + load(ws, rows[first + k] + i)
        value = fma(total, scale, bias)
        if accumulate:
            value = value + load(ws, target + i)
        store(ws, target + i, value)


@compiled
def products(ws, target, n, images, x, z, n_channels, pixels, each):
    """Dot products over the channels at n positions."""
    kept_apart()
    for k in range(n):
        total = load(images.z, (z + k) * LANES) * of_row(images.x, x + k, each)
        for c in range(1, n_channels):
            column = load(images.z, (z + k + c * pixels) * LANES)
            total = fma(column, of_row(images.x, x + k + c * pixels, each), total)
        store(ws, target + k * LANES, total)
