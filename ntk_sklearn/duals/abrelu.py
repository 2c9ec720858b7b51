"""Piecewise linear activations with one kink at 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import DualActivation, register
from .pair import GaussianPair, safe_divide


@dataclass(frozen=True)
class ABReLU(DualActivation):
    r"""phi(x) = a min(x, 0) + b max(x, 0).

    With the angle t of the pair and f = (a - b)^2 / (2 pi):
    T' = (a^2 + b^2) / 2 - f t and T = f sqrt(det) + T' cov (Cho and Saul 2009, degree 1; the
    two-slope form as in Novak et al. 2020).
    """

    a: float = 0.0
    b: float = 1.0

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return self.a * x.clamp(max=0.0) + self.b * x.clamp(min=0.0)

    @property
    def _half(self) -> float:
        return (self.a * self.a + self.b * self.b) / 2.0

    @property
    def _kink(self) -> float:
        return (self.a - self.b) ** 2 / (2.0 * math.pi)

    def variance(self, v: Tensor) -> Tensor:
        """(a^2 + b^2) / 2 v."""
        return self._half * v

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """The arc-cosine kernels of degrees 1 and 0, with two slopes."""
        slope = self._half - self._kink * pair.angle
        return self._kink * pair.root_determinant + slope * pair.cov, slope

    def sine2(self, pair: GaussianPair) -> Tensor:
        """(1 - cos')(1 + cos') from the acute angle s of the lines through u and v.

        With V = 1 - cos s, B = f / half (sin s - s cos s) and cos' the output's correlation:
        1 - cos' = V - B for acute pairs. Obtuse ones have 1 - cos' = V - B + c_+ cos s and
        1 + cos' = V + B + c_- cos s with c_+- = (a +- b)^2 / (a^2 + b^2), where nothing cancels:
        parallel outputs of |x| or of a line stay parallel.
        """
        cosine, size = pair.absolute, 2.0 * self._half + torch.zeros_like(pair.cosine)
        bend = pair.sine - torch.atan2(pair.sine, cosine) * cosine
        bend = safe_divide(2.0 * self._kink * bend, size)
        obtuse = pair.cov < 0
        even = torch.where(obtuse, safe_divide(cosine * (self.a + self.b) ** 2, size), 0.0)
        odd = torch.where(obtuse, safe_divide(cosine * (self.a - self.b) ** 2, size), 0.0)
        below = (pair.fold - bend + even).clamp(min=0.0)
        return below * torch.where(obtuse, pair.fold + bend + odd, 2.0 - below)


def ReLU() -> ABReLU:
    """max(x, 0)."""
    return ABReLU(0.0, 1.0)


def LeakyReLU(slope: float = 0.01) -> ABReLU:
    """max(x, 0) + slope min(x, 0); torch's default slope."""
    return ABReLU(slope, 1.0)


def Abs() -> ABReLU:
    """|x|."""
    return ABReLU(-1.0, 1.0)


register("relu", ReLU)
register("leaky_relu", LeakyReLU)
register("abrelu", ABReLU)
register("abs", Abs)
