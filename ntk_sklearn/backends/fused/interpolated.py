"""Activations without closed form in images: Hermite coefficients at every position.

As phi'(sd s) = sum_l sqrt(l + 1) h_l(sd) he_l(s) and T' is the derivative of T in the covariance,

    T = c_x c_z + sd_x sd_z P(rho),  T' = P'(rho),  P(rho) = sum_l h_l(sd_x) h_l(sd_z) rho^(l+1)

with c = E[phi], where h is finite at sd = 0, too. Images have too many positions for an integral at
each: h is an analytic function of sd, and interpolated from those at a few Chebyshev points
of panels, which also tell how many terms are needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ...duals import DualActivation, Polynomial
from ...duals.hermite import coefficients
from ...duals.pair import safe_sqrt
from .program import NotFusedError
from .series import polynomial

# Coefficients that are kept of a position at most: every second one of odd and even functions.
TERMS = 192
# The share of E[phi^2] or E[phi'^2] that all terms beyond those of a position may have: pairs are
# summed up to the larger number of terms of both, so that their error is at most as large.
SHARES = {torch.float64: 1e-10, torch.float32: 3e-8}
# Numbers in front of the coefficients: terms needed, the most of all images side by side, and c.
FRONT = 3
# Numbers of terms that are tried.
_LEVELS = (24, 72, TERMS)
# Panels per octave, points of each, and their error relative to the roots of the moments.
_PER_OCTAVE, _POINTS, _EXACT = 4, 10, 1e-11


@dataclass(frozen=True)
class Spectrum:
    """Which coefficients h_l of a function there are: l = first, first + step, ... ."""

    first: int
    step: int
    terms: int

    @property
    def orders(self) -> Tensor:
        """All l that are kept."""
        return self.first + self.step * torch.arange(self.terms, dtype=torch.float64)

    def of(self, slope: Tensor) -> Tensor:
        """h_l from all coefficients of phi'."""
        kept = slope[..., self.first :: self.step][..., : self.terms]
        return kept / (self.orders[: kept.shape[-1]] + 1.0).sqrt()


@dataclass(frozen=True)
class Numbers:
    """What is known of n standard deviations.

    Attributes
    ----------
    moments : Tensor, (n, 2)
        E[phi^2] and E[phi'^2].
    mean : Tensor, (n,)
        E[phi].
    h : Tensor, (n, k)
        The first k coefficients; the others are not needed.
    """

    moments: Tensor
    mean: Tensor
    h: Tensor

    @property
    def columns(self) -> Tensor:
        """All of them, (n, 3 + k)."""
        return torch.cat([self.moments, self.mean[:, None], self.h], -1)


