"""Exponential and Gaussian activations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import DualActivation, register
from .pair import GaussianPair


@dataclass(frozen=True)
class Exp(DualActivation):
    """phi(x) = amplitude exp(rate x): T = a^2 exp(r^2 (var_x + var_z + 2 cov) / 2), T' = r^2 T."""

    amplitude: float = 1.0
    rate: float = 1.0

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return self.amplitude * torch.exp(self.rate * x)

    def variance(self, v: Tensor) -> Tensor:
        """a^2 exp(2 r^2 v)."""
        return self.amplitude**2 * torch.exp(2.0 * self.rate**2 * v)

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """T and T'."""
        half = 0.5 * (pair.var_x + pair.var_z) + pair.cov
        value = self.amplitude**2 * torch.exp(self.rate**2 * half)
        return value, self.rate**2 * value


@dataclass(frozen=True)
class Gaussian(DualActivation):
    r"""phi(x) = amplitude exp(-rate x^2).

    With D = 1 + 2 r (var_x + var_z) + 4 r^2 det: T = a^2 / sqrt D, T' = 4 (a r)^2 cov / D^(3/2).
    """

    amplitude: float = 1.0
    rate: float = 1.0

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return self.amplitude * torch.exp(-self.rate * x * x)

    def variance(self, v: Tensor) -> Tensor:
        """a^2 / sqrt(1 + 4 r v)."""
        return self.amplitude**2 * (1.0 + 4.0 * self.rate * v).rsqrt()

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """T and T'."""
        d = (
            1.0
            + 2.0 * self.rate * (pair.var_x + pair.var_z)
            + 4.0 * self.rate**2 * (pair.determinant)
        )
        value = self.amplitude**2 * d.rsqrt()
        return value, 4.0 * self.rate**2 * pair.cov * value / d


register("exp", Exp)
register("gaussian", Gaussian)
