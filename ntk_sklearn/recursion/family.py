"""Many networks at once: those with a common prefix share its states."""

from __future__ import annotations

from collections.abc import Sequence

from ..architecture import Layer, Serial
from .rules import propagate
from .state import KernelState

# Networks by their number, each with the layers that are left.
_Rest = list[tuple[int, tuple[Layer, ...]]]


def propagate_all(networks: Sequence[Layer], state: KernelState) -> list[KernelState]:
    """Final states of several networks; common leading layers are computed once."""
    ends: dict[int, KernelState] = {}
    _walk([(k, unrolled(network)) for k, network in enumerate(networks)], state, ends)
    return [ends[k] for k in range(len(networks))]


def unrolled(network: Layer) -> tuple[Layer, ...]:
    """The layers of a network in sequence, nested Serials opened."""
    if not isinstance(network, Serial):
        return (network,)
    return tuple(layer for child in network.layers for layer in unrolled(child))


def _walk(rest: _Rest, state: KernelState, ends: dict[int, KernelState]) -> None:
    branches = _step(rest, state, ends)
    while len(branches) == 1:  # a loop, since deep networks exhaust Python's stack
        ((layer, rest),) = branches.items()
        state = propagate(layer, state)
        branches = _step(rest, state, ends)
    for layer, group in branches.items():
        _walk(group, propagate(layer, state), ends)


def _step(rest: _Rest, state: KernelState, ends: dict[int, KernelState]) -> dict[Layer, _Rest]:
    branches: dict[Layer, _Rest] = {}
    for k, layers in rest:
        if layers:
            branches.setdefault(layers[0], []).append((k, layers[1:]))
        else:
            ends[k] = state
    return branches
