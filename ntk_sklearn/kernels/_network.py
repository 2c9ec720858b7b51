"""What kernels accept as a network: None, a preset, a tree, an expression, a torch module."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from ..architecture import Layer, check_network, replace, scales
from ..backends import FiniteWidth, GivenParameters
from ..finite import Linearized
from ..finite.linearized import structure_of_module
from ..presets import FullyConnected, Preset
from ._expression import Expression

Network = Preset | Layer | Expression | Linearized


def as_network(network: Any) -> Network:
    """The network itself; None stands for ``FullyConnected()``, a module for its linearization.

    Raises
    ------
    TypeError
        For anything that is neither a preset, a layer, a kernel expression nor a torch module.
    """
    if network is None:
        return FullyConnected()
    if isinstance(network, torch.nn.Module):
        return Linearized(network)
    if isinstance(network, (Preset, Layer, Expression, Linearized)):
        return network
    raise TypeError(
        "network must be None, a preset such as FullyConnected(depth=3), 'precomputed' (in "
        "estimators), a tree of layers such as Serial(Dense(), Activation('relu'), Dense()), a "
        "kernel expression such as Normalized(FullyConnected()), or a torch module, got "
        f"{network!r}"
    )


def refuse_module(network: Network) -> None:
    """Refuse a torch module where the NNGP of a network is needed.

    Raises
    ------
    TypeError
        Naming what has one.
    """
    if isinstance(network, Linearized):
        raise TypeError(
            "a torch module is one function and no random network: it has a tangent kernel and no "
            "NNGP. Pass networks.from_module(module), the random network that it is at "
            "initialization, or take NTKRegressor(module, uncertainty='ntkgp')"
        )


def modules(network: Network) -> list[torch.nn.Module]:
    """The torch modules in a network or an expression."""
    if isinstance(network, Linearized):
        return [network.module]
    return [module for part in parts(network).values() for module in modules(part)]


def with_default_network(owner: Any, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters to set, with a network that has them where its own ones are to be set."""
    nested = any(name.startswith("network__") for name in params)
    given = params.get("network", owner.network)
    if nested and (given is None or isinstance(given, torch.nn.Module)):
        return {**params, "network": as_network(given)}
    return params


def parts(network: Network) -> dict[str, Network]:
    """The networks that an expression is made from, by name; none of a network."""
    if not isinstance(network, Expression):
        return {}
    return {name: as_network(part) for name, part in network.parts().items()}


def tree(network: Network, values: Mapping[str, Any] | None = None) -> Layer:
    """The checked layer tree, with some scales replaced by other values (or tensors).

    Raises
    ------
    TypeError
        For an expression, which has several.
    """
    changed = with_scales(network, values or {})
    if isinstance(changed, Linearized):
        raise TypeError(
            "a tree of layers is needed here, and a torch module is one at initialization only: "
            f"pass networks.from_module(module), got {network!r}"
        )
    if isinstance(changed, Expression):
        raise TypeError(f"a network is needed here, got the kernel expression {network!r}")
    layers = changed.build() if isinstance(changed, Preset) else changed
    check_network(layers)
    return layers


def trees(network: Network) -> list[Layer]:
    """The layer trees of a network, or of those that an expression is made from; no module's."""
    if isinstance(network, Linearized):
        return []
    if not isinstance(network, Expression):
        return [tree(network)]
    inside = [layers for part in parts(network).values() for layers in trees(part)]
    return [*network.layers(), *inside]


def with_scales(network: Network, values: Mapping[str, Any]) -> Network:
    """A copy of the network with other scales."""
    if not values:
        return network
    if isinstance(network, Preset):
        return network.with_scales(values)
    if isinstance(network, Layer):
        return replace(network, values)
    if isinstance(network, Linearized):
        raise ValueError(f"a torch module has no scales {sorted(values)}")
    own = {name: value for name, value in values.items() if name in network.own_scales}
    inside = {
        name: with_scales(part, within(values, name)) for name, part in parts(network).items()
    }
    _check_names(
        network, values, [*own, *(f"{name}.{s}" for name in inside for s in within(values, name))]
    )
    return network.rebuilt(inside, own)


def within(values: Mapping[str, Any], part: str) -> dict[str, Any]:
    """The scales of a part of an expression, by the names that they have there."""
    start = f"{part}."
    return {name[len(start) :]: v for name, v in values.items() if name.startswith(start)}


def is_weight(name: str) -> bool:
    """Whether a scale is the weight of a part of a mixture, by its name."""
    return name.rpartition(".")[0].rpartition(".")[2] == "weights"


def _check_names(network: Expression, values: Mapping[str, Any], known: list[str]) -> None:
    unknown = set(values) - set(known)
    if unknown:
        raise ValueError(f"{network!r} has no scales {sorted(unknown)}")


def free_scales(network: Network) -> dict[str, float]:
    """The scales that can be varied: those that are not 0, and none for a finite width.

    Those of the parts of an expression have the name of the part in front.
    """
    if finite_width(network) is not None:
        return {}
    if isinstance(network, Expression):
        inside = {
            f"{name}.{scale}": value
            for name, part in parts(network).items()
            for scale, value in free_scales(part).items()
        }
        return network.own_scales | inside
    found = network.scales if isinstance(network, Preset) else scales(network)
    return {name: value for name, value in found.items() if value != 0}


def finite_width(network: Network) -> FiniteWidth | GivenParameters | None:
    """The finite width of a preset or a module, or None for the infinite-width limit.

    Of an expression that of the first part that has one.
    """
    if isinstance(network, Linearized):
        return GivenParameters()
    if isinstance(network, Expression):
        found = [finite_width(part) for part in parts(network).values()]
        return next((width for width in found if width is not None), None)
    width = getattr(network, "width", math.inf)
    if width == math.inf:
        return None
    preset: Any = network
    return FiniteWidth(preset.width, preset.n_networks, preset.random_state)


def structure(network: Network) -> str:
    """What a network is but for the values of its scales, printed; of a module also its values."""
    if isinstance(network, Linearized):
        return structure_of_module(network)
    ones = with_scales(network, dict.fromkeys(free_scales(network), 1.0))
    if not isinstance(ones, Expression):
        return repr(tree(ones))
    inside = [f"{name}={structure(part)}" for name, part in parts(ones).items()]
    own = {k: v for k, v in ones.compared().items() if k not in ("network", "networks")}
    return f"{type(ones).__name__}({', '.join([*inside, *(f'{k}={v!r}' for k, v in own.items())])})"
