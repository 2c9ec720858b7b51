r"""The kink of an ELU, whose expectations are integrals over one angle.

In polar coordinates of the plane in which u and v are two directions, both are negative on a
sector of pi - t for the angle t between them; the integral over the radius is known, and the one
over the angle is of a smooth function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Nodes of [0, 1], dense at its ends, where functions of large variance are steep.
_STEEP = 1.8
_X, _W = np.polynomial.legendre.leggauss(24)
_X, _W = (
    0.5 + np.tanh(_STEEP * _X) / np.tanh(_STEEP) / 2.0,
    _W * _STEEP / np.tanh(_STEEP) / np.cosh(_STEEP * _X) ** 2 / 2.0,
)
_Q = math.sqrt(math.pi / 2.0)
# Beyond, exp(w^2 / 2) loses digits and its product with erfc is an asymptotic series.
_FAR = 20.0


@dataclass(frozen=True)
class ExponentialKink:
    """scale (alpha (exp(x) - 1) - x) for x < 0 and 0 above: an ELU without its linear part."""

    alpha: float
    scale: float

    def phi(self, x: Tensor) -> Tensor:
        """The function."""
        below = x.clamp(max=0.0)
        return self.scale * (self.alpha * torch.expm1(below) - below)

    def slope(self, x: Tensor) -> Tensor:
        """Its derivative."""
        below = self.scale * (self.alpha * torch.exp(x.clamp(max=0.0)) - 1.0)
        return torch.where(x > 0, 0.0, below)

    def expectations(
        self, cosine: Tensor, sine2: Tensor, a: Tensor, b: Tensor, partials: bool
    ) -> Tensor:
        """T, T' and, if asked for, their derivatives; see `expectations`."""
        sine = sine2.sqrt()
        sector = torch.atan2(sine, -cosine)
        found = cosine.new_zeros((7 if partials else 2, len(a)))
        sines = [torch.sin(x * sector) for x in _X.tolist()]
        for x, z, w in zip(reversed(sines), sines, _W.tolist(), strict=True):
            for total, more in zip(found, self._radial(a * x, b * z, partials), strict=True):
                total.add_(more, alpha=w)
        found *= sector
        if partials:
            found[2] = a * b * found[2] + self._on_edges(sine, a, b)
        return found * (self.scale**2 / (2.0 * math.pi))

    def _radial(self, x: Tensor, z: Tensor, partials: bool) -> list[Tensor]:
        """Integrals over r of r exp(-r^2 / 2) times the functions of -x r and -z r."""
        alpha, (both, left, right) = self.alpha, (_Radial(w) for w in (x + z, x, z))
        value = alpha**2 * (both.first - left.first - right.first + 1.0) + 2.0 * x * z
        value += alpha * (x * (right.second - _Q) + z * (left.second - _Q))
        slope = alpha**2 * both.first - alpha * (left.first + right.first) + 1.0
        if not partials:
            return [value, slope]
        by_log = [
            s * (alpha * (other.second - _Q) + 2.0 * o
                 - alpha * (alpha * (both.second - own.second) + o * own.third))
            for s, o, own, other in ((x, z, left, right), (z, x, right, left))
        ]  # fmt: skip
        by_log += [
            alpha * s * (own.second - alpha * both.second) for s, own in ((x, left), (z, right))
        ]
        return [value, slope, alpha**2 * both.first, *by_log]

    def _on_edges(self, sine: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Where u or v is 0 and the derivative jumps: what is left of E[phi'' phi''] there."""
        jump, apart = 1.0 - self.alpha, sine > 0
        corner = torch.where(apart, 1.0 / torch.where(apart, sine, 1.0), 0.0)
        edges = a * _mills(a * sine) + b * _mills(b * sine)
        return jump * jump * corner + jump * self.alpha * edges


class _Radial:
    """Integrals over r of r^n exp(-r^2 / 2 - w r) for n = 1, 2, 3 and w >= 0."""

    def __init__(self, w: Tensor) -> None:
        self.w, self.mills = w, _mills(w)
        self.first = 1.0 - w * self.mills

    @property
    def second(self) -> Tensor:
        return self.mills - self.w * self.first

    @property
    def third(self) -> Tensor:
        return 2.0 * self.first - self.w * self.second


def _mills(w: Tensor) -> Tensor:
    """Integral of exp(-r^2 / 2 - w r): exp(w^2 / 2) sqrt(pi / 2) erfc(w / sqrt 2)."""
    near = w.clamp(max=_FAR)
    found = (0.5 * near * near).exp_() * torch.special.erfc(near / math.sqrt(2.0)) * _Q
    if not len(w) or w.max() <= _FAR:
        return found
    far = w.clamp(min=_FAR)
    t, series = far**-2, torch.zeros_like(w)
    for k in range(15, 0, -2):
        series = 1.0 - k * t * series if k < 15 else torch.ones_like(w)
    return torch.where(w > _FAR, series / far, found)
