"""Activations without closed form in dense networks: sums over tabulated Hermite coefficients.

T = sum_l c_l(sd_x) c_l(sd_z) cos(t)^l, and T' likewise (`ntk_sklearn.duals.expectations`). The
tables of an input are the reciprocal of its standard deviation, the number of terms that it needs,
and the coefficients of phi and phi' in turn.
"""

from __future__ import annotations

import math
from math import factorial

import torch
from torch import Tensor

from ...duals import DualActivation, NumericalActivation, Polynomial
from ...duals.hermite import Coefficients, coefficients
from ...duals.pair import safe_divide, safe_sqrt
from .program import NotFusedError

# Terms that are tabulated, and the share of E[phi^2] or E[phi'^2] that all further ones may have:
# the error of pairs relative to their own values is at most as large.
TERMS = 256
SHARE = 1e-9


def is_series(dual: DualActivation) -> bool:
    """Whether the dual is summed up.

    Raises
    ------
    NotFusedError
        For activations with kinks, whose series converge too slowly at small angles.
    """
    if isinstance(dual, NumericalActivation) and dual.kinks:
        raise NotFusedError(f"the activation {dual!r}, whose kinks need more than a series")
    return isinstance(dual, NumericalActivation) or type(dual) is Polynomial


def n_terms(dual: DualActivation) -> int:
    """Terms that are tabulated."""
    return len(dual.coefficients) if isinstance(dual, Polynomial) else TERMS


def series_table(dual: DualActivation, v: Tensor) -> tuple[Tensor, ...]:
    """Numbers of every variance v (n,): 1 / sqrt v, terms needed, and coefficients in turn."""
    root, terms = safe_sqrt(v), n_terms(dual)
    found = polynomial(dual, root) if isinstance(dual, Polynomial) else _tabulated(dual, root)
    columns = torch.stack([found.value[:, :terms], found.slope[:, :terms]], -1).flatten(1)
    need = _needed(found, terms)
    if isinstance(dual, Polynomial):
        need = need.clamp(max=terms)  # there are no more
    return (safe_divide(root.new_ones(()), root), need.to(v), *columns.T.to(v))


def _tabulated(dual: DualActivation, root: Tensor) -> Coefficients:
    own, at = root.double().unique(return_inverse=True)
    table = coefficients(dual, own, TERMS)
    return Coefficients(table.value[at], table.slope[at], table.moments[:, at])


def _needed(found: Coefficients, terms: int) -> Tensor:
    """The least number of terms after which the shares of the rest are small; one more if none."""
    counts = []
    for c, total in zip((found.value, found.slope), found.moments[:2], strict=True):
        beyond = (total - c.square().sum(-1)).clamp(min=0.0)
        rest = c.square().flip(-1).cumsum(-1).flip(-1) + beyond[:, None]
        counts.append((rest > SHARE * total[:, None]).sum(-1))
        counts.append((beyond > SHARE * total) * (terms + 1))
    return torch.stack(counts).amax(0).clamp(min=1)


def polynomial(dual: Polynomial, root: Tensor) -> Coefficients:
    """E[phi(sd s) he_l(s)] in closed form, of the two moments alone."""
    root, n = root.double(), len(dual.coefficients)
    own = [k * c for k, c in enumerate(dual.coefficients)][1:] + [0.0]
    value, slope = (_expanded(c, root, n) for c in (dual.coefficients, own))
    moments = torch.stack([c.square().sum(-1) for c in (value, slope)])
    return Coefficients(value, slope, moments)


def _expanded(powers: tuple[float, ...] | list[float], root: Tensor, n: int) -> Tensor:
    """Coefficients of sum_k powers[k] (sd s)^k, of which E[s^k he_l] is left."""
    found = root.new_zeros((len(root), n))
    for k, power in enumerate(powers):
        for low in range(k % 2, k + 1, 2):
            half = (k - low) // 2
            moment = factorial(k) / (math.sqrt(factorial(low)) * factorial(half) * 2**half)
            found[:, low] += power * moment * root**k
    return found
