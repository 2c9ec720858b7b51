"""The error function."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import DualActivation, register
from .pair import GaussianPair, safe_divide


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
        angle, root = self._angle(pair)
        slope = (4.0 / math.pi) * self.rate**2 / root
        return self.amplitude**2 * (2.0 / math.pi) * angle, self.amplitude**2 * slope

    def _angle(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """The arcsin above, and the root of its second argument."""
        r2 = self.rate**2
        rest = 1.0 + 2.0 * r2 * (pair.var_x + pair.var_z) + 4.0 * r2**2 * pair.determinant
        root = rest.sqrt()
        return torch.atan2(2.0 * r2 * pair.cov, root), root

    def sine2(self, pair: GaussianPair) -> Tensor:
        """1 - A^2 / (A_x A_z) with the arcsin A, without cancellation at small angles.

        With the mean m and half the difference h of A_x and A_z:
        sin(m - |A|) sin(m + |A|) = sin(h)^2 + 4 r^4 det / ((1 + 2 r^2 var_x)(1 + 2 r^2 var_z)).
        """
        qx, qz = 2.0 * self.rate**2 * pair.var_x, 2.0 * self.rate**2 * pair.var_z
        ax, az = (torch.atan2(q, (1.0 + 2.0 * q).sqrt()) for q in (qx, qz))
        angle, mean, half = self._angle(pair)[0].abs(), (ax + az) / 2.0, (ax - az) / 2.0
        product = ax * az
        far = product - angle * angle
        near = (2.0 * far < product) & (half * half < product)
        apart = 4.0 * self.rate**4 * pair.determinant / ((1.0 + qx) * (1.0 + qz))
        sine = safe_divide(half.sin() ** 2 + apart, (mean + angle).sin())
        small = torch.asin(torch.where(near, sine, 0.0).clamp(max=0.9))  # m - |A|
        exact = torch.where(near, small * (mean + angle) - half * half, far)
        return torch.where(far + angle > 0, safe_divide(exact, product), 1.0).clamp(0.0, 1.0)


@dataclass(frozen=True)
class SigmoidLike(DualActivation):
    """phi(x) = (1 + erf(x / 2.4020563531719796)) / 2, which is within 0.01 of the sigmoid.

    T = 1/4 + T_erf / 4, since the error function is odd.
    """

    @property
    def _erf(self) -> Erf:
        return Erf(0.5, 1.0 / 2.4020563531719796)

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return 0.5 + self._erf.phi(x)

    def variance(self, v: Tensor) -> Tensor:
        """T at angle 0."""
        return 0.25 + self._erf.variance(v)

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """The shifted arcsine kernel and its derivative."""
        value, slope = self._erf.covariance(pair)
        return 0.25 + value, slope


register("erf", Erf)
register("sigmoid_like", SigmoidLike)
