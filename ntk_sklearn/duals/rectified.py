"""Powers of a ReLU: the arc-cosine kernels of every degree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from .base import DualActivation, register
from .pair import GaussianPair

Coefficients = tuple[float, ...]


@dataclass(frozen=True)
class RectifiedMonomial(DualActivation):
    r"""phi(x) = max(x, 0)^degree for degrees from 1 on.

    T = (sd_x sd_z)^n J_n(t) / (2 pi) and T' = n^2 (sd_x sd_z)^{n-1} J_{n-1}(t) / (2 pi) with the
    angle t and J_n(t) = P_n(cos t) sin t + Q_n(cos t) (pi - t) (Cho and Saul 2009, equation 4).

    Parameters
    ----------
    degree : int
        At least 1.

    Raises
    ------
    ValueError
        If `degree` is not such an int.
    """

    degree: int = 2

    def __post_init__(self) -> None:
        if type(self.degree) is not int or self.degree < 1:
            raise ValueError(f"RectifiedMonomial.degree must be an int >= 1, got {self.degree!r}")

    def phi(self, x: Tensor) -> Tensor:
        """The activation."""
        return x.clamp(min=0.0) ** self.degree

    def variance(self, v: Tensor) -> Tensor:
        """(2 n - 1)!! v^n / 2."""
        return math.prod(range(1, 2 * self.degree, 2)) / 2.0 * v**self.degree

    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """The arc-cosine kernels of degrees n and n - 1."""
        n = self.degree
        slope = n**2 * _arc_cosine(pair, n - 1)
        return _arc_cosine(pair, n), slope


def _arc_cosine(pair: GaussianPair, n: int) -> Tensor:
    """(sd_x sd_z)^n J_n / (2 pi), in terms that are differentiable in the covariance at angle 0."""
    p, q = _polynomials(n)
    turn = math.pi - pair.angle
    total = torch.zeros_like(turn)
    # scale^n cos^k = scale^(n-k) cov^k; P_n and Q_n have the powers of one parity only
    for k, c in enumerate(p):
        if c:
            total = total + c * pair.scale ** (n - 1 - k) * pair.cov**k * pair.root_determinant
    for k, c in enumerate(q):
        if c:
            total = total + c * pair.scale ** (n - k) * pair.cov**k * turn
    return total / (2.0 * math.pi)


@lru_cache(maxsize=64)
def _polynomials(n: int) -> tuple[Coefficients, Coefficients]:
    p, q = _exact(n)
    return tuple(map(float, p)), tuple(map(float, q))


def _exact(n: int) -> tuple[list[Fraction], list[Fraction]]:
    """Coefficients of P_n and Q_n, from dJ_n / dc = n^2 J_{n-1} with c = cos t.

    Q_n' = n^2 Q_{n-1} and (1 - c^2) P_n' - c P_n + Q_n = n^2 (1 - c^2) P_{n-1}.
    """
    if n == 0:
        return [], [Fraction(1)]
    p_before, q_before = _exact(n - 1)
    q = [Fraction(0)] + [n * n * c / (k + 1) for k, c in enumerate(q_before)]
    before = [n * n * c for c in p_before] + [Fraction(0)] * 3
    right = [before[k] - (before[k - 2] if k > 1 else 0) - q[k] for k in range(n + 1)]
    p = [Fraction(0)] * (n + 2)
    for k in range(n, 0, -1):
        p[k - 1] = ((k + 1) * p[k + 1] - right[k]) / k
    q[0] = before[0] - p[1]
    return p[:n], q


register("rectified_monomial", RectifiedMonomial)
