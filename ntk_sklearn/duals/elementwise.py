"""Dual activations of any function, by quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .base import DualActivation
from .expectations import expectations
from .pair import GaussianPair, safe_sqrt
from .panels import derivative
from .truncated import truncated_powers


class NumericalActivation(DualActivation):
    """An activation whose expectations are computed from `phi`, `slope` and `kinks`.

    A subclass is a frozen dataclass with `phi` and, where it has kinks or jumps of derivatives,
    the property `kinks`; phi itself must not jump. See `Elementwise` for what is computed.
    """

    @property
    def kinks(self) -> tuple[float, ...]:
        """The points where one of the first derivatives of phi jumps, in ascending order."""
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
        From a float64 tensor to a tensor of its shape, continuous, entry by entry. For pickling it
        must be found by its name: a function of a module, not a lambda.
    kinks : tuple of float
        All points where one of the first three derivatives jumps.
    derivative : callable or None
        phi'; None is automatic differentiation of `function`.

    Raises
    ------
    TypeError, ValueError
        If the arguments are of another kind, or `function` jumps at a kink.
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
        kinks = tuple(sorted({float(kink) for kink in self.kinks}))
        if not all(map(math.isfinite, kinks)):
            raise ValueError(f"Elementwise.kinks must be finite, got {self.kinks!r}")
        object.__setattr__(self, "kinks", kinks)
        for kink in kinks:
            self._must_be_continuous(kink)

    def _must_be_continuous(self, kink: float) -> None:
        """Refuse steps: their tangent kernel is a convention, and not the derivative of T."""
        gap = 1e-9 * max(1.0, abs(kink))
        with torch.no_grad():
            near = self.phi(torch.tensor([kink - gap, kink + gap], dtype=torch.float64))
        if (near[0] - near[1]).abs() > 1e-5 * (1.0 + near.abs().max()):
            raise ValueError(
                f"{self!r} jumps at {kink:g} from {near[0]:.6g} to {near[1]:.6g}; only continuous "
                "functions can be given so (for a step, write a DualActivation with "
                "absolutely_continuous = False, as Sign does)"
            )

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
