"""Where planes go that end a stage: the sums of heads, and the buffers between stages. Compiled.

All arrays are pointers (see `lanes.pointer`), offsets count numbers.
"""

from __future__ import annotations

from .compiling import compiled
from .lanes import LANES, kept_apart, load, spread, store, widened, zero
from .machine import read
from .tables import (
    AT,
    BUFFER_COLUMNS,
    ENDS,
    HALF,
    HEIGHT,
    N_SLOTS,
    OPERATION,
    SCALE,
    SLOTS,
    TARGET,
    TOGETHER,
    WIDTH,
)


@compiled
def to_head(m, k, s, each):
    """Add the sum over a plane to the sums of a head."""
    kept_apart()
    n, q, t = s.x1 - s.x0, m.rows, m.rows + m.half
    total_q = zero(spread(m.numbers[s.numbers]))
    total_t = total_q
    shares = m.shared[m.operations[k * OPERATION + TARGET]]
    for y in range(s.y0, s.y1):
        share = m.numbers[s.numbers + SCALE]
        if shares >= 0:
            share = m.shares[shares + y * s.height + (y + s.shift_y) % s.height]
            if share == 0:
                continue
        read(m, s, each, y, s.x0, n, q, t)
        if shares >= 0:
            _share(m, s, shares + s.height * s.height, share, n, q, t)
        row_q, row_t = load(m.ws, q), load(m.ws, t)
        for i in range(LANES, n * LANES, LANES):
            row_q, row_t = row_q + load(m.ws, q + i), row_t + load(m.ws, t + i)
        total_q, total_t = total_q + row_q, total_t + row_t
    place = 2 * m.operations[k * OPERATION + TARGET] * LANES
    store(m.sums, place, load(m.sums, place) + widened(total_q))
    place += LANES
    store(m.sums, place, load(m.sums, place) + widened(total_t))


@compiled
def _share(m, s, columns, share, n, q, t):
    """Multiply a row of pairs of positions by their weights."""
    kept_apart()
    for k in range(n):
        x, i = s.x0 + k, k * LANES
        weight = share * m.shares[columns + x * s.width + (x + s.shift_x) % s.width]
        store(m.ws, q + i, load(m.ws, q + i) * weight)
        store(m.ws, t + i, load(m.ws, t + i) * weight)


@compiled
def to_buffer(m, k, s, each):
    """Add a plane to all windows that its pairs of positions lie in."""
    kept_apart()
    o = k * OPERATION
    ends, n = m.operations[o + ENDS], s.x1 - s.x0
    together = m.operations[o + TOGETHER] != 0
    for y in range(s.y0, s.y1):
        read(m, s, each, y, s.x0, n, m.rows, m.rows + m.half)
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
