"""Expectations of pairs that are nearly parallel, by quadrature in two dimensions.

With u = a x, v = b z and the correlation cos t of x and z, x + z and x - z are independent:
x = cos(t/2) p + sin(t/2) q and z = cos(t/2) p - sin(t/2) q for independent standard p and q. The
inner integral over q is over a narrow range of phi, however small the angle.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .panels import REACH, gauss, pieces, standard_edges

# Panels of q, and around places of p where kinks pass through the range of q (in units of tan t/2).
_INNER = (0.0, 2.0, 4.5, 8.0)
_LAYER = (0.0, 2.0, 4.5, 8.0)
_NODES = 10
# Values of phi held at a time.
_CHUNK = 2**19


def direct(
    dual: Any, a: Tensor, b: Tensor, half: Tensor, negative: Tensor, partials: bool
) -> Tensor:
    """E[phi phi] and E[phi' phi'], (2, k), or with derivatives (7, k); see `expectations`.

    Parameters
    ----------
    a, b : Tensor, (k,)
        Standard deviations.
    half : Tensor, (k,)
        sin(t/2) for the acute angle t between the lines through u and v, below 0.3.
    negative : Tensor of bool, (k,)
        Whether the correlation is negative: v is then -b z.
    """
    found = a.new_empty((7 if partials else 2, len(a)))
    largest = torch.maximum(a, b)
    scales = torch.ceil(torch.log2(largest.clamp(min=2.0**-12))).long()
    # the narrower the inner range, the fewer its panels
    refine = _refinement(dual, scales, half)
    for key in torch.stack([scales, refine, (half == 0).long()]).unique(dim=1).T.tolist():
        chosen = (scales == key[0]) & (refine == key[1]) & ((half == 0).long() == key[2])
        rows = chosen.nonzero().squeeze(-1)
        outer = _outer_edges(dual, 2.0 ** key[0])
        inner = a.new_tensor([0.0]) if key[2] else _inner_edges(key[1]).to(a)
        per_pair = (
            _NODES**2
            * (len(outer) + 16 * len(dual.kinks) + len(dual.kinks) ** 2)
            * (len(inner) + 8)
        )
        for part in rows.split(max(1, _CHUNK // per_pair)):
            pair = a[part], b[part], half[part], 1.0 - 2.0 * negative[part].to(a)
            found[:, part] = _integrals(dual, pair, outer.to(a), inner, partials)
    return found


def _refinement(dual: Any, scales: Tensor, half: Tensor) -> Tensor:
    """Parts into which panels of q are cut, so that none is wider than the pieces of phi."""
    found = torch.ones_like(scales)
    for scale in scales.unique().tolist():
        narrowest = float(np.diff(pieces(dual, 2.0 * REACH * 2.0**scale)).min())
        ratio = 2.0**scale * half * 3.5 / narrowest
        found = torch.where(scales == scale, ratio.ceil().clamp(min=1.0).long(), found)
    return 2 ** torch.ceil(torch.log2(found.to(half))).long()


def _outer_edges(dual: Any, largest: float) -> Tensor:
    edges = standard_edges(dual, largest, 2.0)
    return torch.as_tensor(np.union1d(edges, -edges))  # v may be -b z


def _inner_edges(parts: int) -> Tensor:
    """Panels of q, each cut into `parts`."""
    right = np.concatenate(
        [[0.0], *(np.linspace(*ends, parts + 1)[1:] for ends in pairwise(_INNER))]
    )
    return torch.as_tensor(np.concatenate([-right[:0:-1], right]))


def _integrals(
    dual: Any, pair: tuple[Tensor, ...], outer: Tensor, inner: Tensor, partials: bool
) -> Tensor:
    a, b, half, sign = (value[:, None] for value in pair)
    cos = ((1.0 - half) * (1.0 + half)).sqrt()
    kinks = a.new_tensor(dual.kinks)
    at_x, at_z = kinks / (a * cos).clamp(min=1e-300), sign * kinks / (b * cos).clamp(min=1e-300)
    layer = a.new_tensor([-x for x in _LAYER[:0:-1]] + list(_LAYER))
    centres = torch.cat([at_x, at_z], -1)
    cuts = (centres[..., None] + (half / cos)[..., None] * layer).flatten(1)
    # where a kink of u and one of v cross, the inner integral has a kink in p
    crossings = ((at_x[:, :, None] + at_z[:, None, :]) / 2.0).flatten(1)
    cuts = torch.cat([cuts, crossings], -1)
    edges = torch.cat([outer.expand(len(a), -1), cuts.clamp(-REACH, REACH)], -1).sort(-1).values
    p, weight = gauss(edges, _NODES)
    if len(inner) == 1:
        q, w = torch.zeros_like(p)[..., None], weight[..., None]
    else:
        p_, s_ = p[..., None], half[..., None].clamp(min=1e-300)
        q_x = (kinks / a[..., None].clamp(min=1e-300) - cos[..., None] * p_) / s_
        q_z = (cos[..., None] * p_ - sign[..., None] * kinks / b[..., None].clamp(min=1e-300)) / s_
        cuts = torch.cat([q_x, q_z], -1).clamp(-_INNER[-1], _INNER[-1])
        q, w = gauss(torch.cat([inner.expand(*p.shape, -1), cuts], -1).sort(-1).values, _NODES)
        w = weight[..., None] * w
    return _sums(dual, (a, b, half, sign, cos), p[..., None], q, w, partials)


def _sums(
    dual: Any, pair: tuple[Tensor, ...], p: Tensor, q: Tensor, w: Tensor, partials: bool
) -> Tensor:
    a, b, half, sign, cos = (value[..., None] for value in pair)
    x, z = cos * p + half * q, cos * p - half * q
    u, v = a * x, sign * b * z
    value, slope = dual.phi(u) * dual.phi(v) * w, dual.slope(u) * dual.slope(v) * w
    found = [_total(value), _total(slope)]
    if partials:
        found += _partials(value, slope, (half, sign, cos), p, q, x, z)
    return torch.stack(found)


def _total(integrand: Tensor) -> Tensor:
    """Sum over the nodes in p and q."""
    return integrand.sum((-2, -1))


def _partials(
    value: Tensor, slope: Tensor, pair: Any, p: Tensor, q: Tensor, x: Tensor, z: Tensor
) -> list[Tensor]:
    """Derivatives of the density: of E[phi' phi'] in the cosine, of both in log a and log b."""
    half, sign, cos = pair
    apart = half > 0
    safe = torch.where(apart, half, 1.0)
    of_cosine = (p * p - 1.0) / (4.0 * cos**2) - (q * q - 1.0) / (4.0 * safe**2)
    of_a = torch.where(apart, x * (half * p + cos * q) / (2.0 * cos * safe) - 1.0, 0.0)
    of_b = torch.where(apart, z * (half * p - cos * q) / (2.0 * cos * safe) - 1.0, 0.0)
    both = (p * p - 1.0) / 2.0  # of log a + log b where the angle is 0, half for each
    of_a, of_b = torch.where(apart, of_a, both), torch.where(apart, of_b, both)
    in_cosine = torch.where(apart, of_cosine, 0.0) * sign
    return [
        _total(slope * in_cosine),
        _total(value * of_a),
        _total(value * of_b),
        _total(slope * of_a),
        _total(slope * of_b),
    ]
