"""Expectations over a Gaussian pair by quadrature in polar coordinates.

u = sd_x r cos(t) and v = sd_z r cos(t - angle) with r^2 / 2 exponential and t uniform: angles 0 and
pi are as good as any other, and what happens at u = 0 or v = 0 happens at the ends of the sectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_REACH = 13.0  # standard deviations


def moments(phi: Callable, angle: float, var_x: float, var_z: float) -> tuple[float, float]:
    """E[phi(u) phi(v)] and E[phi'(u) phi'(v)], phi' by autograd."""
    sd_x, sd_z = math.sqrt(var_x), math.sqrt(var_z)
    levels = 4 + max(0, math.ceil(math.log2(max(sd_x, sd_z))))
    t, t_weights = _sectors(angle, levels)
    r, r_weights = _rule(
        _REACH * np.concatenate([_graded(levels)[:-levels], np.linspace(0.5, 1, 9)])
    )
    radial = r_weights * r * np.exp(-0.5 * r * r)
    weights = torch.as_tensor(np.outer(t_weights / (2.0 * math.pi), radial))
    u, du = _with_slope(phi, sd_x * np.outer(np.cos(t), r))
    v, dv = _with_slope(phi, sd_z * np.outer(np.cos(t - angle), r))
    return (weights * u * v).sum().item(), (weights * du * dv).sum().item()


def _with_slope(phi: Callable, x: np.ndarray) -> tuple[Tensor, Tensor]:
    leaf = torch.as_tensor(x).requires_grad_()
    value = phi(leaf)
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), slope


def _sectors(angle: float, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes on the circle, cut where u or v vanish and refined towards the cuts."""
    cuts = np.sort([math.pi / 2, 3 * math.pi / 2, angle + math.pi / 2, angle - math.pi / 2])
    rules = [
        _rule(a + (b - a) * _graded(levels))
        for a, b in zip(cuts, [*cuts[1:], cuts[0] + 2.0 * math.pi], strict=True)
        if b - a > 1e-15
    ]
    return tuple(np.concatenate(parts) for parts in zip(*rules, strict=True))


def _graded(levels: int) -> np.ndarray:
    """0 ... 1, finer by halves towards both ends."""
    halves = 0.5 ** np.arange(1, levels + 1)
    return np.concatenate([[0.0], halves[::-1], 1.0 - halves[1:], [1.0]])


def _rule(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    half = np.diff(edges)[:, None] / 2.0
    return (edges[:-1, None] + half * (1.0 + _NODES)).ravel(), (half * _WEIGHTS).ravel()
