"""An activation as a user writes one, outside of the package."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ntk_sklearn.duals import DualActivation, GaussianPair


@dataclass(frozen=True)
class SquaredReLU(DualActivation):
    """max(x, 0)^2: the arc-cosine kernel of degree 2 (Cho and Saul 2009)."""

    amplitude: float = 1.0

    def phi(self, x: Tensor) -> Tensor:
        return self.amplitude * x.clamp(min=0.0) ** 2

    def variance(self, v: Tensor) -> Tensor:
        return 1.5 * self.amplitude**2 * v * v

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        a2, rest = self.amplitude**2, math.pi - pair.angle
        square = (pair.scale**2 + 2.0 * pair.cov**2) * rest
        value = 3.0 * pair.root_determinant * pair.cov + square
        slope = pair.root_determinant + rest * pair.cov
        return a2 / (2.0 * math.pi) * value, 2.0 * a2 / math.pi * slope


@dataclass(frozen=True)
class Step(DualActivation):
    """1 where x > 0, else 0; Price's theorem does not apply."""

    absolutely_continuous = False

    def phi(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)

    def variance(self, v: Tensor) -> Tensor:
        return torch.where(v > 0, torch.full_like(v, 0.5), 0.0)

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        value = 0.5 - pair.angle / (2.0 * math.pi)
        return torch.where(pair.scale > 0, value, 0.0), torch.zeros_like(value)
