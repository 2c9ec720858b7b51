"""The identity: deep linear networks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import DualActivation, register
from .pair import GaussianPair


@dataclass(frozen=True)
class Linear(DualActivation):
    """phi(x) = x: T = cov, T' = 1."""

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return x

    def variance(self, v: Tensor) -> Tensor:
        """The variance itself."""
        return v

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """(cov, 1)."""
        return pair.cov, torch.ones_like(pair.cov)

    def sine2(self, pair: GaussianPair) -> Tensor:
        """The angle is kept."""
        return pair.sine2


register("identity", Linear)
