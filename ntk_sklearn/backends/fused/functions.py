"""Elementary functions of vectors of lanes, in both precisions.

Each is a minimax polynomial behind an exact reduction of its argument; `tools/minimax.py` finds
the coefficients. Errors are relative: a few units in the last place.
"""

from __future__ import annotations

from typing import Any

from . import coefficients
from .compiling import inlined
from .lanes import fma, nearest, polynomial, power_of_two, where_less

_angle_rest = polynomial(*coefficients.ANGLE_REST)
_near_angle_rest = polynomial(*coefficients.NEAR_ANGLE_REST)
_bend_over_root = polynomial(*coefficients.BEND_OVER_ROOT)
_exp_rest = polynomial(*coefficients.EXP_REST)

# One number for each precision: -log 2 in two parts, of which the first has so few digits that its
# products with exponents are exact; arguments beyond which exp is infinite or 0.
_high = polynomial((-0.693145751953125,), (-0.6931471803691238,))
_low = polynomial((-1.428606765330187e-06,), (-1.9082149292705877e-10,))
_exp_top = polynomial((90.0,), (712.0,))
_exp_bottom = polynomial((-106.0,), (-748.0,))
_LOG2_E = 1.4426950408889634


@inlined
def angle_over_sine(g: Any) -> Any:
    """t / sin t for the angle t in [0, pi / 2] with cos t = 1 - g."""
    return fma(_angle_rest(g), g, 1.0)


@inlined
def near_angle_over_sine(g: Any) -> Any:
    """The same for t in [0, pi / 4], with fewer terms."""
    return fma(_near_angle_rest(g), g, 1.0)


@inlined
def bend_over_root(g: Any) -> Any:
    """(sin t - t cos t) / g^1.5 for the angle t in [0, pi / 2] with cos t = 1 - g."""
    return _bend_over_root(g)


@inlined
def exp(x: Any) -> Any:
    """The exponential: infinite above the largest number, 0 below the smallest."""
    x = where_less(x, _exp_bottom(x), _exp_bottom(x), x)
    x = where_less(_exp_top(x), x, _exp_top(x), x)
    n, rest = _reduced(x)
    # 2^n itself leaves the range of exponents a little before exp(x) does
    half = nearest(n * 0.5)
    return (rest + 1.0) * power_of_two(half) * power_of_two(n - half)


@inlined
def expm1(x: Any) -> Any:
    """exp(x) - 1 for x <= 0, without cancellation at small x."""
    # exp(-50) is nothing beside 1 in both precisions
    n, rest = _reduced(where_less(x, -50.0, -50.0, x))
    scale = power_of_two(n)
    return fma(scale, rest, scale - 1.0)


@inlined
def _reduced(x: Any) -> tuple[Any, Any]:
    """n and exp(x - n log 2) - 1 for the nearest multiple n of log 2."""
    n = nearest(x * _LOG2_E)
    r = fma(n, _low(x), fma(n, _high(x), x))
    return n, fma(_exp_rest(r), r * r, r)
