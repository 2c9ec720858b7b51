"""Activations without a closed form, by name: their expectations are computed (`Elementwise`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from .base import register
from .elementwise import NumericalActivation
from .exponential_kink import ExponentialKink

# Klambauer et al. 2017: fixed point 0 of the mean and 1 of the variance.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@dataclass(frozen=True)
class Tanh(NumericalActivation):
    """phi(x) = tanh(x)."""

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return torch.tanh(x)

    def slope(self, x: Tensor) -> Tensor:
        """1 / cosh(x)^2, without the cancellation of 1 - tanh(x)^2."""
        decayed = torch.exp(-2.0 * x.abs())
        return 4.0 * decayed / (1.0 + decayed) ** 2


@dataclass(frozen=True)
class Sigmoid(NumericalActivation):
    """phi(x) = 1 / (1 + exp(-x))."""

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return torch.sigmoid(x)

    def slope(self, x: Tensor) -> Tensor:
        """phi (1 - phi)."""
        return torch.sigmoid(x) * torch.sigmoid(-x)


@dataclass(frozen=True)
class Softplus(NumericalActivation):
    """phi(x) = log(1 + exp(x)); torch's is linear beyond 20, where this one is not."""

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return torch.logaddexp(x, torch.zeros_like(x))

    def slope(self, x: Tensor) -> Tensor:
        """The sigmoid."""
        return torch.sigmoid(x)


@dataclass(frozen=True)
class SiLU(NumericalActivation):
    """phi(x) = x / (1 + exp(-x)), also called swish (Elfwing et al. 2018)."""

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return x * torch.sigmoid(x)

    def slope(self, x: Tensor) -> Tensor:
        """Its derivative."""
        return torch.sigmoid(x) * (1.0 + x * torch.sigmoid(-x))


@dataclass(frozen=True)
class Mish(NumericalActivation):
    """phi(x) = x tanh(log(1 + exp(x))) (Misra 2020)."""

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return x * torch.tanh(torch.logaddexp(x, torch.zeros_like(x)))

    def slope(self, x: Tensor) -> Tensor:
        """Its derivative."""
        softplus = torch.logaddexp(x, torch.zeros_like(x))
        return torch.tanh(softplus) + x * torch.sigmoid(x) * Tanh().slope(softplus)


@dataclass(frozen=True)
class ELU(NumericalActivation):
    """phi(x) = scale x for x > 0, and scale alpha (exp(x) - 1) below (Clevert et al. 2016)."""

    alpha: float = 1.0
    scale: float = 1.0
    kinks: ClassVar[tuple[float, ...]] = (0.0,)

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return self.scale * F.elu(x, self.alpha)

    def slope(self, x: Tensor) -> Tensor:
        """Its derivative."""
        return self.scale * torch.where(x > 0, 1.0, self.alpha * x.clamp(max=0.0).exp())

    def kinked_part(self) -> ExponentialKink:
        """All but scale x."""
        return ExponentialKink(self.alpha, self.scale)


def SELU() -> ELU:
    """The self-normalizing ELU (Klambauer et al. 2017)."""
    return ELU(_SELU_ALPHA, _SELU_SCALE)


@dataclass(frozen=True)
class HardTanh(NumericalActivation):
    """phi(x) = x between `low` and `high`, and constant beyond."""

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"HardTanh needs low < high, got {self.low} and {self.high}")

    @property
    def kinks(self) -> tuple[float, ...]:
        """Both ends."""
        return float(self.low), float(self.high)

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return x.clamp(self.low, self.high)

    def slope(self, x: Tensor) -> Tensor:
        """1 or 0."""
        return ((x > self.low) & (x < self.high)).to(x.dtype)


def ReLU6() -> HardTanh:
    """min(max(x, 0), 6)."""
    return HardTanh(0.0, 6.0)


register("elu", ELU)
register("hardtanh", HardTanh)
register("mish", Mish)
register("relu6", ReLU6)
register("selu", SELU)
register("sigmoid", Sigmoid)
register("silu", SiLU)
register("softplus", Softplus)
register("swish", SiLU)
register("tanh", Tanh)
