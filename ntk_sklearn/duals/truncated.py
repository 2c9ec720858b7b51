"""Kinks of an activation as sums of truncated powers, whose expectations are known.

phi = rest + sum over kinks of p(y) for y > 0, with y = +-(x - kink): p takes the jumps of the first
three derivatives, so that the Hermite series of the rest converges fast; for piecewise polynomials
of degree up to 3 the rest is one polynomial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.polynomial import Polynomial, legendre
from torch import Tensor

from .orthants import Orthant
from .panels import NODES, pieces

_DEGREE = 3
# Jumps that are rounding, relative to the largest.
_NOTHING = 1e-8
_FIT = -np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)


@dataclass(frozen=True)
class Power:
    """p(y) for y = side (x - kink) > 0 and 0 elsewhere; side (kink) >= 0, p(0) = 0."""

    kink: float
    side: float
    powers: tuple[float, ...]

    def measures(self) -> tuple[Any, ...]:
        """phi, phi', phi'', x phi' and x phi'': each a polynomial in y, and the mass at y = 0."""
        p, y = Polynomial(self.powers), Polynomial([0.0, 1.0])
        x, first, second = self.kink + self.side * y, self.side * p.deriv(), p.deriv(2)
        mass = self.powers[1]
        found = ((p, 0.0), (first, 0.0), (second, mass), (x * first, 0.0))
        return tuple((f.coef, m) for f, m in (*found, (x * second, self.kink * mass)))


# Of which measures of u and v the expectations are: T, T', and the derivatives in `expectations`.
_PAIRS = ((0, 0), (1, 1), (2, 2), (3, 0), (0, 3), (4, 1), (1, 4))


@dataclass(frozen=True)
class TruncatedPowers:
    """A sum of truncated powers; phi, slope and expectations as `expectations` wants them."""

    parts: tuple[Power, ...]

    def phi(self, x: Tensor) -> Tensor:
        """The sum."""
        return self._sum(x, 0)

    def slope(self, x: Tensor) -> Tensor:
        """Its derivative."""
        return self._sum(x, 1)

    def _sum(self, x: Tensor, which: int) -> Tensor:
        total = torch.zeros_like(x)
        for part in self.parts:
            y, value = part.side * (x - part.kink), torch.zeros_like(x)
            for power in part.measures()[which][0][::-1].tolist():
                value = value * y + power
            total += torch.where(y > 0, value, 0.0)
        return total

    def expectations(
        self, cosine: Tensor, sine2: Tensor, a: Tensor, b: Tensor, partials: bool
    ) -> Tensor:
        """T, T' and, if asked for, their derivatives; see `expectations`."""
        found, sine = cosine.new_zeros((7 if partials else 2, len(a))), sine2.sqrt()
        for one in self.parts:
            h = abs(one.kink) / a.clamp(min=1e-300)
            for two in self.parts:
                k = abs(two.kink) / b.clamp(min=1e-300)
                orthant = Orthant(h, k, one.side * two.side * cosine, sine)
                found += _expectations(one, two, orthant, a, b, len(found))
        return found


# A measure in terms of standardized variables: its powers, and its mass on the edge.
_Measure = tuple[dict[int, Tensor], Tensor | None]


def _standardized(part: Power, sd: Tensor, n: int) -> list[_Measure]:
    """The first n measures for y = sd X; the third, of phi'', times sd."""
    found: list[_Measure] = []
    for which, (powers, mass) in enumerate(part.measures()[:n]):
        extra = int(which == 2)
        scale = torch.ones_like(sd) if extra else 1.0 / sd.clamp(min=1e-300)
        edge = mass * scale if mass else None
        found.append(({k: c * sd ** (k + extra) for k, c in enumerate(powers.tolist()) if c}, edge))
    return found


def _expectations(one: Power, two: Power, at: Orthant, a: Tensor, b: Tensor, n: int) -> Tensor:
    """The first n expectations for two truncated powers."""
    degrees = len(one.powers) - 1, len(two.powers) - 1
    moments, (on_x, on_z) = at.moments(*degrees), at.on_edge(max(degrees))
    left, right = (_standardized(*side, 2 if n == 2 else 5) for side in ((one, a), (two, b)))
    found = []
    for i, j in _PAIRS[:n]:
        (x, x_edge), (z, z_edge) = left[i], right[j]
        terms = [s * t * moments[k, m] for k, s in x.items() for m, t in z.items()]
        if x_edge is not None:
            terms += [x_edge * t * on_x[m] for m, t in z.items()]
        if z_edge is not None:
            terms += [z_edge * s * on_z[k] for k, s in x.items()]
        if x_edge is not None and z_edge is not None:
            terms.append(x_edge * z_edge * at.at_corner)
        found.append(sum(terms, torch.zeros_like(a)))
    return torch.stack(found)


@lru_cache(maxsize=256)
def truncated_powers(dual: Any) -> TruncatedPowers:
    """Truncated powers with the jumps of the derivatives of phi at its kinks."""
    edges = pieces(dual, 2.0 + 2.0 * max(map(abs, dual.kinks)))
    parts = []
    for kink in dual.kinks:
        at = int(np.searchsorted(edges, kink))
        left = _derivatives(dual, kink, max(edges[at - 1], kink - 1.0))
        right = _derivatives(dual, kink, min(edges[at + 1], kink + 1.0))
        jumps, size = right - left, max(1e-300, np.abs([left, right]).max())
        jumps[np.abs(jumps) < _NOTHING * size] = 0.0
        if jumps.any():
            parts.append(_with_jumps(kink, jumps))
    return TruncatedPowers(tuple(parts))


def _derivatives(dual: Any, kink: float, end: float) -> np.ndarray:
    """Three derivatives of phi at an end of a piece, from the polynomial through phi' there."""
    half = (end - kink) / 2.0
    slope = dual.slope(torch.as_tensor(kink + half * (1.0 + _FIT))).numpy()
    series = legendre.legfit(_FIT, slope, NODES - 1)
    return np.array(
        [legendre.legval(-1.0, legendre.legder(series, k)) / half**k for k in range(_DEGREE)]
    )


def _with_jumps(kink: float, jumps: np.ndarray) -> Power:
    """On the side away from 0, where it is small if the variance is."""
    side = -1.0 if kink < 0 else 1.0
    powers = [0.0]
    powers += [j * side ** (k + 2) / math.factorial(k + 1) for k, j in enumerate(jumps.tolist())]
    while powers[-1] == 0.0:
        powers.pop()
    return Power(kink, side, tuple(powers))
