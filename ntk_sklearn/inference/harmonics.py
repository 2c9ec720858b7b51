"""Spherical harmonics: how many there are of a degree, and their zonal polynomials."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from scipy.special import binom


def multiplicities(dimension: int, max_degree: int) -> np.ndarray:
    """N(p, k), the number of independent spherical harmonics of degree k on S^(p-1).

    (2k + p - 2) / k binomial(k + p - 3, k - 1), and 1 for k = 0; in float64, (max_degree + 1,).
    """
    p, k = as_dimension(dimension), np.arange(1, as_degree(max_degree) + 1)
    return np.concatenate([[1.0], np.rint((2 * k + p - 2) / k * binom(k + p - 3, k - 1))])


def gegenbauer(dimension: int, max_degree: int, angles: np.ndarray) -> np.ndarray:
    """P_k(cos angle), Gegenbauer polynomials with P_k(1) = 1, for all degrees up to `max_degree`.

    Parameters
    ----------
    dimension : int
        p >= 2.
    max_degree : int
    angles : ndarray, (m,)

    Returns
    -------
    ndarray, (max_degree + 1, m)
    """
    p, last = as_dimension(dimension), as_degree(max_degree)
    angles = np.asarray(angles, dtype=np.float64)
    if p == 2:
        return np.cos(np.arange(last + 1)[:, np.newaxis] * angles)
    cosine = np.cos(angles)
    found = [np.ones_like(cosine), cosine][: last + 1]
    for k in range(1, last):
        found.append(((2 * k + p - 2) * cosine * found[k] - k * found[k - 1]) / (k + p - 2))
    return np.stack(found)


def as_dimension(dimension: int) -> int:
    """Of the space around the sphere, p >= 2; ValueError for anything else."""
    if not isinstance(dimension, Integral) or isinstance(dimension, bool) or dimension < 2:
        raise ValueError(f"dimension must be an integer >= 2 (the circle), got {dimension!r}")
    return int(dimension)


def as_degree(degree: int) -> int:
    """A degree >= 0; ValueError for anything else."""
    if not isinstance(degree, Integral) or isinstance(degree, bool) or degree < 0:
        raise ValueError(f"max_degree must be an integer >= 0, got {degree!r}")
    return int(degree)
