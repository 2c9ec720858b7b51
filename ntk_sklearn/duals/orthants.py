"""Moments of two correlated standard Gaussians x, z beyond thresholds: where x > h and z > k.

With X = x - h and Z = z - k, E[X^i Z^j; X > 0, Z > 0] follow from the orthant probability by
integration by parts. All of it is stable at every angle: nothing is divided by a sine alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

# 12 nodes reach rounding.
_X, _W = np.polynomial.legendre.leggauss(12)
_X, _W = (1.0 + _X) / 2.0, _W / 2.0


def density(x: Tensor) -> Tensor:
    """Of N(0, 1)."""
    return torch.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def beyond(x: Tensor) -> Tensor:
    """P(n > x) for n ~ N(0, 1)."""
    return 0.5 * torch.special.erfc(x / math.sqrt(2.0))


@dataclass(frozen=True)
class Orthant:
    """Thresholds h, k >= 0 (k,) of a pair with this cosine and sine of its angle."""

    h: Tensor
    k: Tensor
    cosine: Tensor
    sine: Tensor

    @cached_property
    def gaps(self) -> tuple[Tensor, Tensor]:
        """h - cos k and k - cos h, without cancellation at small angles."""
        fold = self.sine**2 / (1.0 + self.cosine.abs())
        sign = torch.where(self.cosine < 0, -1.0, 1.0)
        return (
            self.h - sign * self.k + sign * fold * self.k,
            self.k - sign * self.h + sign * fold * self.h,
        )

    @cached_property
    def probability(self) -> Tensor:
        """P(x > h, z > k), by the function T of Owen (1956)."""
        both = self.h + self.k == 0
        x, z = self.gaps
        angle = torch.atan2(self.sine, self.cosine)
        found = 0.5 * (beyond(self.h) + beyond(self.k))
        found = found - _owen(self.h, z, self.sine) - _owen(self.k, x, self.sine)
        return torch.where(both, 0.5 - angle / (2.0 * math.pi), found)

    def on_edge(self, n: int) -> tuple[list[Tensor], list[Tensor]]:
        """E[delta(X) Z^j; Z > 0] and E[delta(Z) X^j; X > 0] for j up to n."""
        x, z = self.gaps
        return (
            _conditional(density(self.h), -z, self.sine, n),
            _conditional(density(self.k), -x, self.sine, n),
        )

    @property
    def at_corner(self) -> Tensor:
        """E[delta(X) delta(Z)]; 0 at sine 0."""
        apart = self.sine > 0
        sine = torch.where(apart, self.sine, 1.0)
        found = density(self.h) * density(self.gaps[1] / sine) / sine
        return torch.where(apart, found, 0.0)

    def moments(self, m: int, n: int) -> dict[tuple[int, int], Tensor]:
        """E[X^i Z^j; X > 0, Z > 0] for i up to m and j up to n.

        From E[x F] = E[dF/dx] + cos E[dF/dz] for F = X^i Z^j where both are positive, else 0.
        """
        at_x, at_z = self.on_edge(max(m, n))
        found = {(0, 0): self.probability}
        for j in range(n):
            step = (at_z[0] if j == 0 else j * found[0, j - 1]) + self.cosine * at_x[j]
            found[0, j + 1] = step - self.k * found[0, j]
        for i in range(m):
            for j in range(n + 1):
                own = at_x[j] if i == 0 else i * found[i - 1, j]
                other = at_z[i] if j == 0 else j * found[i, j - 1]
                found[i + 1, j] = own + self.cosine * other - self.h * found[i, j]
        return found


def _conditional(weight: Tensor, mean: Tensor, sd: Tensor, n: int) -> list[Tensor]:
    """weight E[y^j; y > 0] for y ~ N(mean, sd^2) and j up to n."""
    ratio = mean / sd.clamp(min=1e-300)
    found = [weight * beyond(-ratio)]
    for j in range(n):
        before = density(ratio) * weight if j == 0 else j * sd * found[j - 1]
        found.append(mean * found[j] + sd * before)
    return found


def _owen(h: Tensor, rise: Tensor, sine: Tensor) -> Tensor:
    """Owen's T(h, rise / (h sine)) for h, sine >= 0, by quadrature over slopes of at most 1.

    T(h, a) + T(a h, 1/a) = (P(h) + P(a h)) / 2 - P(h) P(a h) with P = `beyond` for a > 0.
    """
    run, size = h * sine, rise.abs()
    steep = size > run
    other = size / sine.clamp(min=1e-300)
    slope = torch.minimum(run, size) / torch.maximum(run, size).clamp(min=1e-300)
    height = torch.where(steep, other, h)
    exponent, squared = -0.5 * height * height, slope * slope
    total, below, part = torch.zeros_like(h), torch.empty_like(h), torch.empty_like(h)
    for x, w in zip((_X * _X).tolist(), _W.tolist(), strict=True):
        torch.mul(squared, x, out=below).add_(1.0)
        torch.mul(exponent, below, out=part).exp_().div_(below)
        total.add_(part, alpha=w)
    total = total * slope / (2.0 * math.pi)
    p, q = beyond(h), beyond(other)
    return torch.where(steep, 0.5 * (p + q) - p * q - total, total) * rise.sign()
