"""Expectations of pairs as plain double sums, and as single integrals in many digits.

For functions that are analytic around the real line the trapezoidal rule converges exponentially
in its step. For a few with kinks the inner integral is known in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import mpmath as mp
import numpy as np
import torch


def trapezoid(f: Callable, a: float, b: float, angle: float, reach: float) -> float:
    """E[f(u) f(v)] for f analytic within a distance of `reach` of the real line."""
    step = min(0.25, reach / 8.0 / max(a, b))
    s = np.arange(-10.0, 10.0, step)
    weight = step * np.exp(-0.5 * s * s) / math.sqrt(2.0 * math.pi)
    t, total = torch.as_tensor(s), 0.0
    for part in np.array_split(np.arange(len(s)), 1 + len(s) ** 2 // 2**22):
        v = b * (math.cos(angle) * t[part, None] + math.sin(angle) * t)
        inner = f(v).numpy() @ weight
        total += (weight[part] * f(a * t[part]).numpy()) @ inner
    return float(total)


def single(
    outer: Callable, inner: Callable, kinks: Sequence[float], a: float, b: float, angle: float
) -> float:
    """E[outer(u) E[outer(v) | u]] with ``inner(m, s)`` = E[outer(m + s n)], n standard normal."""
    c, s = mp.cos(angle), mp.sin(angle)
    cuts = {mp.mpf(x) for x in (-12, -6, -2, 0, 2, 6, 12)}
    for kink in kinks:
        cuts.add(kink / mp.mpf(a))
        cuts |= {(kink / mp.mpf(b) + w * s) / c for w in (-8, -3, 0, 3, 8)}

    def integrand(x):
        return mp.npdf(x) * outer(a * x) * inner(b * c * x, abs(b * s))

    return float(mp.quad(integrand, sorted(x for x in cuts if -12 <= x <= 12)))


def ramp(m, s):
    """E[max(m + s n, 0)]."""
    return m * mp.ncdf(m / s) + s * mp.npdf(m / s)


def below(m, s):
    """E[exp(m + s n); m + s n < 0]."""
    return mp.exp(m + s * s / 2) * mp.ncdf(-(m + s * s) / s)


# The function and its derivative, each with its conditional expectation, and the kinks.
ELU = (
    (lambda x: x if x > 0 else mp.expm1(x),
     lambda m, s: ramp(m, s) + below(m, s) - mp.ncdf(-m / s)),
    (lambda x: 1 if x > 0 else mp.exp(x), lambda m, s: mp.ncdf(m / s) + below(m, s)),
    (0.0,),
)  # fmt: skip
HARD_TANH = (
    (lambda x: max(-1, min(1, x)), lambda m, s: ramp(m + 1, s) - ramp(m - 1, s) - 1),
    (lambda x: int(-1 < x < 1), lambda m, s: mp.ncdf((1 - m) / s) - mp.ncdf((-1 - m) / s)),
    (-1.0, 1.0),
)
