"""Covariances through self attention (Hron et al. 2020)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..architecture import Matrix, SelfAttention, position_covariance
from .position_maps import as_tensor, mixed
from .rules import propagate
from .state import KernelState


@propagate.register
def _(layer: SelfAttention, state: KernelState) -> KernelState:
    sizes = tuple(state.nngp.shape[-state.rank :])
    flat = replace(state.map(lambda cov: _merged(cov, state.rank)), rank=1)
    keys = _embedded(layer, flat, sizes)
    values = keys if layer.embedded_values else flat
    end = (_linear if layer.scaling == "linear" else _sqrt)(layer, keys, values)
    split = end.map(lambda cov: cov.reshape(*cov.shape[:-2], *sizes, *sizes))
    return replace(split, rank=state.rank).pinned()


def _merged(cov: Tensor, rank: int) -> Tensor:
    """All spatial axes as one, of rows and of columns."""
    n_positions = cov.shape[-rank:].numel()
    return cov.reshape(*cov.shape[: -2 * rank], n_positions, n_positions)


def _embedded(layer: SelfAttention, state: KernelState, sizes: tuple[int, ...]) -> KernelState:
    """The state of inputs with positional embeddings: ~K and ~Theta."""
    if not layer.embeds:
        return state
    matrix = position_covariance(layer.position_decay, layer.position_norm, sizes)
    _check_semidefinite(matrix)
    share = layer.position_share
    kept, added = (1.0, 1.0) if share is None else (1.0 - share, share)
    R = added * layer.w_position_std**2 * as_tensor(matrix, state.nngp)
    moved = state.map(lambda cov: kept * cov + R)
    if state.ntk is not None:
        moved = replace(moved, ntk=kept * state.ntk + layer.lr_multiplier * R)
    return moved.pinned()


@lru_cache(maxsize=32)
def _check_semidefinite(matrix: Matrix) -> None:
    """Raise unless a matrix is a covariance, to rounding."""
    R = as_tensor(matrix, torch.empty(0, dtype=torch.float64))
    eigenvalues = torch.linalg.eigvalsh(R)
    if eigenvalues[0] < -1e-12 * len(R) * eigenvalues[-1].abs():
        raise ValueError(
            "SelfAttention.position_decay does not give a positive semidefinite covariance of "
            f"{len(R)} positions (smallest eigenvalue {float(eigenvalues[0]):.3g}): take another "
            "function, or position_norm <= 2, with which ExponentialDecay always does"
        )


def _linear(layer: SelfAttention, keys: KernelState, values: KernelState) -> KernelState:
    """w^2 G_x (Theta + 2 m K) G_z^T with weights G that are the same in every head."""
    scale = layer.w_query_std * layer.w_key_std
    left, right = (attention(layer.weights, scale * cov) for cov in (keys.cov_x, keys.cov_z))
    w2 = (layer.w_value_std * layer.w_out_std) ** 2
    end = mixed(values, 0, left, right).map(lambda cov: w2 * cov)
    ntk = None if end.ntk is None else end.ntk + 2.0 * layer.lr_multiplier * end.nngp
    return _biased(layer, replace(end, ntk=ntk))


def attention(weights: str, scores: Tensor) -> Tensor:
    """Attention weights of scores (..., position, attended position)."""
    if weights == "softmax":
        return torch.softmax(scores, -1)
    return {"identity": lambda s: s, "relu": torch.relu, "abs": torch.abs}[weights](scores)


def _sqrt(layer: SelfAttention, keys: KernelState, values: KernelState) -> KernelState:
    """w^2 ~K sum(~K * K) for independent random scores in infinitely many heads."""
    w = layer.w_query_std * layer.w_key_std * layer.w_value_std * layer.w_out_std
    w2, in_place = w**2, keys.diagonal_mode
    cov_x = w2 * keys.cov_x * _dot(keys.cov_x, values.cov_x)
    overlap = _dot(keys.nngp, values.nngp)
    ntk = None
    if keys.ntk is not None and values.ntk is not None:
        own = keys.ntk + 4.0 * layer.lr_multiplier * keys.nngp
        inside = _dot(keys.ntk, values.nngp) + _dot(keys.nngp, values.ntk)
        ntk = w2 * (own * overlap + keys.nngp * inside)
    end = replace(
        keys,
        nngp=cov_x if in_place else w2 * keys.nngp * overlap,
        ntk=ntk,
        cov_x=cov_x,
        cov_z=cov_x if in_place else w2 * keys.cov_z * _dot(keys.cov_z, values.cov_z),
    )
    return _biased(layer, end)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sums of products over all pairs of positions."""
    return (a * b).sum((-2, -1), keepdim=True)


def _biased(layer: SelfAttention, state: KernelState) -> KernelState:
    b2: Any = layer.b_std**2
    bias = layer.lr_multiplier * b2 if layer.bias_ntk is None else layer.bias_ntk
    ntk = None if state.ntk is None else state.ntk + bias
    return replace(state.map(lambda cov: cov + b2), ntk=ntk).pinned()
