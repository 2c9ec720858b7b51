"""Covariances of rows that carry a graph each."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ..architecture import Aggregate, GraphInput, PositionMap, check_nodes
from .inputs import diagonal_state, pair_state
from .position_maps import mixed
from .rules import propagate
from .state import KernelState


@propagate.register
def _(layer: GraphInput, state: KernelState) -> KernelState:
    """The state of the features alone; the rows themselves stay what they are."""
    x, z = _inputs(state)
    nodes, ntk = x.shape[-1], state.ntk is not None
    if state.diagonal_mode:
        start = diagonal_state(x[:, :-nodes], 1, state.positions, ntk)
    else:
        on_diagonal = state.same is not None
        start = pair_state(x[:, :-nodes], z[:, :-nodes], 1, state.positions, ntk, on_diagonal)
    return replace(start, x=x, z=z)


@propagate.register
def _(layer: Aggregate, state: KernelState) -> KernelState:
    """A K A^T with one matrix A for all rows, or with A_x and A_z of the rows' own graphs."""
    if layer.adjacency is not None:
        return propagate.dispatch(PositionMap)(layer, state)
    x, z = _inputs(state)
    n_nodes = state.nngp.shape[layer.axis - state.rank]
    check_nodes(n_nodes, tuple(x.shape[1:]))
    left, right = x[:, -n_nodes:], z[:, -n_nodes:]
    if state.diagonal_mode:
        return mixed(state, layer.axis, left, left)
    return mixed(state, layer.axis, left.unsqueeze(1), right.unsqueeze(0))


def _inputs(state: KernelState) -> tuple[Tensor, Tensor]:
    if state.x is None or state.z is None:
        raise ValueError("graphs are read from the inputs, which this state was made without")
    return state.x, state.z
