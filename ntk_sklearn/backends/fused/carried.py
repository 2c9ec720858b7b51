"""Angles that are carried from layer to layer, for networks without spatial axes.

A covariance forgets small angles; here the squared sine of every pair's angle goes along with it,
as in `ntk_sklearn.duals.pair`. ``formula(q, sine2, ux, wx, uz, wz, *parameters)`` gives T, T' and
the squared sine behind the activation, from the same tables and parameters as the formulas
without angles; that of erf has five tables of its own (`erf_table`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...duals.pair import safe_divide, safe_sqrt
from . import coefficients, formulas
from .compiling import inlined
from .functions import angle_over_sine, bend_over_root
from .lanes import absolute, copysign, fma, polynomial, sqrt, where_less

_angle_rest = polynomial(*coefficients.ANGLE_REST)  # (t / sin t - 1) / (1 - cos t)


@inlined
def fresh_sine2(q: Any, wx: Any, wz: Any) -> Any:
    """The squared sine that a covariance tells, with w = 1 / sqrt v."""
    size = formulas.snapped((q * wx) * wz, 1.0)
    return (1.0 - size) * (1.0 + size)


@inlined
def _angle(q: Any, sine2: Any, wx: Any, wz: Any) -> Any:
    """Cosine, its size and the sine of the acute angle g of the lines, 1 - cos g, and g itself."""
    scale = wz * wx
    c = (q * wx) * wz
    size = absolute(c)
    sine2 = where_less(0.0, scale, sine2, 1.0)  # the angle is pi / 2 where a variance is 0
    sine, versine = sqrt(sine2), sine2 / (1.0 + size)
    return c, size, sine, versine, sine * angle_over_sine(versine)


@inlined
def abrelu(
    q: Any, sine2: Any, ux: Any, wx: Any, uz: Any, wz: Any,
    kink: Any, even: Any, odd: Any, balance: Any,
) -> Any:  # fmt: skip
    """`formulas.abrelu` and `ABReLU.sine2`, with balance = 2 a b / (a^2 + b^2)."""
    c, size, sine, versine, angle = _angle(q, sine2, wx, wz)
    slope = copysign(fma(angle, kink, odd), c) + even
    value = (uz * ux) * fma(c, slope, sine * kink)
    bend = versine * sqrt(versine) * bend_over_root(versine) * ((1.0 - balance) * (1.0 / math.pi))
    parallel = where_less(c, 0.0, size * (1.0 + balance), 0.0)
    below = versine - bend + parallel
    below = where_less(below, 0.0, 0.0, below)
    opposite = fma(size, 1.0 - balance, versine + bend)
    return value, slope, below * where_less(c, 0.0, opposite, 2.0 - below)


@inlined
def _distance(q: Any, sine2: Any, ux: Any, wx: Any, uz: Any, wz: Any) -> Any:
    """The smaller of E (x -+ z)^2, where v = u^2 and w = 1 / u."""
    versine, apart = sine2 / (1.0 + absolute((q * wx) * wz)), uz - ux
    return fma(apart, apart, (uz * ux) * versine * 2.0)


@inlined
def rbf(
    q: Any, sine2: Any, ux: Any, wx: Any, uz: Any, wz: Any, gamma: Any, b: Any, c: Any, d: Any
) -> Any:
    """`formulas.rbf` with the carried angle, which it forgets."""
    least = _distance(q, sine2, ux, wx, uz, wz)
    value, slope = formulas.rbf_of(q, least, absolute(q), gamma)
    return value, slope, sine2


@inlined
def sin(
    q: Any, sine2: Any, ux: Any, wx: Any, uz: Any, wz: Any,
    rate2: Any, height: Any, less: Any, more: Any,
) -> Any:  # fmt: skip
    """`formulas.sin` with the carried angle, which it forgets."""
    least = _distance(q, sine2, ux, wx, uz, wz)
    value, slope = formulas.sin_of(q, least, absolute(q), rate2, height, less, more)
    return value, slope, sine2


def erf_table(rate: float, v: Tensor) -> tuple[Tensor, ...]:
    """Numbers of every variance v for `erf`, with the arcsine A of its kernel, sin A = c.

    1 / sqrt(1 + rate v), 1 / sqrt v or 0, A, sin(A / 2) and cos(A / 2) - sin(A / 2), where c is
    rate v / (1 + rate v).
    """
    x = rate * v
    cosine = (1.0 + 2.0 * x).sqrt()  # times 1 + x
    angle = torch.atan2(x, cosine)
    half, rest = (angle / 2.0).sin(), (angle / 2.0).cos()
    apart = cosine / (1.0 + x) / (half + rest)
    return (1.0 + x).rsqrt(), safe_divide(v.new_ones(()), safe_sqrt(v)), angle, half, apart


@inlined
def erf(
    q: Any, sine2: Any, ux: Any, wx: Any, ax: Any, sx: Any, tx: Any, uz: Any, wz: Any, az: Any,
    sz: Any, tz: Any, rate: Any, height: Any, steepness: Any, rest: Any,
) -> Any:  # fmt: skip
    """`formulas.erf` with carried angles, and the squared sine 1 - A^2 / (A_x A_z) behind it.

    The tables are those of `erf_table`. With c = sin A: 1 - c^2 = u_x^2 + u_z^2 sin A_x + d, where
    d = sin A_x sin A_z sine2 is (rate u_x u_z)^2 (var_x var_z - q^2).
    """
    sin_x, sin_z = (sx + tx) * sx * 2.0, (sz + tz) * sz * 2.0
    d = sin_z * sin_x * sine2
    root = sqrt(fma(uz * uz, sin_x, ux * ux) + d)
    c = absolute((q * ux) * uz) * rate
    sine, cosine = tz * sx - sz * tx, fma(sz + tz, sx + tx, sz * sx)  # of h
    sin_m = (sin_z + sin_x) * 0.5 / cosine
    cos_m = (fma(sz, 2.0, tz) * tz + (2.0 * sx + tx) * tx) * 0.5 / cosine
    gap, above, between = _gaps(sine, cosine, sine2, sin_x, sin_z, c, root, sin_m, cos_m)
    angle, _ = formulas._arcsine(c, root)
    mean = (az + ax) * 0.5
    # what is nearly the mean keeps its digits through many layers
    angle = where_less(gap, 0.5 * mean, mean - gap, angle)
    rx, rz = 1.0 / ax, 1.0 / az
    tilt = (sine * rx) * (sine * rz)
    apart = fma(tilt, above - between, sine2 * (sin_x * rx) * (sin_z * rz) * (above + 1.0))
    # Rows of very different lengths: the difference above cancels more than the plain one. Far from
    # parallel the angle must follow the covariance: carried alone, its errors grow in chaotic nets.
    plain = 1.0 - (angle * rx) * (angle * rz)
    behind = where_less(tilt * above, 0.5, apart, plain)
    behind = where_less(plain, 0.5, behind, plain)
    behind = where_less(behind, 0.0, 0.0, where_less(1.0, behind, 1.0, behind))
    # the angle is pi / 2 where a variance is 0
    behind = where_less(0.0, where_less(ax, az, ax, az), behind, 1.0)
    return copysign(angle * height, q), (uz * ux) * steepness / root, behind


@inlined
def _gaps(
    sine: Any, cosine: Any, sine2: Any, sin_x: Any, sin_z: Any, c: Any, root: Any, sin_m: Any,
    cos_m: Any,
) -> Any:  # fmt: skip
    """m - |A|, F(m - |A|) F(m + |A|) - 1 and F(h)^2 - 1, with F(t) = t / sin t.

    m and h are half the sum and half the difference of A_x and A_z. As
    sin(m - |A|) sin(m + |A|) = sin(h)^2 + d,

    A_x A_z - A^2 = (m - |A|) (m + |A|) - h^2
                  = d F(m - |A|) F(m + |A|) + sin(h)^2 (F(m - |A|) F(m + |A|) - F(h)^2),

    where nothing but the last difference cancels, by half at most if A_x and A_z are alike.
    """
    sin_p = fma(sin_m, root, cos_m * c)
    product, across = sin_m * c, cos_m * root
    near = 1.0 / sin_p  # products of two small sines alone may underflow
    sin_d = fma(sine * near, sine, sin_x * sine2 * (sin_z * near))
    less = _excess(sin_d, across + product)
    cos_p = across - product
    more = _excess(sin_p, absolute(cos_p))
    more = where_less(cos_p, 0.0, math.pi / sin_p - more - 2.0, more)
    half = _excess(sine, cosine)
    return fma(sin_d, less, sin_d), fma(less, more, less + more), half * (half + 2.0)


@inlined
def _excess(sine: Any, cosine: Any) -> Any:
    """t / sin t - 1 for the angle t in [0, pi / 2], without cancellation."""
    g = sine * sine / (1.0 + cosine)
    return g * _angle_rest(g)


@inlined
def linear(
    q: Any, sine2: Any, ux: Any, wx: Any, uz: Any, wz: Any, a: Any, b: Any, c: Any, d: Any
) -> Any:
    """Covariance and angle are kept."""
    return q, fma(q, 0.0, 1.0), sine2


@inlined
def normalized(
    q: Any, sine2: Any, ux: Any, wx: Any, uz: Any, wz: Any, a: Any, b: Any, c: Any, d: Any
) -> Any:
    """`formulas.normalized`; the angle is kept."""
    value, slope = formulas.normalized(q, ux, wx, uz, wz, a, b, c, d)
    return value, slope, sine2


@inlined
def masked(
    q: Any, sine2: Any, ux: Any, wx: Any, uz: Any, wz: Any, opened: Any, kept2: Any, c: Any, d: Any
) -> Any:
    """Covariances behind dropout are kept; cosines are multiplied by kept, opened = 1 - kept^2."""
    return q, fma(q, 0.0, 1.0), fma(sine2, kept2, opened)


@inlined
def sign(
    q: Any, sine2: Any, ux: Any, wx: Any, uz: Any, wz: Any, a: Any, b: Any, c: Any, d: Any
) -> Any:
    """`formulas.sign` with the carried angle, which it forgets."""
    cosine, _, _, _, angle = _angle(q, sine2, wx, wz)
    return (uz * ux) * copysign(fma(angle, -2.0 / math.pi, 1.0), cosine), q * 0.0, sine2


def forgetting(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A formula without angles: what it returns for the squared sine means nothing.

    The next layer that needs an angle takes it from the covariance (`fresh_sine2`).
    """

    @inlined
    def forgetful(
        q: Any, sine2: Any, ux: Any, wx: Any, uz: Any, wz: Any, a: Any, b: Any, c: Any, d: Any
    ) -> Any:
        value, slope = formula(q, ux, wx, uz, wz, a, b, c, d)
        return value, slope, sine2

    return forgetful


