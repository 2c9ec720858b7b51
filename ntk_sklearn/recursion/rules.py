"""How a covariance moves through a layer: one rule per layer type.

This is the plain-torch specification of the package: every faster evaluator is tested against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce, singledispatch
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..architecture import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Layer,
    Positions,
    Serial,
    Sum,
    SumPool,
    windows,
)
from ..duals import DualActivation, GaussianPair, resolve, sine2_of_sum
from .state import KernelState
from .windows import convolve, pool, without_edges


@singledispatch
def propagate(layer: Layer, state: KernelState) -> KernelState:
    """The state behind a layer, given the state in front of it."""
    raise NotImplementedError(f"no covariance rule for the layer type {type(layer).__name__}")


@propagate.register
def _(layer: Identity, state: KernelState) -> KernelState:
    return state


@propagate.register
def _(layer: Serial, state: KernelState) -> KernelState:
    return reduce(lambda s, child: propagate(child, s), layer.layers, state)


@propagate.register
def _(layer: Dense, state: KernelState) -> KernelState:
    return affine(layer, state)


@propagate.register
def _(layer: Conv, state: KernelState) -> KernelState:
    taps = windows(layer, _sizes(state))
    size = prod(w.size for w in taps)
    return affine(layer, state.map(lambda c: convolve(c, taps, state.positions) / size))


def affine(layer: Dense | Conv | ConvTranspose, state: KernelState) -> KernelState:
    """K = w^2 K + b^2 and Theta = w^2 (Theta + lr_multiplier K) + bias_ntk (Lee et al. 2019)."""
    w2, b2, rate, bias = affine_scales(layer)
    moved = state.map(lambda cov: w2 * cov + b2)
    if state.ntk is not None:
        moved = replace(moved, ntk=w2 * (state.ntk + rate * state.nngp) + bias)
    if state.sine2 is not None:
        scaled = GaussianPair(w2 * state.nngp, w2 * state.cov_x, w2 * state.cov_z, state.sine2)
        moved = replace(moved, sine2=sine2_of_sum(scaled, _constant(b2, state.nngp)))
    return moved.pinned()


def affine_scales(layer: Dense | Conv | ConvTranspose) -> tuple[Any, Any, Any, Any]:
    """w^2, b^2, lr_multiplier, and what the trained bias adds to the NTK."""
    w2, b2, rate = layer.w_std**2, layer.b_std**2, layer.lr_multiplier
    return w2, b2, rate, rate * b2 if layer.bias_ntk is None else layer.bias_ntk


def _constant(b2: float | Tensor, like: Tensor) -> GaussianPair:
    """The pair of a shared bias: correlation 1."""
    value = b2 + torch.zeros((), dtype=like.dtype, device=like.device)
    return GaussianPair(value, value, value, torch.zeros_like(value))


@propagate.register
def _(layer: Activation, state: KernelState) -> KernelState:
    dual = resolve(layer.function)
    pair = state.pair()
    nngp, slope = dual.covariance(pair)
    cov_x = _within(dual, state, state.cov_x)
    in_place = state.diagonal_mode
    return replace(
        state,
        nngp=cov_x if in_place else nngp,
        ntk=None if state.ntk is None else state.ntk * slope,
        cov_x=cov_x,
        cov_z=cov_x if in_place else _within(dual, state, state.cov_z),
        sine2=dual.sine2(pair) if state.positions is Positions.NONE else None,
    ).pinned()


def _within(dual: DualActivation, state: KernelState, cov: Tensor) -> Tensor:
    """Covariances within each image, with exact same-position entries."""
    variance = dual.variance(state.variance(cov))
    if state.positions is not Positions.ALL:
        return variance
    moved, _ = dual.covariance(state.within(cov))
    return state.with_variance(moved, variance)


@propagate.register(AvgPool)
@propagate.register(SumPool)
def _(layer: AvgPool | SumPool, state: KernelState) -> KernelState:
    taps = windows(layer, _sizes(state))
    size = prod(w.size for w in taps) ** 2 if isinstance(layer, AvgPool) else 1
    pooled = state.map(lambda cov: pool(cov, taps) / size)
    if isinstance(layer, AvgPool) and layer.normalize_edges:
        pooled = pooled.map(lambda cov: without_edges(cov, taps, _sizes(state)))
    return pooled.pinned()


@propagate.register(GlobalAvgPool)
@propagate.register(GlobalSumPool)
def _(layer: GlobalAvgPool | GlobalSumPool, state: KernelState) -> KernelState:
    axes = tuple(range(-2 * state.rank, 0))
    average = isinstance(layer, GlobalAvgPool)
    return _flat(state, lambda cov: cov.mean(axes) if average else cov.sum(axes))


@propagate.register
def _(layer: Flatten, state: KernelState) -> KernelState:
    if state.positions is Positions.NONE:
        return state
    axes = tuple(range(-state.rank, 0))
    return _flat(state, lambda cov: state.variance(cov).mean(axes))


def _flat(state: KernelState, f: Callable[[Tensor], Tensor]) -> KernelState:
    return replace(state.map(f), rank=0, positions=Positions.NONE).pinned()


@propagate.register
def _(layer: Sum, state: KernelState) -> KernelState:
    return _combined([propagate(branch, state) for branch in layer.branches], None)


@propagate.register
def _(layer: Concat, state: KernelState) -> KernelState:
    return _combined([propagate(branch, state) for branch in layer.branches], layer.shares)


def _combined(states: list[KernelState], shares: tuple[float, ...] | None) -> KernelState:
    """The sum of independent branches, or the mean over channels weighted by their shares."""
    if shares is not None:
        states = [_scaled(s, share) for s, share in zip(states, shares, strict=True)]
    return reduce(added, states).pinned()


def _scaled(state: KernelState, share: float) -> KernelState:
    return replace(state.map(lambda cov: share * cov), sine2=state.sine2)


def added(a: KernelState, b: KernelState) -> KernelState:
    """The sum of two independent signals."""
    cov_x = a.cov_x + b.cov_x
    in_place = a.diagonal_mode
    carried = a.sine2 is not None and b.sine2 is not None
    return replace(
        a,
        nngp=cov_x if in_place else a.nngp + b.nngp,
        ntk=None if a.ntk is None or b.ntk is None else a.ntk + b.ntk,
        cov_x=cov_x,
        cov_z=cov_x if in_place else a.cov_z + b.cov_z,
        sine2=sine2_of_sum(a.pair(), b.pair()) if carried else None,
    )


def _sizes(state: KernelState) -> tuple[int, ...]:
    """Sizes of the spatial axes."""
    return tuple(state.nngp.shape[-state.rank :]) if state.rank else ()
