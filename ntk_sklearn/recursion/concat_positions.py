"""Covariances of independent branches side by side along a spatial axis."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce

import torch
from torch import Tensor

from ..architecture import ConcatPositions, Positions
from .rules import propagate
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
    return reduce(_added, placed).pinned()


def _padded(cov: Tensor, axes: list[int], amounts: tuple[int, int]) -> Tensor:
    """Zeros before and after a block, along several axes counted from the end."""
    for axis in axes:
        cov = torch.nn.functional.pad(cov, (0, 0) * (-axis - 1) + amounts)
    return cov


def _added(a: KernelState, b: KernelState) -> KernelState:
    cov_x, in_place = a.cov_x + b.cov_x, a.diagonal_mode
    return replace(
        a,
        nngp=cov_x if in_place else a.nngp + b.nngp,
        ntk=None if a.ntk is None or b.ntk is None else a.ntk + b.ntk,
        cov_x=cov_x,
        cov_z=cov_x if in_place else a.cov_z + b.cov_z,
    )
