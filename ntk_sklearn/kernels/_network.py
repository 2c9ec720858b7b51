"""What kernels accept as a network: None, a preset or a layer tree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..architecture import Layer, check_network, replace, scales
from ..backends import FiniteWidth
from ..presets import FullyConnected, Preset

Network = Preset | Layer


def as_network(network: Any) -> Network:
    """The network itself; None stands for ``FullyConnected()``.

    Raises
    ------
    TypeError
        For anything that is neither a preset nor a layer.
    """
    if network is None:
        return FullyConnected()
    if isinstance(network, (Preset, Layer)):
        return network
    raise TypeError(
        "network must be None, a preset such as FullyConnected(depth=3), 'precomputed' (in "
        "estimators), or a tree of layers such "
        f"as Serial(Dense(), Activation('relu'), Dense()), got {network!r}"
    )


def with_default_network(owner: Any, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters to set, with the default network where its own ones are to be set."""
    nested = any(name.startswith("network__") for name in params)
    if nested and "network" not in params and owner.network is None:
        return {"network": as_network(None), **params}
    return params


def tree(network: Network, values: Mapping[str, Any] | None = None) -> Layer:
    """The checked layer tree, with some scales replaced by other values (or tensors)."""
    changed = with_scales(network, values or {})
    layers = changed.build() if isinstance(changed, Preset) else changed
    check_network(layers)
    return layers


def with_scales(network: Network, values: Mapping[str, Any]) -> Network:
    """A copy of the network with other scales."""
    if not values:
        return network
    if isinstance(network, Preset):
        return network.with_scales(values)
    return replace(network, values)


def free_scales(network: Network) -> dict[str, float]:
    """The scales that can be varied: those that are not 0, and none for a finite width."""
    if finite_width(network) is not None:
        return {}
    found = network.scales if isinstance(network, Preset) else scales(network)
    return {name: value for name, value in found.items() if value != 0}


def finite_width(network: Network) -> FiniteWidth | None:
    """The finite width of a preset, or None for the infinite-width limit."""
    width = getattr(network, "width", math.inf)
    if width == math.inf:
        return None
    preset: Any = network
    return FiniteWidth(preset.width, preset.n_networks, preset.random_state)
