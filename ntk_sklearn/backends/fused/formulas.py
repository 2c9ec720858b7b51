"""Formulas of the dual activations for one entry of the kernel per lane.

``formula(q, ux, wx, uz, wz, *parameters)`` gives T = E[phi(x) phi(z)] and T' = E[phi'(x) phi'(z)]
from the covariance q and two tabulated numbers u and w of each variance v (`activations.table`).
The derivations stand with the duals; correlations within rounding of +-1 are set there, so that
equal, parallel and antiparallel patches are exact however deep the network.
"""

from __future__ import annotations

import math
from typing import Any

from ...duals.pair import SNAP
from .compiling import inlined
from .functions import angle_over_sine, exp, expm1, near_angle_over_sine
from .lanes import absolute, copysign, fma, polynomial, sqrt, where_less

_TURN = 1.0 / (2.0 * math.pi)

# The largest number below 1 that is not snapped: numbers there lie half an epsilon apart.
_apart = polynomial((1.0 - (SNAP + 0.5) * 2.0**-23,), (1.0 - (SNAP + 0.5) * 2.0**-52,))


@inlined
def snapped(q: Any, size: Any) -> Any:
    """|q|, and `size` itself where |q| is within rounding of it or above."""
    absolute_q = absolute(q)
    return where_less(_apart(q) * size, absolute_q, size, absolute_q)


@inlined
def abrelu(
    q: Any, ux: Any, wx: Any, uz: Any, wz: Any, kink: Any, even: Any, odd: Any, rest: Any
) -> Any:
    """u = sqrt v, w = 1 / u; T' = even + sign(q) |kink t + odd| with the lines' acute angle t."""
    c = (q * wx) * wz  # a product of w alone may overflow
    size = absolute(c)
    size = where_less(_apart(size), size, 1.0, size)
    g = 1.0 - size
    bend = sqrt(fma(g, size, g)) * kink
    slope = copysign(fma(bend, angle_over_sine(g), odd), c) + even
    return (uz * ux) * fma(copysign(size, c), slope, bend), slope


