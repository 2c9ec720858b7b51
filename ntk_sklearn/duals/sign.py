"""The sign function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import DualActivation, register
from .pair import GaussianPair


@dataclass(frozen=True)
class Sign(DualActivation):
    """phi(x) = sign(x): T = 1 - 2 angle / pi (Cho and Saul 2009, degree 0).

    The derivative is 0 almost everywhere, so T' = 0 by convention (gradient descent does not move
    weights below a sign); Price's theorem does not apply to a step.
    """

    absolutely_continuous: ClassVar[bool] = False

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return torch.sign(x)

    def variance(self, v: Tensor) -> Tensor:
        """1, and 0 where the variance is 0."""
        return torch.where(v > 0, torch.ones_like(v), 0.0)

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """(1 - 2 angle / pi, 0); zero variances have angle pi / 2 and hence 0."""
        value = 1.0 - (2.0 / math.pi) * pair.angle
        return torch.where(pair.scale > 0, value, 0.0), torch.zeros_like(value)


register("sign", Sign)
