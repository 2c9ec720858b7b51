"""Covariances through transposed convolutions and locally connected layers."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from ..architecture import ConvLocal, ConvTranspose, Dense, Positions, transposed_windows
from .rules import propagate
from .state import KernelState
from .windows import convolve


@propagate.register
def _(layer: ConvTranspose, state: KernelState) -> KernelState:
    """A convolution of positions with zeros between them, which covary with nothing."""
    taps = transposed_windows(layer, tuple(state.nngp.shape[-state.rank :]))
    size = prod(w.size for w in taps)
    summed = state.map(lambda cov: convolve(cov, taps, state.positions) / size)
    affine = Dense(
        layer.w_std, layer.b_std, lr_multiplier=layer.lr_multiplier, bias_ntk=layer.bias_ntk
    )
    return propagate(affine, summed)


@propagate.register
def _(layer: ConvLocal, state: KernelState) -> KernelState:
    """Covariances of a convolution at equal positions; different ones are independent."""
    found = propagate(layer.shared, state)
    if state.positions is not Positions.ALL:
        return found
    return found.map(lambda cov: _at_equal_positions(cov, state.rank)).pinned()


def _at_equal_positions(cov: Tensor, rank: int) -> Tensor:
    sizes = cov.shape[-rank:]
    equal = torch.eye(sizes.numel(), dtype=torch.bool, device=cov.device)
    return torch.where(equal.reshape(*sizes, *sizes), cov, 0.0)
