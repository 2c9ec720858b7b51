"""A wave in a Gaussian window."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import DualActivation, register
from .pair import GaussianPair


@dataclass(frozen=True)
class Gabor(DualActivation):
    r"""phi(x) = exp(-x^2) sin(x).

    The window multiplies the Gaussian density: with D = 1 + 2 (var_x + var_z) + 4 det,
    T = exp(-S) sinh(cov / D) / sqrt D, S = (var_x + var_z + 4 det) / (2 D).
    """

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return torch.exp(-x * x) * torch.sin(x)

    def variance(self, v: Tensor) -> Tensor:
        """T at angle 0."""
        return self.covariance(GaussianPair(v, v, v, torch.zeros_like(v)))[0]

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """T and its derivative in cov."""
        q, own = pair.cov, pair.var_x + pair.var_z
        d = 1.0 + 2.0 * own + 4.0 * pair.determinant
        share = (own + 4.0 * pair.determinant) / d
        window, wave = torch.exp(-0.5 * share) * d.rsqrt(), q / d
        value = window * torch.sinh(wave)
        turn = window * torch.cosh(wave) * (1.0 + 8.0 * q * wave) / d
        return value, turn + 4.0 * wave * (2.0 - share) * value


register("gabor", Gabor)
