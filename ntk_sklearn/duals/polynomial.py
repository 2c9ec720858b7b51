"""Polynomials of a Gaussian pair, by Isserlis' theorem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import factorial
from numbers import Integral

import torch
from torch import Tensor

from .base import DualActivation, register
from .pair import GaussianPair


def _moment_terms(j: int, k: int) -> Iterator[tuple[int, int, int, int]]:
    """(count, r, s, t) with E[u^j v^k] = sum of count cov^r var_x^s var_z^t (Isserlis 1918)."""
    for r in range(min(j, k) + 1):
        if (j - r) % 2 == 0 and (k - r) % 2 == 0:
            s, t = (j - r) // 2, (k - r) // 2
            pairings = factorial(r) * factorial(s) * factorial(t) * 2 ** (s + t)
            yield factorial(j) * factorial(k) // pairings, r, s, t


@dataclass(frozen=True)
class Polynomial(DualActivation):
    """phi(x) = sum_k coefficients[k] x^k, from the constant term upwards."""

    coefficients: tuple[float, ...] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if not self.coefficients:
            raise ValueError("Polynomial.coefficients must not be empty")
        object.__setattr__(self, "coefficients", tuple(self.coefficients))

    def phi(self, x: Tensor) -> Tensor:
        """The activation, by Horner's rule."""
        value = torch.zeros_like(x)
        for c in reversed(self.coefficients):
            value = value * x + c
        return value

    def variance(self, v: Tensor) -> Tensor:
        """E[phi(u)^2]."""
        return self.covariance(GaussianPair(v, v, v))[0]

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """T and T', term by term."""
        value = torch.zeros_like(pair.cov)
        slope = torch.zeros_like(pair.cov)
        for j, cj in enumerate(self.coefficients):
            for k, ck in enumerate(self.coefficients):
                for count, r, s, t in _moment_terms(j, k):
                    rest = cj * ck * count * pair.var_x**s * pair.var_z**t
                    value = value + rest * pair.cov**r
                    if r:
                        slope = slope + r * rest * pair.cov ** (r - 1)
        return value, slope


def Monomial(degree: int = 2) -> Polynomial:
    """x^degree.

    Parameters
    ----------
    degree : int
        At least 0.

    Raises
    ------
    ValueError
        If `degree` is not such an int.
    """
    _must_be_degree("Monomial", degree)
    return Polynomial((0.0,) * degree + (1.0,))


def Hermite(degree: int = 2) -> Polynomial:
    """The normalized probabilist's Hermite polynomial: T = cos(t)^degree at unit variances.

    Parameters
    ----------
    degree : int
        At least 0.

    Raises
    ------
    ValueError
        If `degree` is not such an int.
    """
    _must_be_degree("Hermite", degree)
    before, now = [0.0], [1.0]
    for k in range(degree):
        raised = [0.0, *now]
        lowered = [k * c for c in before] + [0.0] * (len(raised) - len(before))
        before, now = now, [a - b for a, b in zip(raised, lowered, strict=True)]
    return Polynomial(tuple(c / factorial(degree) ** 0.5 for c in now))


def _must_be_degree(name: str, degree: object) -> None:
    if not isinstance(degree, Integral) or isinstance(degree, bool) or degree < 0:
        raise ValueError(f"{name}: degree must be an int >= 0, got {degree!r}")


register("hermite", Hermite)
register("polynomial", Polynomial)
register("monomial", Monomial)
