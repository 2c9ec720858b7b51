"""The error function."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import DualActivation, register
from .pair import GaussianPair


@dataclass(frozen=True)
class Erf(DualActivation):
    r"""phi(x) = amplitude erf(rate x); the default is erf(x), not erf(x / sqrt 2).

    T = 2/pi arcsin(2 cov / sqrt((1 + 2 var_x)(1 + 2 var_z))) and
    T' = 4/pi / sqrt((1 + 2 var_x)(1 + 2 var_z) - 4 cov^2) for amplitude = rate = 1 (Williams
    1997). The arcsin is taken as an atan2, whose second argument does not cancel.
    """

    amplitude: float = 1.0
    rate: float = 1.0

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return self.amplitude * torch.erf(self.rate * x)

    def variance(self, v: Tensor) -> Tensor:
        """T at angle 0."""
        q = 2.0 * self.rate**2 * v
        return self.amplitude**2 * (2.0 / math.pi) * torch.atan2(q, (1.0 + 2.0 * q).sqrt())

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """The arcsine kernel and its derivative."""
        r2 = self.rate**2
        rest = 1.0 + 2.0 * r2 * (pair.var_x + pair.var_z) + 4.0 * r2**2 * pair.determinant
        root = rest.sqrt()
        value = (2.0 / math.pi) * torch.atan2(2.0 * r2 * pair.cov, root)
        slope = (4.0 / math.pi) * r2 / root
        return self.amplitude**2 * value, self.amplitude**2 * slope


register("erf", Erf)