@lru_cache(maxsize=256)
def spectrum(dual: DualActivation) -> Spectrum:
    """Which coefficients are kept; of odd and even functions the others are 0.

    Raises
    ------
    NotFusedError
        For polynomials with more coefficients than are kept.
    """
    if isinstance(dual, Polynomial):
        powers = [k * c for k, c in enumerate(dual.coefficients)][1:] or [0.0]
        slope = torch.tensor([powers], dtype=torch.float64)
        most = slope.shape[1]
        if most > TERMS:
            raise NotFusedError(f"the activation {dual!r} of a degree above {TERMS}")
    else:
        scales = torch.tensor([0.5, 2.0], dtype=torch.float64)
        slope, most = coefficients(dual, scales, 64).slope, 2 * TERMS
    size = slope.square().sum()
    for first in range(2):
        if not slope[:, 1 - first :: 2].square().sum() > 1e-26 * size:
            return Spectrum(first, 2, max(1, min(TERMS, (most - first + 1) // 2)))
    return Spectrum(0, 1, min(TERMS, most))


def at_positions(dual: DualActivation, v: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of variances (n,) for the engine, (n, FRONT + k), and the variances behind, (n,).

    Of the numbers in front the second is left to who knows what stands side by side. What is not
    a number stays so.
    """
    root = safe_sqrt(v.double())
    if isinstance(dual, Polynomial):
        found = _polynomial(dual, root)
        return _table(root.new_full(root.shape, found.h.shape[1]), found.columns)
    octaves = _octaves(root)
    every = octaves.unique()
    panels = {at: _panel(dual, at, SHARES[v.dtype]) for at in every[every.isfinite()].tolist()}
    panels[-math.inf] = _at_zero(dual)
    width = max(panel.columns.shape[1] for panel in panels.values())
    need, columns = torch.ones_like(root), root.new_full((len(root), width), math.nan)
    for at, panel in panels.items():
        inside = (octaves == at).nonzero().squeeze(-1)
        own, used = panel.at(root[inside]), panel.columns.shape[1]
        columns[inside] = torch.nn.functional.pad(own, (0, width - used))
        need[inside] = panel.need
    return _table(need, columns)


def _octaves(root: Tensor) -> Tensor:
    """Which panel each is in; exactly, whatever stands beside it (logarithms depend on that)."""
    mantissa, exponent = torch.frexp(root)
    edges = 2.0 ** (torch.arange(1, _PER_OCTAVE, dtype=torch.float64) / _PER_OCTAVE - 1.0)
    found = _PER_OCTAVE * (exponent - 1.0) + torch.bucketize(mantissa, edges, right=True)
    return torch.where(root > 0, found, -math.inf).where(root.isfinite(), math.nan)


def _edges(low: float) -> tuple[float, float]:
    """The standard deviations between which a panel is."""
    return float(2.0 ** (low / _PER_OCTAVE)), float(2.0 ** ((low + 1.0) / _PER_OCTAVE))


def _table(need: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    return torch.cat([need[:, None], need[:, None], columns[:, 2:]], -1), columns[:, 0]


def _polynomial(dual: Polynomial, root: Tensor) -> Numbers:
    """In closed form."""
    found = polynomial(dual, root)
    return Numbers(found.moments.T, found.value[:, 0], spectrum(dual).of(found.slope))


def _exactly(dual: DualActivation, a: Tensor, terms: int = TERMS) -> Numbers:
    """By quadrature."""
    kept = spectrum(dual)
    last = int(kept.orders[:terms][-1])
    table = coefficients(dual, a, last + 2)
    return Numbers(table.moments[:2].T, table.value[:, 0], kept.of(table.slope[:, : last + 1]))


def _needed(dual: DualActivation, numbers: Numbers, a: Tensor, share: float) -> tuple[float, int]:
    """Terms after which the shares of the rest are small, of all together; one more if none.

    And the terms that are kept for pairs with those who need more: the shares of the rest are the
    square of that.
    """
    need, most = 1.0, 1
    fronts = numbers.mean.square(), torch.zeros_like(numbers.mean)
    squares = numbers.h.square()
    orders = spectrum(dual).orders[: squares.shape[1]]
    parts = a.square()[:, None] * squares, (orders + 1.0) * squares
    for total, front, part in zip(numbers.moments.T, fronts, parts, strict=True):
        rest = part.flip(-1).cumsum(-1).flip(-1)
        beyond = (total - front - rest[:, 0]).clamp(min=0.0)
        counts = (rest + beyond[:, None] > share * total[:, None]).sum(-1)
        counts += beyond > share * total
        need = max(need, float(counts.max()))
        most = max(most, int((rest > share**2 * total[:, None]).sum(-1).max()))
    return need, max(most, min(int(need), numbers.h.shape[1]))


@dataclass(frozen=True)
class _Panel:
    """Numbers between two standard deviations.

    Attributes
    ----------
    dual : DualActivation
    low : float
        Logarithm of the lower one, in panels per octave.
    need : float
        Terms needed.
    columns : Tensor, (_POINTS, 3 + k)
        Coefficients of Chebyshev polynomials.
    resolved : bool
        Whether they are enough; if not, `at` computes integrals.
    """

    dual: DualActivation
    low: float
    need: float
    columns: Tensor
    resolved: bool = True

    def at(self, root: Tensor) -> Tensor:
        """The numbers of standard deviations (n,), (n, 3 + k)."""
        if not self.resolved:
            own, back = root.unique(return_inverse=True)
            return _exactly(self.dual, own, self.columns.shape[1] - FRONT).columns[back]
        if math.isinf(self.low):
            return self.columns[:1].expand(len(root), -1)
        # not by a matrix product: numbers must not depend on what is computed beside them
        left, right = _edges(self.low)
        x = _chebyshev(2.0 * ((root - left) / (right - left)) - 1.0)
        found = x[:, :1] * self.columns[0]
        for k in range(1, _POINTS):
            found += x[:, k : k + 1] * self.columns[k]
        return found


@lru_cache(maxsize=64)
def _at_zero(dual: DualActivation) -> _Panel:
    columns = _exactly(dual, torch.zeros(1, dtype=torch.float64)).columns
    return _Panel(dual, -math.inf, 1.0, columns[:, : FRONT + 1])


@lru_cache(maxsize=1024)
def _panel(dual: DualActivation, low: float, share: float) -> _Panel:
    angles = (torch.arange(_POINTS, dtype=torch.float64) + 0.5) * (math.pi / _POINTS)
    checks = torch.tensor([-1.0, -0.71, -0.13, 0.57, 1.0], dtype=torch.float64)
    x = torch.cat([angles.cos(), checks])
    left, right = _edges(low)
    a = left + (right - left) * (x + 1.0) / 2.0
    for terms in _LEVELS:
        numbers = _exactly(dual, a, terms)
        (need, most), exact = _needed(dual, numbers, a, share), numbers.columns
        if most < terms and need <= terms:
            break
    panel = torch.linalg.solve(_chebyshev(x[:_POINTS]), exact[:_POINTS])
    apart = (_chebyshev(checks) @ panel - exact[_POINTS:]).abs()
    value, slope = exact[_POINTS:, :2].T[..., None]
    orders = spectrum(dual).orders[: exact.shape[1] - 3]
    size = torch.minimum(slope / (orders + 1.0), value / a[_POINTS:, None] ** 2).sqrt()
    sizes = torch.cat([value, slope, value.sqrt(), size], -1)
    resolved = bool((apart <= _EXACT * sizes).all())
    return _Panel(dual, low, need, panel[:, : FRONT + most].contiguous(), resolved)


def _chebyshev(x: Tensor) -> Tensor:
    """The first Chebyshev polynomials at x (n,), (n, _POINTS)."""
    rows = [torch.ones_like(x), x]
    while len(rows) < _POINTS:
        rows.append(2.0 * x * rows[-1] - rows[-2])
    return torch.stack(rows, -1)
