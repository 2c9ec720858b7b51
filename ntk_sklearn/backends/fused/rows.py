"""One row of positions: activations at each, and sums along it. Compiled.

All arrays are pointers (see `lanes.pointer`), offsets count numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .activations import FORMULAS
from .compiling import compiled, inlined
from .lanes import LANES, fma, kept_apart, load, spread, store, zero
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
