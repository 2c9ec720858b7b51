"""A kernel that is given without an activation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import DualActivation, register
from .pair import GaussianPair


@dataclass(frozen=True)
class ExpNormalized(DualActivation):
    r"""The normalized Gaussian kernel: T = sd_x sd_z exp(gamma (cos t - 1)) (Shankar et al. 2020).

    T' = gamma exp(gamma (cos t - 1)) is its derivative in the covariance. No activation has this
    pair of expectations at all variances, so that networks of finite width do not exist.

    Parameters
    ----------
    gamma : float or Tensor
        At least 0; gradients flow to a tensor, whose values are not looked at.

    Raises
    ------
    ValueError
        If `gamma` is a number below 0, with which there is no kernel, or not finite.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.gamma, Tensor) and not 0.0 <= self.gamma < math.inf:
            raise ValueError(
                f"ExpNormalized.gamma must be finite and at least 0, got {self.gamma!r}: with "
                "others T is no kernel"
            )

    def phi(self, x: Tensor) -> Tensor:
        """There is none.

        Raises
        ------
        NotImplementedError
        """
        raise NotImplementedError(
            f"{self!r} is a kernel without an activation: it has no networks of finite width; use "
            "width=inf"
        )

    def variance(self, v: Tensor) -> Tensor:
        """The variance itself."""
        return v

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """T and T'."""
        decay = torch.exp(-self.gamma * pair.versine)
        return pair.scale * decay, self.gamma * decay


register("exp_normalized", ExpNormalized)
