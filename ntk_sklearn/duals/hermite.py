"""Hermite coefficients of an activation, as functions of the standard deviation.

With phi(a s) = sum_l c_l(a) he_l(s) (normalized probabilist's Hermite polynomials) and pairs of
standard deviations a, b and correlation rho: E[phi(u) phi(v)] = sum_l c_l(a) c_l(b) rho^l, and
likewise for the derivative (Mehler; Daniely, Frostig and Singer 2016).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .examination import examine
from .panels import REACH, gauss, standard_edges

# he_l(s) oscillates sqrt(l) times per unit and 2 pi: this many fit on a panel of 16 nodes.
_PER_PANEL, _WIDEST = 11.0, 0.75
# Numbers held at a time while coefficients are computed.
_CHUNK = 2**22


@dataclass(frozen=True)
class Coefficients:
    """What is known of n standard deviations.

    Attributes
    ----------
    value, slope : Tensor, (n, terms)
        Coefficients of phi(a s) and of phi'(a s).
    moments : Tensor, (4, n)
        E[phi^2], E[phi'^2], and the derivatives of their halves in log a.
    """

    value: Tensor
    slope: Tensor
    moments: Tensor

    def rest(self, k: int) -> tuple[Tensor, Tensor]:
        """What of E[phi^2] and E[phi'^2] is not in the first k coefficients, (n,)."""
        sums = (c[:, :k].square().sum(-1) for c in (self.value, self.slope))
        value, slope = ((m - c).clamp(min=0.0) for m, c in zip(self.moments, sums, strict=False))
        return value, slope


def coefficients(dual: Any, a: Tensor, terms: int, function: Any = None) -> Coefficients:
    """Of phi(a s) for standard deviations a (n,) in float64; infinite ones are not a number.

    `function` is what is expanded, if it is not `dual` itself, whose pieces and kinks it shares.
    """
    examine(dual)
    function = dual if function is None else function
    a = a.clamp(min=1e-300)  # at 0 the sides of a kink there count half each
    width = min(_WIDEST, _PER_PANEL / math.sqrt(terms))
    value, slope = a.new_full((2, len(a), terms), math.nan)
    moments = a.new_full((4, len(a)), math.nan)
    finite = a.isfinite()
    scales = torch.ceil(torch.log2(torch.where(finite, a, 1.0).clamp(min=2.0**-12))).long()
    for scale in scales.unique().tolist():
        edges = torch.as_tensor(standard_edges(dual, 2.0**scale, width)).to(a)
        nodes, weights = gauss(edges)
        basis = _basis(nodes, terms)
        rows = ((scales == scale) & finite).nonzero().squeeze(-1)
        for part in rows.split(max(1, _CHUNK // len(nodes))):
            found = _common(dual, function, a[part], edges, nodes, weights, basis)
            beside = _beside_kinks(dual, function, a[part], edges, terms)
            for total, more in zip(found, beside, strict=True):
                total += more
            value[part], slope[part], moments[:, part] = found
    return Coefficients(value, slope, moments)


def _basis(s: Tensor, terms: int) -> Tensor:
    """he_l(s), (nodes, terms)."""
    rows = [torch.ones_like(s), s]
    for k in range(1, terms - 1):
        rows.append((s * rows[k] - math.sqrt(k) * rows[k - 1]) / math.sqrt(k + 1))
    return torch.stack(rows[:terms], -1)


def _common(
    dual: Any,
    function: Any,
    a: Tensor,
    edges: Tensor,
    nodes: Tensor,
    weights: Tensor,
    basis: Tensor,
) -> list[Tensor]:
    """Integrals over the panels without a kink inside."""
    smooth = _smooth(dual, a, edges).repeat_interleave(len(nodes) // (len(edges) - 1), dim=-1)
    x, w = a[:, None] * nodes, weights * smooth
    f, g = function.phi(x), function.slope(x)
    return [(w * f) @ basis, (w * g) @ basis, _moments(w, nodes, f, g)]


def _moments(w: Tensor, s: Tensor, f: Tensor, g: Tensor) -> Tensor:
    """The squares, and half their derivatives in log a: d/dlog a E[F(a s)] = E[F (s^2 - 1)]."""
    of_scale = w * (s * s - 1.0) / 2.0
    parts = [w * f * f, w * g * g, of_scale * f * f, of_scale * g * g]
    return torch.stack([part.sum(-1) for part in parts])


def _inner_kinks(dual: Any) -> list[float]:
    """Kinks that are not at an edge of panels anyway."""
    return [c for c in dual.kinks if c != 0.0]


def _panels_with_kinks(dual: Any, a: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Places of kinks, (n, kinks), within +-REACH, and the panels they are in."""
    at = a.new_tensor(_inner_kinks(dual)) / a[:, None].clamp(min=1e-300)
    at = at.clamp(-REACH, REACH)
    return at, (torch.searchsorted(edges, at, right=True) - 1).clamp(0, len(edges) - 2)


def _smooth(dual: Any, a: Tensor, edges: Tensor) -> Tensor:
    """1 for panels without a kink inside, (n, panels)."""
    smooth = a.new_ones((len(a), len(edges) - 1))
    if _inner_kinks(dual):
        _, panel = _panels_with_kinks(dual, a, edges)
        smooth.scatter_(1, panel, 0.0)
    return smooth


def _beside_kinks(dual: Any, function: Any, a: Tensor, edges: Tensor, terms: int) -> list[Tensor]:
    """Integrals over the panels with a kink, cut there."""
    if not _inner_kinks(dual):
        return [a.new_zeros(()) for _ in range(3)]
    at, panel = _panels_with_kinks(dual, a, edges)
    cuts = torch.cat([at, edges[panel], edges[panel + 1]], -1).sort(-1).values
    middle = (cuts[:, 1:] + cuts[:, :-1]) / 2.0
    inside = (torch.searchsorted(edges, middle, right=True) - 1).clamp(0, len(edges) - 2)
    wanted = (inside[:, :, None] == panel[:, None, :]).any(-1)
    nodes, weights = gauss(cuts)
    w = weights * wanted.repeat_interleave(nodes.shape[-1] // wanted.shape[-1], dim=-1)
    x = a[:, None] * nodes
    f, g = function.phi(x), function.slope(x)
    sums = torch.stack([w * f, w * g])
    found = a.new_empty((2, len(a), terms))
    last, now = torch.zeros_like(nodes), torch.ones_like(nodes)
    for k in range(terms):
        found[..., k] = (sums * now).sum(-1)
        last, now = now, (nodes * now - math.sqrt(k) * last) / math.sqrt(k + 1)
    return [found[0], found[1], _moments(w, nodes, f, g)]


def in_log_scale(coefficients: Tensor) -> Tensor:
    """Derivatives of coefficients c_l in log a, but for the last two: l c_l + sqrt(..) c_{l+2}."""
    k = torch.arange(coefficients.shape[-1] - 2).to(coefficients)
    return k * coefficients[..., :-2] + ((k + 1.0) * (k + 2.0)).sqrt() * coefficients[..., 2:]
