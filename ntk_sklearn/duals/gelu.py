"""The Gaussian error linear unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import gelu

from .base import DualActivation, register
from .pair import GaussianPair

_TAU = 2.0 * math.pi


@dataclass(frozen=True)
class GELU(DualActivation):
    r"""phi(x) = x P(N(0, 1) <= x), the exact form (Tsuchida et al. 2021 for the kernel).

    With D = (1 + var_x)(1 + var_z) - cov^2 and A = arctan(cov / sqrt D):
    T = (cov^2 + var_x var_z D) / ((1 + var_x)(1 + var_z) sqrt D) / (2 pi) + cov (A / (2 pi) + 1/4).
    """

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return gelu(x)

    def variance(self, v: Tensor) -> Tensor:
        """T at angle 0."""
        return self.covariance(GaussianPair(v, v, v, torch.zeros_like(v)))[0]

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """T above and its derivative in cov."""
        q, vx, vz = pair.cov, pair.var_x, pair.var_z
        d = 1.0 + vx + vz + pair.determinant
        product, root = (1.0 + vx) * (1.0 + vz), d.sqrt()
        turn = 0.25 + torch.atan2(q, root) / _TAU
        value = (q * q + vx * vz * d) / (product * root) / _TAU + q * turn
        slope = turn + q / (_TAU * root) * (1.0 / d + (1.0 - vx * vz) / product + 1.0)
        return value, slope


register("gelu", GELU)
