"""Activations without a closed form, by name: their expectations are computed (`Elementwise`)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from .base import register
from .elementwise import NumericalActivation
from .examination import must_be_numbers
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
    """phi(x) = log(1 + exp(beta x)) / beta.

    torch's is linear where beta x is beyond a threshold of 20; this one is not.

    Parameters
    ----------
    beta : float
        Positive; the larger, the nearer to a ReLU.

    Raises
    ------
    TypeError
        If `beta` is a tensor.
    ValueError
        If `beta` is not positive and finite.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        _must_be_finite(self)
        if self.beta <= 0:
            raise ValueError(f"Softplus.beta must be positive, got {self.beta!r}")

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return torch.logaddexp(self.beta * x, torch.zeros_like(x)) / self.beta

    def slope(self, x: Tensor) -> Tensor:
        """The sigmoid of beta x."""
        return torch.sigmoid(self.beta * x)


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
    """phi(x) = scale x for x > 0, and scale alpha (exp(x) - 1) below (Clevert et al. 2016).

    Parameters
    ----------
    alpha : float
        Minus the limit at -infinity, in units of `scale`.
    scale : float
        Factor of the whole.

    Raises
    ------
    TypeError
        If a parameter is a tensor.
    ValueError
        If a parameter is not finite.
    """

    alpha: float = 1.0
    scale: float = 1.0
    kinks: ClassVar[tuple[float, ...]] = (0.0,)

    def __post_init__(self) -> None:
        _must_be_finite(self)

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
    """phi(x) = x between `low` and `high`, and constant beyond.

    Parameters
    ----------
    low, high : float
        The ends, finite, with low < high.

    Raises
    ------
    TypeError
        If an end is a tensor.
    ValueError
        If an end is not finite, or low < high does not hold.
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _must_be_finite(self)
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


def _must_be_finite(dual: Any) -> None:
    must_be_numbers(dual)
    for name in (f.name for f in fields(dual)):
        if not math.isfinite(getattr(dual, name)):
            raise ValueError(f"{type(dual).__name__}.{name} must be finite, got {dual!r}")


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
