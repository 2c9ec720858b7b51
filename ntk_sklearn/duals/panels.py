"""Where an activation is smooth: pieces of the real line, and quadrature over pieces of a Gaussian.

Expectations over N(0, 1) are sums over panels of +-`REACH` standard deviations, each with its
`NODES` Gauss-Legendre nodes. They are accurate where the integrand is nearly a polynomial on every
panel, which is looked at before anything is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

REACH = 12.0
NODES = 16
_X, _W = np.polynomial.legendre.leggauss(NODES)
# Values at the nodes become coefficients of Legendre polynomials.
_TO_LEGENDRE = np.array(
    [(2 * k + 1) / 2 * _W * np.polynomial.legendre.Legendre.basis(k)(_X) for k in range(NODES)]
)
# Size of the last coefficients of a resolved piece, relative to phi up to there.
_RESOLVED = 3e-9
_NARROWEST = 1e-4
# Pieces are not halved: kinks at round numbers must not hide between two of them.
_CUT = 0.4837


class NotSmoothError(ValueError):
    """An activation has a kink or a jump that is not declared, or is not finite.

    Raised at the first evaluation of a `NumericalActivation`; the message has the place. The remedy
    is to declare every point where one of the first three derivatives jumps in its `kinks`.
    """


@lru_cache(maxsize=256)
def pieces(dual: Any, reach: float) -> np.ndarray:
    """Edges of pieces of [-reach, reach] on which phi and its derivative are nearly polynomials.

    Raises
    ------
    NotSmoothError
        Where there is no such piece.
    """
    start = [-reach, *(c for c in dual.kinks if abs(c) < reach), reach]
    found = [start[0]]
    for left, right in pairwise(start):
        found += _joined(dual, left, _resolved(dual, _geometric(left, right)))
    return np.array(found)


def _geometric(left: float, right: float) -> list[float]:
    """Edges that lie close together near 0, where Gaussians of small variance are."""
    sizes = 1.37 * 2.0 ** np.arange(-1, 2 + max(0, math.ceil(math.log2(max(-left, right, 1.0)))))
    inner = [x for x in (*-sizes, *sizes) if left + 0.1 < x < right - 0.1]
    return [left, *sorted(inner), right]


def _resolved(dual: Any, edges: list[float]) -> list[float]:
    """The right edges of the pieces between `edges`, cut until each is resolved."""
    waiting = list(pairwise(edges))[::-1]
    found = []
    while waiting:
        left, right = waiting.pop()
        if _is_resolved(dual, left, right):
            found.append(right)
            continue
        if right - left < _NARROWEST * max(1.0, abs(left)):
            raise NotSmoothError(_not_smooth(dual, left, right))
        middle = left + _CUT * (right - left)
        waiting += [(middle, right), (left, middle)]
    return found


def _joined(dual: Any, left: float, edges: list[float]) -> list[float]:
    """The right edges of pieces that are as wide as possible, from resolved ones."""
    found: list[float] = []
    inside: list[float] = []
    for right in edges:
        if inside and not _is_resolved(dual, left, right, inside):
            left, inside = inside[-1], []
            found.append(left)
        inside.append(right)
    return [*found, edges[-1]]


def _is_resolved(dual: Any, left: float, right: float, inside: Sequence[float] = ()) -> bool:
    """Whether polynomials through the nodes of a piece are phi and phi' there.

    For a piece that joins others, with right edges `inside`, at their nodes, too.
    """
    parts = [left, *inside, right] if inside else [left, right]
    x = torch.as_tensor(np.concatenate([_nodes(*ends) for ends in pairwise(parts)]))
    own = torch.as_tensor(_nodes(left, right))
    around = torch.as_tensor(np.linspace(-1.0, 1.0, 33)) * max(-left, right)
    for f in (dual.phi, dual.slope):
        values, expected = f(own).numpy(), f(x).numpy()
        if not np.isfinite(values).all() or not np.isfinite(expected).all():
            raise NotSmoothError(_not_smooth(dual, left, right))
        series = _TO_LEGENDRE @ values
        at = (2.0 * x.numpy() - left - right) / (right - left)
        error = max(
            np.abs(series[-3:]).max(),
            np.abs(np.polynomial.legendre.legval(at, series) - expected).max(),
        )
        near = f(around).abs()
        size = max(np.abs(values).max(), near[near.isfinite()].max().item())
        if error > _RESOLVED * size:
            return False
    return True


def _nodes(left: float, right: float) -> np.ndarray:
    found: np.ndarray = left + (right - left) * (1.0 + _X) / 2.0
    return found


def _not_smooth(dual: Any, left: float, right: float) -> str:
    return (
        f"{dual!r}: the function or its derivative is not smooth, or not finite, between "
        f"{left:.6g} and {right:.6g}; declare every point where one of its first three "
        f"derivatives jumps in kinks (declared are {dual.kinks})"
    )


@lru_cache(maxsize=256)
def standard_edges(dual: Any, largest: float, width: float) -> np.ndarray:
    """Edges of panels for phi(a s), s ~ N(0, 1), for all a between `largest` / 2 and `largest`.

    None is wider than `width` or, scaled by a, than the pieces of phi it covers; 0 is one of them.
    """
    cuts = pieces(dual, REACH * largest)
    n = math.ceil(REACH / width)
    half = np.linspace(0.0, REACH, n + 1)
    waiting = [(-b, -a) for a, b in pairwise(half.tolist())]
    waiting = sorted(waiting + [(-b, -a) for a, b in waiting])[::-1]
    found = [-REACH]
    while waiting:
        left, right = waiting.pop()
        if (right - left) * largest <= _narrowest(cuts, left, right, largest):
            found.append(right)
            continue
        middle = (left + right) / 2.0
        waiting += [(middle, right), (left, middle)]
    return np.array(found)


def _narrowest(cuts: np.ndarray, left: float, right: float, largest: float) -> float:
    """Width of the narrowest piece that a panel touches for any a; kinks are cut separately."""
    low = min(left * largest, left * largest / 2.0)
    high = max(right * largest, right * largest / 2.0)
    first = max(0, int(np.searchsorted(cuts, low, side="right")) - 1)
    last = min(len(cuts) - 1, int(np.searchsorted(cuts, high, side="left")))
    return float(np.diff(cuts[first : max(last, first + 1) + 1]).min())


def gauss(edges: Tensor, n_nodes: int = NODES) -> tuple[Tensor, Tensor]:
    """Nodes and weights of N(0, 1) on the panels between `edges`, along the last axis."""
    x, w = (edges.new_tensor(values) for values in np.polynomial.legendre.leggauss(n_nodes))
    half, left = edges.diff(dim=-1).unsqueeze(-1) / 2.0, edges[..., :-1].unsqueeze(-1)
    nodes = (left + half * (1.0 + x)).flatten(-2)
    density = torch.exp(-0.5 * nodes * nodes) / math.sqrt(2.0 * math.pi)
    return nodes, (half * w).flatten(-2) * density


def derivative(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """f'(x) by automatic differentiation."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        value = f(leaf)
        if not value.requires_grad:
            return torch.zeros_like(x)
        (found,) = torch.autograd.grad(value.sum(), leaf)
    return found
