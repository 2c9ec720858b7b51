"""Many networks at once: those with a common prefix share what is computed for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ..architecture import Layer, Serial
from .rules import propagate
from .state import KernelState

T = TypeVar("T")
Layers = tuple[Layer, ...]


def propagate_all(networks: Sequence[Layer], state: KernelState) -> list[KernelState]:
    """Final states of several networks; common leading layers are computed once."""
    ends: dict[int, KernelState] = {}
    rest = [(k, unrolled(network)) for k, network in enumerate(networks)]
    follow_all(rest, state, propagate, lambda k, end, _: ends.update({k: end}))
    return [ends[k] for k in range(len(networks))]


def unrolled(network: Layer) -> Layers:
    """The layers of a network in sequence, nested Serials opened."""
    if not isinstance(network, Serial):
        return (network,)
    return tuple(layer for child in network.layers for layer in unrolled(child))


def follow_all(
    rest: Sequence[tuple[int, Layers]],
    at: T,
    step: Callable[[Layer, T], T],
    end: Callable[[int, T, Layers], None],
    stop: Callable[[T], bool] = lambda at: False,
) -> None:
    """Follow the layers of several networks from one start, common leading layers once.

    Parameters
    ----------
    rest : sequence of (int, tuple of Layer)
        Networks by their number, each with the layers that are left.
    at : object
        Where they stand.
    step : callable
        Where they stand behind a layer.
    end : callable
        Called for each network at its end, or at the stop, with its number, where it stands, and
        the layers that are left.
    stop : callable
        Whether to follow no further from there.
    """
    while not stop(at):
        branches: dict[Layer, list[tuple[int, Layers]]] = {}
        for k, layers in rest:
            if layers:
                branches.setdefault(layers[0], []).append((k, layers[1:]))
            else:
                end(k, at, ())
        if len(branches) != 1:
            for layer, group in branches.items():
                follow_all(group, step(layer, at), step, end, stop)
            return
        ((layer, rest),) = branches.items()  # a loop, since deep networks exhaust Python's stack
        at = step(layer, at)
    for k, layers in rest:
        end(k, at, layers)
