"""Covariances through linear maps of positions, K -> A K B^T."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..architecture import Matrix, PositionMap, Positions, axis_maps
from .rules import propagate
from .state import KernelState


@propagate.register
def _(layer: PositionMap, state: KernelState) -> KernelState:
    sizes = tuple(state.nngp.shape[-state.rank :])
    for axis, matrix in enumerate(axis_maps(layer, sizes)):
        if matrix is not None:
            A = as_tensor(matrix, state.nngp)
            state = mixed(state, axis, A, A)
    return state


def as_tensor(matrix: Matrix, like: Tensor) -> Tensor:
    """The entries, in the precision and on the device of another tensor."""
    entries = torch.frombuffer(bytearray(matrix.data), dtype=torch.float64)
    return entries.reshape(matrix.shape).to(like)


def mixed(state: KernelState, axis: int, left: Tensor, right: Tensor) -> KernelState:
    """The state behind maps of one spatial axis: of the rows by `left`, the columns by `right`.

    Parameters
    ----------
    state : KernelState
    axis : int
    left, right : Tensor
        Maps (out, in) for all inputs, or one for each, (n, 1, out, in) and (1, m, out, in); in
        diagonal mode (n, out, in), both the same.
    """

    def moved(cov: Tensor, a: Tensor, b: Tensor) -> Tensor:
        if state.positions is not Positions.ALL:
            return _picked(cov, axis - state.rank, a)
        axes = (axis - 2 * state.rank, axis - state.rank)
        rows_last = cov.movedim(axes, (-2, -1))
        product = _spread(a, rows_last) @ rows_last @ _spread(b, rows_last).mT
        return product.movedim((-2, -1), axes)

    cov_x, in_place = moved(state.cov_x, left, left), state.diagonal_mode
    return replace(
        state,
        nngp=cov_x if in_place else moved(state.nngp, left, right),
        ntk=None if state.ntk is None else moved(state.ntk, left, right),
        cov_x=cov_x,
        cov_z=cov_x if in_place else moved(state.cov_z, right, right),
        sine2=None,
    ).pinned()


def _picked(cov: Tensor, axis: int, a: Tensor) -> Tensor:
    """Equal positions where each row of the map has one entry, so that no pair of others counts."""
    return (cov.movedim(axis, -1) @ a.square().mT).movedim(-1, axis)


def _spread(a: Tensor, like: Tensor) -> Tensor:
    """A map of each input, ready to broadcast over the other spatial axes."""
    return a.reshape(*a.shape[:-2], *(1,) * (like.ndim - a.ndim), *a.shape[-2:])
