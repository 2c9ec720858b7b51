"""Covariances through layer normalization and dropout."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..architecture import Dropout, LayerNorm
from ..duals import GaussianPair
from ..duals.pair import safe_divide, safe_sqrt
from .rules import propagate
from .state import KernelState


@propagate.register
def _(layer: LayerNorm, state: KernelState) -> KernelState:
    """q / sqrt((v_x + eps) (v_z + eps)), and the NTK likewise; angles are kept."""
    n_axes = state.n_position_axes if layer.axes == "all" else 0

    def scaled(cov: Tensor, pair: GaussianPair) -> Tensor:
        x, z = (reciprocal(v, layer.eps, n_axes) for v in (pair.var_x, pair.var_z))
        return (cov * x) * z  # a product of reciprocals alone may overflow

    pair, in_place = state.pair(), state.diagonal_mode
    cov_x = scaled(state.cov_x, state.within(state.cov_x))
    return replace(
        state,
        nngp=cov_x if in_place else scaled(state.nngp, pair),
        ntk=None if state.ntk is None else scaled(state.ntk, pair),
        cov_x=cov_x,
        cov_z=cov_x if in_place else scaled(state.cov_z, state.within(state.cov_z)),
    ).pinned()


def reciprocal(variance: Tensor, eps: float, n_axes: int = 0) -> Tensor:
    """1 / sqrt(v + eps), or 0 where that is 0, with the mean v over the last `n_axes` axes."""
    if n_axes:
        variance = variance.mean(tuple(range(-n_axes, 0)), keepdim=True)
    root = safe_sqrt(variance + eps)
    return safe_divide(torch.ones_like(root), root)


@propagate.register
def _(layer: Dropout, state: KernelState) -> KernelState:
    """An input's positions with themselves times 1 / (1 - p), in NNGP and NTK."""
    kept, in_place = 1.0 - layer.p, state.diagonal_mode
    cov_x = _grown(state, state.cov_x, kept)
    ntk, sine2 = state.ntk, state.sine2
    if in_place:
        ntk = None if ntk is None else _grown(state, ntk, kept)
    else:
        if ntk is not None and state.same is not None:
            ntk = state.where_same(_grown(state, ntk, kept), ntk)
        if sine2 is not None:
            sine2 = _opened(sine2, kept, state.same)
    return replace(
        state,
        nngp=cov_x if in_place else state.nngp,
        ntk=ntk,
        cov_x=cov_x,
        cov_z=cov_x if in_place else _grown(state, state.cov_z, kept),
        sine2=sine2,
    ).pinned()


def _grown(state: KernelState, cov: Tensor, kept: float) -> Tensor:
    """Entries of equal positions divided by `kept`."""
    return state.with_variance(cov, state.variance(cov) / kept)


def _opened(sine2: Tensor, kept: float, same: Tensor | None) -> Tensor:
    """Squared sines once cosines are multiplied by `kept`; an input with itself stays at angle 0.

    1 - kept^2 (1 - sine2) as a sum of terms >= 0.
    """
    opened = ((1.0 - kept) * (1.0 + kept) + kept * kept * sine2).clamp(max=1.0)
    return opened if same is None else torch.where(same, sine2, opened)
