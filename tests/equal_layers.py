"""Networks of equal layers by scalar recursions from textbook formulas, one layer at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

Moments = Callable[[float, float, float], tuple[float, float]]


class Pair(NamedTuple):
    """Variance, covariance and tangent kernels of two inputs of one variance."""

    q: float
    k: float
    same: float
    different: float


def erf(k: float, x: float, z: float) -> tuple[float, float]:
    """E[phi phi] and E[phi' phi'] for the error function (Williams 1997)."""
    product = (1 + 2 * x) * (1 + 2 * z)
    return (
        2 / math.pi * math.asin(2 * k / math.sqrt(product)),
        4 / math.pi / math.sqrt(product - 4 * k * k),
    )


def relu(k: float, x: float, z: float) -> tuple[float, float]:
    """The same for relu (Cho and Saul 2009)."""
    angle = math.acos(min(1.0, k / math.sqrt(x * z)))
    slope = (math.pi - angle) / (2 * math.pi)
    return math.sqrt(x * z) * math.sin(angle) / (2 * math.pi) + slope * k, slope


def sine(k: float, x: float, z: float) -> tuple[float, float]:
    """The same for sin, by the moments of a Gaussian's characteristic function."""
    minus, plus = math.exp(k - (x + z) / 2), math.exp(-k - (x + z) / 2)
    return (minus - plus) / 2, (minus + plus) / 2


def cosine(k: float, x: float, z: float) -> tuple[float, float]:
    """The same for cos."""
    value, slope = sine(k, x, z)
    return slope, value


def follow(moments: Moments, w: float, b: float, depth: int, q: float, c: float) -> Pair:
    """Pre-activations behind `depth` more layers, from variance q and correlation c."""
    pair = Pair(q, c * q, q, c * q)
    for _ in range(depth):
        value, slope = moments(pair.q, pair.q, pair.q)
        two, slope_two = moments(pair.k, pair.q, pair.q)
        q, k = w * w * value + b * b, w * w * two + b * b
        pair = Pair(q, k, q + w * w * slope * pair.same, k + w * w * slope_two * pair.different)
    return pair


MOMENTS: dict[str, Moments] = {"erf": erf, "relu": relu, "sin": sine, "cos": cosine}
