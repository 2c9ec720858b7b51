"""Batches of kernels for GPyTorch: inputs and scales with leading batch axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..architecture import Layer
from ..backends import Quantity
from ..recursion import KernelState, propagate

Rebuild = Callable[[Mapping[str, Tensor]], Layer]


def collapse(x: Tensor) -> Tensor:
    """Batch axes that repeat one and the same memory (stride 0), cut to length 1."""
    for axis in range(x.ndim - 2):
        if x.shape[axis] > 1 and x.stride(axis) == 0:
            x = x.narrow(axis, 0, 1)
    return x


def batch_shape(*tensors: Tensor) -> torch.Size:
    """The common shape of all leading axes but the last two."""
    return torch.broadcast_shapes(*(t.shape[:-2] for t in tensors))


def flatten_batch(x: Tensor, batch: torch.Size) -> Tensor:
    """(*batch, a, b), broadcast, as (B, a, b)."""
    return x.expand(*batch, *x.shape[-2:]).reshape(batch.numel(), *x.shape[-2:])


def propagate_batch(
    rebuild: Rebuild, state: KernelState, scales: Mapping[str, Tensor], quantity: Quantity
) -> Tensor:
    """The final covariance for a state with one leading batch axis and one scale per batch entry.

    The recursion is mapped over the batch, so that no rule knows of batches.
    """

    def one(arrays: dict[str, Any], values: dict[str, Tensor]) -> Tensor:
        if state.diagonal_mode:
            arrays = {**arrays, "cov_x": arrays["nngp"], "cov_z": arrays["nngp"]}
        start = replace(state, **arrays)
        found: Tensor = getattr(propagate(rebuild(values), start), quantity)
        return found

    return torch.vmap(one)(_arrays(state), dict(scales))


def _arrays(state: KernelState) -> dict[str, Any]:
    names = ["nngp", "ntk", "sine2", "x", "z"] + ["cov_x", "cov_z"] * (not state.diagonal_mode)
    return {name: getattr(state, name) for name in names if getattr(state, name) is not None}