def shares(variance: Tensor, w2: float, b2: float) -> tuple[Tensor, Tensor, Tensor]:
    """What `affine_sine2` needs to know of every variance in front of a dense layer.

    1 / sqrt(v), and the shares of the weights and of the bias in the standard deviation behind it.
    """
    root = safe_sqrt(variance)
    weights, bias = math.sqrt(w2) * root, root.new_tensor(math.sqrt(b2))
    whole = (weights.square() + bias.square()).sqrt()
    return (
        safe_divide(root.new_ones(()), root),
        safe_divide(weights, whole),
        safe_divide(bias, whole),
    )


def sum_shares(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `sum_sine2` needs to know of the variances of two independent summands.

    1 / sqrt(v) and the share in the standard deviation of the sum, of each.
    """
    roots = safe_sqrt(first), safe_sqrt(second)
    whole, one = torch.hypot(*roots), first.new_ones(())
    (a, b), (c, d) = ((safe_divide(one, root), safe_divide(root, whole)) for root in roots)
    return a, b, c, d


@inlined
def affine_sine2(
    q: Any, sine2: Any, wx: Any, weights_x: Any, bias_x: Any, wz: Any, weights_z: Any, bias_z: Any
) -> Any:
    """The squared sine behind a dense layer, from the covariance in front of it and `shares`."""
    c = (q * wx) * wz  # a product of w alone may overflow
    mixed = where_less(0.0, c, sine2 / (1.0 + absolute(c)), 1.0 - c)
    one, two = weights_z * weights_x, bias_z * bias_x
    cross = bias_z * weights_x - weights_z * bias_x
    return _joined(one, two, cross, one * one * sine2, mixed)


@inlined
def sum_sine2(
    c1: Any, sine2_1: Any, x1: Any, z1: Any, c2: Any, sine2_2: Any, x2: Any, z2: Any
) -> Any:
    """`duals.sine2_of_sum` of two independent pairs.

    From the cosine and the squared sine of each, and from its shares x and z in the standard
    deviations of the two sums, which are 0 if the sum vanishes.
    """
    fold1, fold2 = sine2_1 / (1.0 + absolute(c1)), sine2_2 / (1.0 + absolute(c2))
    product = c1 * c2
    mixed = where_less(0.0, product, fold1 + fold2 - fold1 * fold2, 1.0 - product)
    one, two, cross = z1 * x1, z2 * x2, z2 * x1 - z1 * x2
    return _joined(one, two, cross, fma(one * one, sine2_1, two * two * sine2_2), mixed)


@inlined
def _joined(one: Any, two: Any, cross: Any, own: Any, mixed: Any) -> Any:
    found = fma(mixed, one * two * 2.0, fma(cross, cross, own))
    found = where_less(0.0, one + two, found, 1.0)  # a sum that vanishes has angle pi / 2
    return where_less(1.0, found, 1.0, found)
