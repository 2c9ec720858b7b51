"""The table of layers without positions, on pieces of a tile's rows. Compiled.

A register holds covariances, squared sines and tangents of `PIECE` columns. All arrays are pointers
(see `lanes.pointer`), offsets count numbers.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .activations import CARRIED, SERIES, WIDE
from .carried import affine_sine2, fresh_sine2, sum_sine2
from .compiling import Entry, compiled
from .lanes import LANES, fma, kept_apart, load, pointer, spread, store, where_less, zero

PIECE = 32 * LANES
# Columns of the table of operations, and of its numbers.
DOES, SOURCE, OTHER, TARGET, KIND, TABLE, FRESH, ANGLES, COLUMNS = range(9)
HAS_ANGLES, HAS_TANGENTS = 1, 2
SCALE, BIAS, RATE, BIAS_NTK, PARAMETERS, NUMBERS = 0, 1, 2, 3, 4, 8
_LOAD, _AFFINE, _ACTIVATION, _ADD, _SCALE, _MULTIPLY = 0, 1, 2, 3, 4, 6
_SINE2, _T, SIZE = PIECE, 2 * PIECE, 3 * PIECE


def _along(formula):
    """A piece of a row behind an activation."""

    @compiled
    def along(ws, source, target, n, x, i, nx, z, j, nz, numbers, o, fresh):
        kept_apart()
        ux, wx = x[i], x[nx + i]
        p0, p1, p2, p3 = numbers[o], numbers[o + 1], numbers[o + 2], numbers[o + 3]
        for k in range(0, n, LANES):
            q, sine2 = load(ws, source + k), load(ws, source + _SINE2 + k)
            uz, wz = load(z, j + k), load(z, nz + j + k)
            if fresh:
                sine2 = fresh_sine2(q, wx, wz)
            value, slope, sine2 = formula(q, sine2, ux, wx, uz, wz, p0, p1, p2, p3)
            store(ws, target + k, value)
            store(ws, target + _SINE2 + k, sine2)
            store(ws, target + _T + k, load(ws, source + _T + k) * slope)

    return along


def _along_wide(formula):
    """The same for a formula with five tables."""

    @compiled
    def along(ws, source, target, n, x, i, nx, z, j, nz, numbers, o, fresh):
        kept_apart()
        x0, x1, x2, x3, x4 = x[i], x[nx + i], x[2 * nx + i], x[3 * nx + i], x[4 * nx + i]
        p0, p1, p2, p3 = numbers[o], numbers[o + 1], numbers[o + 2], numbers[o + 3]
        for k in range(0, n, LANES):
            q, sine2, at = load(ws, source + k), load(ws, source + _SINE2 + k), j + k
            z0, z1, z2 = load(z, at), load(z, nz + at), load(z, 2 * nz + at)
            z3, z4 = load(z, 3 * nz + at), load(z, 4 * nz + at)
            if fresh:
                sine2 = fresh_sine2(q, x1, z1)
            value, slope, sine2 = formula(
                q, sine2, x0, x1, x2, x3, x4, z0, z1, z2, z3, z4, p0, p1, p2, p3
            )
            store(ws, target + k, value)
            store(ws, target + _SINE2 + k, sine2)
            store(ws, target + _T + k, load(ws, source + _T + k) * slope)

    return along


def _either(kind, along, otherwise):
    @compiled
    def chosen(number, ws, source, target, n, x, i, nx, z, j, nz, numbers, o, fresh):
        if number == kind:
            along(ws, source, target, n, x, i, nx, z, j, nz, numbers, o, fresh)
        else:
            otherwise(number, ws, source, target, n, x, i, nx, z, j, nz, numbers, o, fresh)

    return chosen


@compiled
def _series(ws, source, target, n, x, i, nx, z, j, nz, numbers, o, fresh):
    """The same for a series, with as many terms as any of its pairs needs; see `series`."""
    kept_apart()
    most, terms = int(numbers[o]), x[nx + i]
    for k in range(n):
        terms = max(terms, z[nz + j + k])
    for k in range(0, n, LANES):
        c = (load(ws, source + k) * x[i]) * load(z, j + k)
        # in place of the angle, which is not carried
        store(ws, target + _SINE2 + k, where_less(1.0, c, 1.0, where_less(c, -1.0, -1.0, c)))
        store(ws, target + k, zero(c))
        store(ws, target + _T + k, zero(c))
    # term by term, since a column of the table is far from the next one
    for term in range(min(int(terms), most) - 1, -1, -1):
        f, g = 2 + 2 * term, 3 + 2 * term
        fx, gx, fz, gz = x[f * nx + i], x[g * nx + i], f * nz + j, g * nz + j
        for k in range(0, n, LANES):
            c, value = load(ws, target + _SINE2 + k), load(ws, target + k)
            slope = load(ws, target + _T + k)
            store(ws, target + k, fma(value, c, load(z, fz + k) * fx))
            store(ws, target + _T + k, fma(slope, c, load(z, gz + k) * gx))
    for k in range(0, n, LANES):
        store(ws, target + _T + k, load(ws, target + _T + k) * load(ws, source + _T + k))


@compiled
def _activate(number, ws, source, target, n, x, i, nx, z, j, nz, numbers, o, fresh):
    """No such kind."""


for _kind, _formula in enumerate(CARRIED):
    _row = _along_wide(_formula) if WIDE[_kind] else _along(_formula)
    _activate = _either(_kind, _row, _activate)
_activate = _either(SERIES, _series, _activate)


@compiled
def _affine(ws, source, target, n, x, i, nx, z, j, nz, numbers, o, angles):
    """Behind a dense layer."""
    kept_apart()
    scale, bias, rate, bias_ntk = numbers[o], numbers[o + 1], numbers[o + 2], numbers[o + 3]
    for k in range(0, n, LANES):
        q, t = load(ws, source + k), load(ws, source + _T + k)
        store(ws, target + k, fma(q, scale, bias))
        store(ws, target + _T + k, fma(fma(q, rate, t), scale, bias_ntk))
    if angles:
        wx, weights_x, bias_x = x[i], x[nx + i], x[2 * nx + i]
        for k in range(0, n, LANES):
            q, sine2 = load(ws, source + k), load(ws, source + _SINE2 + k)
            wz, weights_z = load(z, j + k), load(z, nz + j + k)
            bias_z = load(z, 2 * nz + j + k)
            sine2 = affine_sine2(q, sine2, wx, weights_x, bias_x, wz, weights_z, bias_z)
            store(ws, target + _SINE2 + k, sine2)


@compiled
def _add(ws, source, other, target, n, x, i, nx, z, j, nz, angles):
    """The sum of two registers."""
    kept_apart()
    for k in range(0, n, LANES):
        q1, q2 = load(ws, source + k), load(ws, other + k)
        if angles:
            c1 = (q1 * x[i]) * load(z, j + k)
            c2 = (q2 * x[2 * nx + i]) * load(z, 2 * nz + j + k)
            x1, x2 = x[nx + i], x[3 * nx + i]
            z1, z2 = load(z, nz + j + k), load(z, 3 * nz + j + k)
            s1, s2 = load(ws, source + _SINE2 + k), load(ws, other + _SINE2 + k)
            store(ws, target + _SINE2 + k, sum_sine2(c1, s1, x1, z1, c2, s2, x2, z2))
        store(ws, target + k, q1 + q2)
        store(ws, target + _T + k, load(ws, source + _T + k) + load(ws, other + _T + k))


@compiled
def _times(ws, source, other, target, n):
    """The product of two registers; cosines multiply, as covariances do."""
    kept_apart()
    for k in range(0, n, LANES):
        q1, q2 = load(ws, source + k), load(ws, other + k)
        s1, s2 = load(ws, source + _SINE2 + k), load(ws, other + _SINE2 + k)
        t1, t2 = load(ws, source + _T + k), load(ws, other + _T + k)
        store(ws, target + _SINE2 + k, fma(1.0 - s1, s2, s1))
        store(ws, target + k, q1 * q2)
        store(ws, target + _T + k, fma(t1, q2, q1 * t2))


@compiled
def _scale(ws, source, target, n, share):
    """A register times a number; angles are kept."""
    kept_apart()
    for k in range(0, n, LANES):
        store(ws, target + k, load(ws, source + k) * share)
        store(ws, target + _SINE2 + k, load(ws, source + _SINE2 + k))
        store(ws, target + _T + k, load(ws, source + _T + k) * share)


@compiled
def _load(ws, target, n, heads, angles, tangents, begin, flags):
    """A piece of a head, of which angles and tangents may be missing."""
    kept_apart()
    for k in range(0, n, LANES):
        store(ws, target + k, load(heads, begin + k))
        if flags & HAS_ANGLES:
            store(ws, target + _SINE2 + k, load(angles, begin + k))
        if flags & HAS_TANGENTS:
            store(ws, target + _T + k, load(tangents, begin + k))
        else:
            store(ws, target + _T + k, zero(spread(ws[0])))


@compiled
def _store(ws, source, n, found, q, t):
    """A piece of an output."""
    kept_apart()
    for k in range(0, n, LANES):
        store(found, q + k, load(ws, source + k))
        store(found, t + k, load(ws, source + _T + k))


@Entry
def run_flat(operations, numbers, ws, x, z, heads, angles, tangents, flags, upper, found):
    """All operations for a tile.

    Parameters
    ----------
    operations, numbers : ndarray, (n_operations, COLUMNS) and (n_operations, NUMBERS)
    ws : ndarray, (n_registers * SIZE,)
        Memory to work in: its own would be freed before the pointer to it is used.
    x, z : ndarray, (n_tables, n) and (n_tables, m)
        What the operations need to know of rows and columns; m is a multiple of `LANES`.
    heads, angles, tangents : ndarray, (n_heads, n, m)
        NNGP, squared sines and NTK in front.
    flags : int
        `HAS_ANGLES` and `HAS_TANGENTS`, where these are not read because they are unknown, or 0.
    upper : bool
        Whether only entries on and above the diagonal are wanted.
    found : ndarray, (n_networks, 2, n, m)
    """
    _, _, n, m = found.shape
    px, pz, pn, pw, pf = pointer(x), pointer(z), pointer(numbers), pointer(ws), pointer(found)
    ph, pa, pt, po = pointer(heads), pointer(angles), pointer(tangents), pointer(operations)
    for i in range(n):
        for j in range(i // LANES * LANES if upper else 0, m, PIECE):
            width = min(PIECE, m - j)
            for k in range(len(operations)):
                r, o = k * COLUMNS, k * NUMBERS
                does, source, target = po[r + DOES], po[r + SOURCE] * SIZE, po[r + TARGET] * SIZE
                bx, bz = i + po[r + TABLE] * n, j + po[r + TABLE] * m
                if does == _LOAD:
                    begin = (po[r + SOURCE] * n + i) * m + j
                    _load(pw, target, width, ph, pa, pt, begin, flags)
                elif does == _AFFINE:
                    angled = po[r + ANGLES] != 0
                    _affine(pw, source, target, width, px, bx, n, pz, bz, m, pn, o, angled)
                elif does == _ACTIVATION:
                    _activate(
                        po[r + KIND], pw, source, target, width, px, bx, n, pz, bz, m, pn,
                        o + PARAMETERS, po[r + FRESH] != 0,
                    )  # fmt: skip
                elif does == _ADD:
                    other, angled = po[r + OTHER] * SIZE, po[r + ANGLES] != 0
                    _add(pw, source, other, target, width, px, bx, n, pz, bz, m, angled)
                elif does == _MULTIPLY:
                    _times(pw, source, po[r + OTHER] * SIZE, target, width)
                elif does == _SCALE:
                    _scale(pw, source, target, width, pn[o + SCALE])
                else:
                    q = (po[r + TARGET] * 2 * n + i) * m + j
                    _store(pw, source, width, pf, q, q + n * m)


@Entry
def start_angles(q, x, z, limit, sine2):
    """Squared sines of the angles between rows, exact for nearly (anti)parallel ones.

    Where 1 - |cosine| < limit they come from the distance of the rows of unit length:
    |u -+ w|^2 = 2 - 2 |cosine|.

    Parameters
    ----------
    q, sine2 : ndarray, (n, m)
        Dot products; the squared sines that are written.
    x, z : pairs of ndarrays, (n, d) and (n,), (m, d) and (m,)
        Rows, and the reciprocals of their lengths, 0 for rows of zeros.
    """
    for i in range(len(q)):
        for j in range(q.shape[1]):
            cosine = q[i, j] * x[1][i] * z[1][j]
            size = abs(cosine)
            gap = 1 - size
            if gap < limit:
                gap = _half_distance2(x[0][i], x[1][i], z[0][j], np.copysign(z[1][j], cosine))
                size = 1 - gap
            sine2[i, j] = gap * (1 + size)


# Without "contract": x rx - z rz rounded once would not be 0 for equal rows.
@njit(nogil=True, fastmath={"reassoc", "nsz"})
def _half_distance2(x, rx, z, rz):
    """|x rx - z rz|^2 / 2."""
    total = x[0] * 0
    for k in range(len(x)):
        apart = x[k] * rx - z[k] * rz
        total += apart * apart
    return total / 2
