"""Layers as the engine runs them that multiply covariances by numbers of inputs or positions.

They are like activations of variances, and never leave the engine.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...duals import DualActivation, GaussianPair
from ...recursion.normalization import reciprocal

# Axes that variances of images end in.
_SPACE = 2


class _Compiled(DualActivation):
    """What has variances here, and its covariances in `formulas` and `carried` alone."""

    def phi(self, x: Tensor) -> Tensor:
        """It is no function of one unit."""
        raise NotImplementedError(f"{self!r} does not act on single units")

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """They are compiled."""
        raise NotImplementedError(f"{self!r} exists in the fused engine only")


@dataclass(frozen=True)
class Normalization(_Compiled):
    """q / sqrt((v_x + eps) (v_z + eps)), perhaps with the means v over the positions of images."""

    eps: float
    over_space: bool = False

    def factor(self, v: Tensor) -> Tensor:
        """1 / sqrt(v + eps) of variances (n,) or (n, height, width)."""
        return reciprocal(v, self.eps, _SPACE if self.over_space else 0)

    def variance(self, v: Tensor) -> Tensor:
        """v / (v + eps), in the order in which covariances are multiplied."""
        factor = self.factor(v)
        return (v * factor) * factor


@dataclass(frozen=True)
class Masking(_Compiled):
    """Dropout: variances grow, covariances do not.

    Between inputs without positions, which are different ones, this is the dual's formula; images
    with themselves grow where they are read (`machine.read`).
    """

    p: float

    def variance(self, v: Tensor) -> Tensor:
        """v / (1 - p)."""
        return v / (1.0 - self.p)


@dataclass(frozen=True)
class Rescaling(_Compiled):
    """q f(i) f(i') with one factor for each position, the product of those along both axes."""

    rows: tuple[float, ...]
    columns: tuple[float, ...]

    def factor(self, v: Tensor) -> Tensor:
        """Factors (height, width)."""
        return v.new_tensor(self.rows)[:, None] * v.new_tensor(self.columns)

    def variance(self, v: Tensor) -> Tensor:
        """v f(i)^2."""
        factor = self.factor(v)
        return (v * factor) * factor
