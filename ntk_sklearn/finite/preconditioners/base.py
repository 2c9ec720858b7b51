r"""Preconditioners: positive matrices D by which an optimizer divides gradients.

With a constant D, gradient flow ``theta' = -D^{-1} J^T r`` moves the outputs by ``f' = -K_D r``
with the kernel ``K_D = J D^{-1} J^T``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import torch
from torch import Tensor, nn

from ..tangent import ModuleFunction, as_function
from ..tangent.function import is_within


class Preconditioner(Protocol):
    """A frozen positive semi-definite D^-1 on flat parameter vectors (..., n_parameters)."""

    @property
    def n_parameters(self) -> int:
        """Length of the vectors."""

    def apply(self, v: Tensor) -> Tensor:
        """D^-1 v."""

    def root(self, v: Tensor) -> Tensor:
        """D^-1/2 v, by the symmetric root."""


@dataclass(frozen=True, eq=False)
class Diagonal:
    """A diagonal D.

    Attributes
    ----------
    inverse : Tensor, (n_parameters,)
        The diagonal of D^-1; 0 for parameters that do not move.
    learning_rate : float
        What an optimizer multiplies D^-1 by; no part of D.
    """

    inverse: Tensor
    learning_rate: float = 1.0

    def __post_init__(self) -> None:
        if not (self.inverse.isfinite() & (self.inverse >= 0)).all():
            raise ValueError("D^-1 must be finite and not negative: D has entries <= 0 or NaN")

    @property
    def n_parameters(self) -> int:
        """Length of the vectors."""
        return len(self.inverse)

    @property
    def diagonal(self) -> Tensor:
        """D (n_parameters,); infinite for parameters that do not move."""
        return 1.0 / self.inverse

    def apply(self, v: Tensor) -> Tensor:
        """D^-1 v."""
        return self.inverse * v

    def root(self, v: Tensor) -> Tensor:
        """D^-1/2 v."""
        return self.inverse.sqrt() * v


def identity(module: nn.Module | ModuleFunction) -> Diagonal:
    """D = I: gradient descent with one learning rate, K_D is the empirical tangent kernel."""
    function = as_function(module)
    flat = function.flatten(function.values)
    return Diagonal(torch.ones_like(flat))


def learning_rates(
    module: nn.Module | ModuleFunction, rates: Mapping[str, float], default: float = 1.0
) -> Diagonal:
    """Gradient descent with a learning rate per parameter: D^-1 holds the rates.

    Parameters
    ----------
    module : torch.nn.Module or ModuleFunction
    rates : mapping of str to float
        Rates >= 0 by name, or beginning of a dotted name (a submodule), of parameters; where
        several fit, the longest counts. 0 freezes.
    default : float
        The rate of all others.

    Returns
    -------
    Diagonal

    Raises
    ------
    ValueError
        For names that no trained parameter has, and rates that are negative or not finite.
    """
    function = as_function(module)
    for name, rate in {**rates, "default": default}.items():
        if not (isfinite(rate) and rate >= 0):
            raise ValueError(f"learning rates must be finite and >= 0, got {rate!r} for {name!r}")
    unused = [name for name in rates if not any(is_within(p, name) for p in function.values)]
    if unused:
        raise ValueError(
            f"rates name {unused}, which no trained parameter has: they are {list(function.values)}"
        )
    found = {
        p: torch.full_like(value, _rate(p, rates, default)) for p, value in function.values.items()
    }
    return Diagonal(function.flatten(found))


def _rate(parameter: str, rates: Mapping[str, float], default: float) -> float:
    fitting = [name for name in rates if is_within(parameter, name)]
    return float(rates[max(fitting, key=len)]) if fitting else float(default)
