"""Spectra of rotation-invariant kernels on the circle and the sphere, by Funk-Hecke integrals.

A kernel kappa(angle) on the sphere S^(p-1) has the spherical harmonics of degree k as
eigenfunctions under the uniform probability measure, whatever kappa is, with the eigenvalue

    mu_k = Gamma(p/2) / (sqrt(pi) Gamma((p-1)/2)) int_0^pi kappa(a) P_k(cos a) sin(a)^(p-2) da

and the multiplicity N(p, k); P_k is the Gegenbauer polynomial with P_k(1) = 1 (Legendre's for
p = 3, Chebyshev's for p = 2). The integrals are taken in the angle: in the cosine, kernels of
networks with kinks have square roots at both ends, in the angle they are smooth.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from .harmonics import as_degree, as_dimension, gegenbauer, multiplicities

Profile = Callable[[np.ndarray], np.ndarray]

_NODES = 24  # of a panel
_GRADED = 40  # halvings of the panel at an end, for kernels that are not smooth there
_ENTRIES = 2**21  # of polynomials in memory at once
# Rounding of a kernel's values and of the polynomials, which grows with the degree, in units of
# their size: measured to be half of that.
_ROUNDING, _PER_DEGREE = (factor * float(np.finfo(np.float64).eps) for factor in (8.0, 1.0 / 64.0))
# Of eigenvalues in units of the largest: from here on the quadrature has not converged.
_CONVERGED = 1e-9


@dataclass(frozen=True)
class SphereSpectrum:
    """Eigenvalues mu_k of a kernel on the sphere S^(dimension - 1), by degree.

    Attributes
    ----------
    dimension : int
        p, of the space around the sphere: 2 is the circle.
    eigenvalues : ndarray, (max_degree + 1,)
        mu_k under the uniform probability measure: n points, uniformly drawn, have a Gram with
        eigenvalues near n mu_k.
    multiplicities : ndarray, (max_degree + 1,)
        N(p, k), in float64: 1, 2, 2, ... on the circle.
    diagonal : float
        kappa(0), the sum of all N(p, k) mu_k.
    errors : ndarray, (max_degree + 1,)
        Estimates of the absolute errors of the eigenvalues: what a finer rule changes, and what
        rounding of the values leaves, if the kernel is right to a few units in the last place.
    """

    dimension: int
    eigenvalues: np.ndarray
    multiplicities: np.ndarray
    diagonal: float
    errors: np.ndarray

    @property
    def degrees(self) -> np.ndarray:
        """(max_degree + 1,): 0, 1, 2, ..."""
        return np.arange(len(self.eigenvalues))

    @property
    def resolved(self) -> np.ndarray:
        """The eigenvalues, with 0 for those that do not exceed their errors."""
        return np.where(self.eigenvalues > self.errors, self.eigenvalues, 0.0)

    @property
    def tail(self) -> float:
        """The share of the diagonal that the degrees above the last one have."""
        return self.diagonal - float(self.multiplicities @ self.eigenvalues)

    def slope(self, degrees: Iterable[int]) -> float:
        """Slope of log mu_k against log(k + (p - 2) / 2), by least squares over `degrees`.

        For one bias-free hidden layer of ReLU -p (NTK) and -p - 2 (NNGP) on even degrees, as k
        tends to infinity (Bietti and Mairal 2019, proposition 5). The shift by (p - 2) / 2, half of
        the distance to the other root of the Laplacian's eigenvalues k (k + p - 2), brings degrees
        from 10 on within 2 % of it for p up to 10; against log k they are up to 12 % off.

        Raises
        ------
        ValueError
            For fewer than two degrees, degrees out of range, and eigenvalues that are not above
            their errors.
        """
        k = np.asarray(list(degrees))
        least = 1 if self.dimension == 2 else 0  # the logarithm of degree 0 on the circle
        whole = k.dtype.kind in "iu" and len(np.unique(k)) >= 2
        if not whole or k.min() < least or k.max() >= len(self.eigenvalues):
            raise ValueError(
                f"degrees must be two or more different integers from {least} to "
                f"{len(self.eigenvalues) - 1}, got {k}"
            )
        lost = k[self.resolved[k] == 0]
        if len(lost):
            raise ValueError(f"the eigenvalues of the degrees {lost} are zero to rounding")
        shifted = np.log(k + (self.dimension - 2) / 2.0)
        return float(np.polyfit(shifted, np.log(self.eigenvalues[k]), 1)[0])


def funk_hecke(profile: Profile, dimension: int, max_degree: int = 60) -> SphereSpectrum:
    """The spectrum of any kernel on the sphere that depends on the angle alone.

    Gauss-Legendre rules on panels of the angle, which become finer towards 0 and pi; two rules, one
    with panels half as wide, are compared.

    Parameters
    ----------
    profile : callable
        kappa: values (m,) for angles (m,) in (0, pi), and at 0. A kernel of the cosine u is
        ``lambda angles: kappa(np.cos(angles))``, and loses digits if it takes the arccosine again.
        It may have any power of the angle at the ends, but should be smooth between them.
    dimension : int
        p >= 2, of the space around the sphere S^(p-1).
    max_degree : int, default=60

    Returns
    -------
    SphereSpectrum

    Warns
    -----
    RuntimeWarning
        If the two rules differ by more than 1e-9 of the largest eigenvalue.

    Raises
    ------
    ValueError
        For a dimension below 2, a negative degree, and values that are not finite or not (m,).

    References
    ----------
    Müller, "Spherical harmonics", 1966 (Funk-Hecke); Bietti and Mairal, "On the inductive bias of
    neural tangent kernels", 2019, appendix C.

    Examples
    --------
    The Poisson kernel has the eigenvalues r^k in every dimension.

    >>> poisson = lambda a: 0.75 / (1.25 - np.cos(a)) ** 1.5
    >>> funk_hecke(poisson, dimension=3, max_degree=3).eigenvalues.round(12).tolist()
    [1.0, 0.5, 0.25, 0.125]
    """
    p, last = as_dimension(dimension), as_degree(max_degree)
    coarse, _ = _integrals(profile, p, last, panels=4 + last // 8)
    fine, rounding = _integrals(profile, p, last, panels=2 * (4 + last // 8))
    changed = np.abs(fine - coarse)
    if changed.max() > _CONVERGED * np.abs(fine).max():
        warnings.warn(
            f"the eigenvalues are known to {changed.max():.3g} only: the kernel is not smooth "
            "between the angles 0 and pi",
            RuntimeWarning,
            stacklevel=2,
        )
    diagonal = float(_values(profile, np.zeros(1))[0])
    return SphereSpectrum(p, fine, multiplicities(p, last), diagonal, changed + rounding)


def _integrals(profile: Profile, p: int, last: int, panels: int) -> tuple[np.ndarray, np.ndarray]:
    """mu_k (last + 1,), and what rounding of the values may have changed."""
    angles, weights = _rule(panels)
    log_area = gammaln(p / 2.0) - gammaln((p - 1) / 2.0) - 0.5 * np.log(np.pi)
    weights = weights * np.exp(log_area) * np.sin(angles) ** (p - 2)
    weighted = weights * _values(profile, angles)
    found, size = np.zeros(last + 1), np.zeros(last + 1)
    at_once = max(1, _ENTRIES // (last + 1))
    for start in range(0, len(angles), at_once):
        part = slice(start, start + at_once)
        polynomials = gegenbauer(p, last, angles[part])
        found += polynomials @ weighted[part]
        size += np.abs(polynomials) @ np.abs(weighted[part])
    return found, (_ROUNDING + _PER_DEGREE * np.arange(last + 1)) * size


def _rule(panels: int) -> tuple[np.ndarray, np.ndarray]:
    """Angles and weights on [0, pi]; the panels at the ends are halved again and again."""
    width = np.pi / panels
    graded = width * 0.5 ** np.arange(_GRADED, 0, -1)
    half = np.concatenate([[0.0], graded, width * np.arange(1, panels // 2 + 1)])
    edges = np.concatenate([half, np.pi - half[::-1][1 - panels % 2 :]])
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    middle, reach = (edges[1:] + edges[:-1]) / 2.0, np.diff(edges) / 2.0
    angles = middle[:, np.newaxis] + reach[:, np.newaxis] * nodes
    return angles.ravel(), (reach[:, np.newaxis] * weights).ravel()


def _values(profile: Profile, angles: np.ndarray) -> np.ndarray:
    values = np.asarray(profile(angles), dtype=np.float64)
    if values.shape != angles.shape or not np.isfinite(values).all():
        raise ValueError(
            f"profile must return finite values of shape {angles.shape} for angles of that shape, "
            f"got shape {values.shape}"
        )
    return values
