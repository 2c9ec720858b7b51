"""Sine, cosine and the random-Fourier-feature activation of the RBF kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import DualActivation, register
from .pair import GaussianPair


def _waves(pair: GaussianPair, rate: float) -> tuple[Tensor, Tensor]:
    """E[cos(r(u - v))] and E[cos(r(u + v))]."""
    r2 = rate * rate
    minus = torch.exp(-0.5 * r2 * pair.distance2)
    plus = torch.exp(-0.5 * r2 * (pair.var_x + pair.var_z + 2.0 * pair.cov))
    return minus, plus


@dataclass(frozen=True)
class Sin(DualActivation):
    r"""phi(x) = amplitude sin(rate x + phase).

    T = a^2/2 (E[cos(r(u - v))] - cos(2 phase) E[cos(r(u + v))]), T' = (a r)^2/2 (the same sum).
    """

    amplitude: float = 1.0
    rate: float = 1.0
    phase: float = 0.0

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return self.amplitude * torch.sin(self.rate * x + self.phase)

    @property
    def _turn(self) -> Tensor:
        return torch.cos(2.0 * torch.as_tensor(self.phase, dtype=torch.float64))

    def variance(self, v: Tensor) -> Tensor:
        """a^2/2 (1 - cos(2 phase) exp(-2 r^2 v)), without cancellation at small v."""
        decayed = torch.expm1(-2.0 * self.rate**2 * v)
        turn = self._turn.to(v)
        return 0.5 * self.amplitude**2 * ((1.0 - turn) - turn * decayed)

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """T and T' from the two waves."""
        minus, plus = _waves(pair, self.rate)
        turn = self._turn.to(minus)
        # minus - plus = -minus expm1(-2 r^2 cov) keeps its digits at small covariances
        q = 2.0 * self.rate**2 * pair.cov
        odd = torch.where(
            q >= 0, -minus * torch.expm1(-q.clamp(min=0.0)), plus * torch.expm1(q.clamp(max=0.0))
        )
        half = 0.5 * self.amplitude**2
        value = half * (odd + (1.0 - turn) * plus)
        return value, half * self.rate**2 * (odd + (1.0 + turn) * plus)


def Cos(amplitude: float = 1.0, rate: float = 1.0, phase: float = 0.0) -> Sin:
    """Amplitude cos(rate x + phase), the sine a quarter turn ahead."""
    return Sin(amplitude, rate, phase + math.pi / 2.0)


@dataclass(frozen=True)
class RBF(DualActivation):
    r"""phi(x) = sqrt(2) sin(sqrt(2 gamma) x + pi/4), whose dual is the RBF kernel.

    T = exp(-gamma E(u - v)^2), T' = 2 gamma T (Rahimi and Recht 2007).
    """

    gamma: float = 1.0

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return math.sqrt(2.0) * torch.sin((2.0 * self.gamma) ** 0.5 * x + math.pi / 4.0)

    def variance(self, v: Tensor) -> Tensor:
        """1."""
        return torch.ones_like(v)

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """The RBF kernel of the pair and its derivative."""
        value = torch.exp(-self.gamma * pair.distance2)
        return value, 2.0 * self.gamma * value


register("sin", Sin)
register("cos", Cos)
register("rbf", RBF)