@inlined
def linear(q: Any, ux: Any, wx: Any, uz: Any, wz: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """The covariance is kept."""
    return q, fma(q, 0.0, 1.0)


@inlined
def normalized(q: Any, ux: Any, wx: Any, uz: Any, wz: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """u = 1 / sqrt(v + eps): layer normalization."""
    return (q * ux) * uz, uz * ux  # a product of u alone may overflow


@inlined
def sign(q: Any, ux: Any, wx: Any, uz: Any, wz: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """u = 1, or 0 at variance 0, w = 1 / sqrt v; 1 - 2 t / pi, and no derivative."""
    c = (q * wx) * wz  # a product of w alone may overflow
    g = 1.0 - snapped(c, 1.0)
    t = sqrt(g * (2.0 - g)) * angle_over_sine(g)
    return (uz * ux) * copysign(fma(t, -2.0 / math.pi, 1.0), c), q * 0.0


@inlined
def _saturated(q: Any, ux: Any, wx: Any, uz: Any, wz: Any, rate: Any) -> Any:
    """|q|, c = rate |q| u_x u_z and sqrt(1 - c^2), where u = 1 / sqrt(1 + rate v) and w = sqrt v.

    With k = u_x u_z and d = var_x var_z - q^2: 1 - c^2 = u_x^2 + u_z^2 - k^2 + (rate k)^2 d is a
    sum of terms >= 0.
    """
    k, scale = uz * ux, wz * wx
    size = snapped(q, scale)
    steep = k * rate
    rest = fma(k * -1.0, k, fma(uz, uz, ux * ux))
    square = fma((scale - size) * steep, (scale + size) * steep, rest)
    return size, size * steep, sqrt(square)


@inlined
def _arcsine(c: Any, root: Any) -> Any:
    """arcsin(c) = arccos(root) and its complement from c >= 0 and root = sqrt(1 - c^2)."""
    small, large = where_less(c, root, c, root), where_less(c, root, root, c)
    near = small * near_angle_over_sine(1.0 - large)
    far = 0.5 * math.pi - near
    return where_less(c, root, near, far), where_less(c, root, far, near)


@inlined
def erf(
    q: Any, ux: Any, wx: Any, uz: Any, wz: Any, rate: Any, height: Any, steepness: Any, rest: Any
) -> Any:
    """The arcsine kernel, with `_saturated` numbers."""
    _, c, root = _saturated(q, ux, wx, uz, wz, rate)
    angle, _ = _arcsine(c, root)
    return copysign(angle * height, q), (uz * ux) * steepness / root


@inlined
def gaussian(
    q: Any, ux: Any, wx: Any, uz: Any, wz: Any, rate: Any, height: Any, steepness: Any, rest: Any
) -> Any:
    """a^2 / sqrt D and its derivative, with `_saturated` numbers: u_x u_z sqrt D = root."""
    _, c, root = _saturated(q, ux, wx, uz, wz, rate)
    ratio = uz * ux / root
    return ratio * height, copysign(c, q) * (ratio * ratio) * steepness / root


@inlined
def gelu(q: Any, ux: Any, wx: Any, uz: Any, wz: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """With `_saturated` numbers and k = u_x u_z, where sqrt D = root / k.

    T = k / root (c^2 + var_x var_z root^2) / (2 pi) + cov (arcsin(c) / (2 pi) + 1 / 4).
    """
    size, c, root = _saturated(q, ux, wx, uz, wz, 1.0)
    angle, complement = _arcsine(c, root)
    # arcsin(c) / (2 pi) + 1 / 4 without cancellation at c near -1
    turn = where_less(q, 0.0, complement, angle + 0.5 * math.pi) * _TURN
    cov, ratio, bend = copysign(size, q), uz * ux / root, wz * wx * root
    total = fma(ratio, ratio, fma(uz, uz, ux * ux))
    ratio = ratio * _TURN
    return fma(cov, turn, fma(c, c, bend * bend) * ratio), fma(cov * ratio, total, turn)


@inlined
def _distances(q: Any, ux: Any, uz: Any) -> Any:
    """E (x - sign(q) z)^2 and |q|, with u = sqrt v."""
    size = uz * ux
    near, apart = snapped(q, size), uz - ux
    return fma(apart, apart, (size - near) * 2.0), near


@inlined
def rbf(q: Any, ux: Any, wx: Any, uz: Any, wz: Any, gamma: Any, b: Any, c: Any, d: Any) -> Any:
    """u = sqrt v; exp(-gamma E (x - z)^2)."""
    least, size = _distances(q, ux, uz)
    return rbf_of(q, least, size, gamma)


@inlined
def rbf_of(q: Any, least: Any, size: Any, gamma: Any) -> Any:
    """The same from the smaller of E (x -+ z)^2 and |q|."""
    value = exp(where_less(q, 0.0, fma(size, 4.0, least), least) * (gamma * -1.0))
    return value, value * (2.0 * gamma)


@inlined
def exponential(
    q: Any, ux: Any, wx: Any, uz: Any, wz: Any, rate2: Any, height: Any, c: Any, d: Any
) -> Any:
    """u = v / 2; a^2 exp(r^2 E (x + z)^2 / 2). No kink, and hence nothing is snapped."""
    value = exp((uz + ux + q) * rate2) * height
    return value, value * rate2


@inlined
def sin(
    q: Any, ux: Any, wx: Any, uz: Any, wz: Any, rate2: Any, height: Any, less: Any, more: Any
) -> Any:
    """u = sqrt v."""
    least, size = _distances(q, ux, uz)
    return sin_of(q, least, size, rate2, height, less, more)


@inlined
def sin_of(q: Any, least: Any, size: Any, rate2: Any, height: Any, less: Any, more: Any) -> Any:
    """From the smaller of E (x -+ z)^2 and |q|: the waves E cos(r (x -+ z)), the slower first."""
    slow = exp(least * (-0.5 * rate2))
    lost = expm1(size * (-2.0 * rate2)) * slow
    fast = slow + lost
    difference = copysign(lost, q)
    plus = where_less(q, 0.0, slow, fast)
    value, slope = fma(plus, less, difference), fma(plus, more, difference)
    return value * height, slope * (height * rate2)
