"""One row of positions: activations at each, and sums along it. Compiled.

All arrays are pointers (see `lanes.pointer`), offsets count numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .activations import FORMULAS, SERIES
from .compiling import compiled, inlined
from .interpolated import FRONT
from .lanes import LANES, fma, kept_apart, load, spread, store, where_less, zero
from .tables import RATE


class Images(NamedTuple):
    """Inputs, and two numbers per activation and position that depend on variances.

    Positions follow one another, of the column images with one number per lane. Behind `xc` and
    `zc` stand those of series, all of one position together.
    """

    x: Any
    xu: Any
    xw: Any
    xc: Any
    z: Any
    zu: Any
    zw: Any
    zc: Any


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
def _series(ws, q, t, n, images, x, z, numbers, o, each, out_q, out_t):
    """The same for a series; see `interpolated`. As many terms as each pair needs, and no more."""
    kept_apart()
    size, first, step = int(numbers[o]), int(numbers[o + 1]), int(numbers[o + 2])
    rate = numbers[o + RATE]
    for k in range(n):
        i, cx, cz = k * LANES, (x + k) * size, (z + k) * size
        c = load(ws, q + i) * of_row(images.xw, x + k, each) * load(images.zw, (z + k) * LANES)
        c = where_less(1.0, c, 1.0, where_less(c, -1.0, -1.0, c))
        power, need = c, load(images.zc, cz * LANES)
        need_x, most = of_row(images.xc, cx, each), images.zc[(cz + 1) * LANES]
        need = where_less(need, need_x, need_x, need)
        if not each:
            most = max(most, images.xc[cx])
        if step == 2:
            power = c * c
        total = zero(c)
        slope = total
        for term in range(min(int(most), size - FRONT) - 1, -1, -1):
            h = load(images.zc, (cz + FRONT + term) * LANES)
            h = h * of_row(images.xc, cx + FRONT + term, each)
            slope = fma(slope, power, total)
            total = fma(total, power, where_less(term, need, h, 0.0))
        # P = c^(first + 1) total(c^step)
        slope = fma(slope * power, step, total * (first + 1.0))
        total = total * c
        if first == 1:
            total, slope = total * c, slope * c
        sizes = of_row(images.xu, x + k, each) * load(images.zu, (z + k) * LANES)
        means = of_row(images.xc, cx + 2, each) * load(images.zc, (cz + 2) * LANES)
        value = fma(sizes, total, means)
        store(ws, out_q + i, value)
        store(ws, out_t + i, fma(load(ws, t + i), slope, value * rate))


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
activate = _either(SERIES, _series, activate)


@compiled
def clear(ws, start, n):
    """Set n vectors to zero."""
    for i in range(0, n * LANES, LANES):
        store(ws, start + i, zero(spread(ws[0])))


@compiled
def scale(ws, start, n, factor):
    """Multiply n vectors."""
    for i in range(start, start + n * LANES, LANES):
        store(ws, i, load(ws, i) * factor)


@compiled
def copy(ws, source, target, n):
    """Copy n vectors."""
    for i in range(0, n * LANES, LANES):
        store(ws, target + i, load(ws, source + i))


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
