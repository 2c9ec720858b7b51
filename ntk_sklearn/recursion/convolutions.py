"""Covariances through transposed convolutions and locally connected layers."""

from __future__ import annotations

from math import prod

import torch

from ..architecture import ConvLocal, ConvTranspose, Positions, transposed_windows
from .rules import affine, propagate
from .state import KernelState
from .windows import convolve


@propagate.register
def _(layer: ConvTranspose, state: KernelState) -> KernelState:
    """A convolution of positions with zeros between them, which covary with nothing."""
    taps = transposed_windows(layer, tuple(state.nngp.shape[-state.rank :]))
    size = prod(w.size for w in taps)
    summed = state.map(lambda cov: convolve(cov, taps, state.positions) / size)
    return affine(layer, summed)


@propagate.register
def _(layer: ConvLocal, state: KernelState) -> KernelState:
    """Covariances of a convolution at equal positions; different ones are independent."""
    found = propagate(layer.shared, state)
    if state.positions is not Positions.ALL:
        return found
    zeros = torch.zeros_like
    return found.map(lambda cov: found.with_variance(zeros(cov), found.variance(cov))).pinned()
