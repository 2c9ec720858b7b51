"""Covariances of independent branches side by side along a spatial axis."""

from __future__ import annotations

from functools import partial, reduce

import torch
from torch import Tensor

from ..architecture import ConcatPositions, Positions
from .rules import added, propagate
from .state import KernelState


@propagate.register
def _(layer: ConcatPositions, state: KernelState) -> KernelState:
    """A block of each branch for pairs of its own positions, 0 for all others."""
    ends = [propagate(branch, state) for branch in layer.branches]
    axes = [layer.axis - ends[0].rank]  # of the positions of columns, and of rows
    if ends[0].positions is Positions.ALL:
        axes.append(axes[0] - ends[0].rank)
    sizes = [end.nngp.shape[axes[0]] for end in ends]
    placed = []
    for k, end in enumerate(ends):
        amounts = sum(sizes[:k]), sum(sizes[k + 1 :])
        placed.append(end.map(partial(_padded, axes=axes, amounts=amounts)))
    return reduce(added, placed).pinned()


def _padded(cov: Tensor, axes: list[int], amounts: tuple[int, int]) -> Tensor:
    """Zeros before and after a block, along several axes counted from the end."""
    for axis in axes:
        cov = torch.nn.functional.pad(cov, (0, 0) * (-axis - 1) + amounts)
    return cov
