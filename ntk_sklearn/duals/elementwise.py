"""Dual activations of any function, by quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from .base import DualActivation
from .examination import must_be_continuous
from .expectations import expectations
from .pair import GaussianPair, safe_sqrt
from .panels import derivative
from .truncated import truncated_powers

_TENSORS = "Elementwise.function must take and return torch tensors, with operations of torch"


class NumericalActivation(DualActivation):
    """An activation whose expectations are computed from `phi`, `slope` and `kinks`.

    A subclass is a frozen dataclass with `phi` and, where it has kinks or jumps of derivatives,
    the property `kinks`; phi itself must not jump. Its fields are numbers: no gradients flow to
    them, and what was computed is kept under their values. See `Elementwise` for what is computed.

    Raises
    ------
    TypeError
        At an evaluation, if a field holds a tensor.
    ValueError
        At the first evaluation, if phi jumps at a kink.
    NotSmoothError
        At the first evaluation, if there is a kink that is not declared.
    """

    @property
    def kinks(self) -> tuple[float, ...]:
        """The points where one of the first three derivatives of phi jumps, in ascending order."""
        return ()

    def slope(self, x: Tensor) -> Tensor:
        """phi'(x); by automatic differentiation unless a class knows better."""
        return derivative(self.phi, x)

    def kinked_part(self) -> Any:
        """A function with phi's kinks and known expectations; phi without it is smoother."""
        return truncated_powers(self)

    def variance(self, v: Tensor) -> Tensor:
        """E[phi(u)^2]."""
        root, one = torch.where(v.isnan(), v, safe_sqrt(v)), torch.ones_like(v)
        found: Tensor = expectations(self, one, torch.zeros_like(v), root, root)[0]
        return found

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """E[phi phi] and E[phi' phi']."""
        value, slope = expectations(self, pair.cosine, pair.sine2, *pair.roots)
        return value, slope


@dataclass(frozen=True, repr=False)
class Elementwise(NumericalActivation):
    r"""phi(x) = function(x), of which nothing is known but values (and kinks).

    With phi(sd s) = sum_l c_l(sd) he_l(s) in normalized Hermite polynomials,
    T = sum_l c_l(sd_x) c_l(sd_z) cos(t)^l for the angle t of the pair, and T' the same sum for
    phi' (Daniely, Frostig and Singer 2016; for absolutely continuous phi, T' is the derivative of T
    in the covariance, Price 1958). The coefficients are composite Gauss-Legendre integrals over
    +-12 standard deviations. Kinks are taken out first: the jumps of the first three derivatives
    belong to truncated powers max(+-(x - kink), 0)^n, whose expectations follow from the bivariate
    normal distribution (Owen 1956). Piecewise polynomials of degree up to 3 are exact so. Where
    2048 terms for the rest are too few, at correlations near +-1 and large variances, a
    two-dimensional quadrature split at the kinks takes over.

    Parameters
    ----------
    function : callable
        From a float64 torch tensor to a tensor of its shape, continuous, entry by entry. For
        pickling it must be found by its name: a function of a module, not a lambda.
    kinks : tuple of float, or one float
        All points where one of the first three derivatives jumps.
    derivative : callable or None
        phi'; None is automatic differentiation of `function`.

    Raises
    ------
    TypeError
        If `function` does not take and return torch tensors, or `kinks` are no numbers.
    ValueError
        If a kink is not finite, or `function` jumps there.
    NotSmoothError
        At the first evaluation, where the function turns out to have a kink that is not declared.

    Notes
    -----
    Errors relative to sqrt(T_xx T_zz) are at most 1e-8, and 1e-6 with kinks, for variances from
    1e-6 to 1e3 and all correlations. First derivatives in the covariance and in the variances are
    differentiated under the integral; there are no second ones. In float32 the expectations are
    computed in float64 and rounded.

    Examples
    --------
    >>> import torch
    >>> from ntk_sklearn.duals import Elementwise
    >>> Elementwise(torch.nn.functional.hardswish, kinks=(-3, 3))
    Elementwise(hardswish, kinks=(-3.0, 3.0))
    """

    function: Callable[[Tensor], Tensor]
    kinks: tuple[float, ...] = ()
    derivative: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"Elementwise.function must be callable, got {self.function!r}")
        object.__setattr__(self, "kinks", _sorted(self.kinks))
        _must_take_tensors(self.function, self.derivative is None)
        must_be_continuous(self)

    def __repr__(self) -> str:
        given = [_name(self.function)]
        if self.kinks:
            given.append(f"kinks={self.kinks}")
        if self.derivative is not None:
            given.append(f"derivative={_name(self.derivative)}")
        return f"Elementwise({', '.join(given)})"

    def phi(self, x: Tensor) -> Tensor:
        """The function."""
        return self.function(x)

    def slope(self, x: Tensor) -> Tensor:
        """Its derivative."""
        return super().slope(x) if self.derivative is None else self.derivative(x)


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", repr(function)))


def _sorted(kinks: Any) -> tuple[float, ...]:
    """Kinks in ascending order, each once."""
    points = (kinks,) if isinstance(kinks, Real) else kinks
    if not isinstance(points, Iterable) or not all(isinstance(c, Real) for c in points):
        raise TypeError(f"Elementwise.kinks must be a tuple of numbers, got {kinks!r}")
    found = tuple(sorted({float(c) for c in points}))
    if not all(map(math.isfinite, found)):
        raise ValueError(f"Elementwise.kinks must be finite, got {kinks!r}")
    return found


def _must_take_tensors(function: Callable[[Tensor], Any], differentiable: bool) -> None:
    """Refuse functions of another library, which torch cannot evaluate or differentiate."""
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=differentiable)
        try:
            value = function(x)
        except Exception as error:
            raise TypeError(f"{_TENSORS}; {_name(function)} raised {error!r}") from error
    if not isinstance(value, Tensor) or value.shape != x.shape:
        raise TypeError(f"{_TENSORS} of the same shape; {_name(function)} returned {value!r}")
