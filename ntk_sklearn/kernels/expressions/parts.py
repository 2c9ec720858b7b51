"""Expressions of one network, and of several."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._expression import Expression
from .._network import as_network, with_default_network


class OfOne(Expression):
    """An expression of one network, called `network`."""

    network: Any

    def parts(self) -> dict[str, Any]:
        """The network."""
        return {"network": self.network}

    def set_params(self, **params: Any) -> OfOne:
        """Set parameters; ``network__depth`` and so on also where the network is the default."""
        super().set_params(**with_default_network(self, params))
        return self


class OfSeveral(Expression):
    """An expression of several networks, whose parameters are called by their place.

    ``1__depth`` is the depth of the second network, ``1`` the second network itself.
    """

    networks: Any

    def parts(self) -> dict[str, Any]:
        """The networks by their place, "0", "1" and so on."""
        if isinstance(self.networks, str) or not isinstance(self.networks, Sequence):
            raise TypeError(
                f"{type(self).__name__} takes a sequence of networks, as in "
                f"{type(self).__name__}([a, b]), got {self.networks!r}"
            )
        found = {str(k): network for k, network in enumerate(self.networks)}
        if not found:
            raise ValueError(f"{type(self).__name__} needs at least one network")
        return found

    def rebuilt(self, parts: Mapping[str, Any], scales: Mapping[str, Any]) -> Expression:
        """A copy with other parts; see `Expression`."""
        networks = tuple((self.parts() | dict(parts)).values())
        return super().rebuilt({"networks": networks}, scales)

    def compared(self) -> dict[str, Any]:
        """The parameters, sequences as tuples."""
        return {**super().compared(), "networks": as_counted(self.networks, tuple)}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters, and with `deep` those of the networks by their place."""
        params: dict[str, Any] = super().get_params(deep=False)
        if not deep:
            return params
        for place, network in self.parts().items():
            params[place] = network
            if hasattr(network, "get_params"):
                nested = network.get_params(deep=True)
                params.update({f"{place}__{name}": value for name, value in nested.items()})
        return params

    def set_params(self, **params: Any) -> OfSeveral:
        """Set parameters: ``1`` is the second network, ``1__depth`` its depth.

        ``1__depth`` works also where the network is None, the default.
        """
        if "networks" in params:
            self.networks = params.pop("networks")
        placed = {name: params.pop(name) for name in [*params] if name in self.parts()}
        for name in params:
            place, dots, _ = name.partition("__")
            if dots and place not in placed and self.parts().get(place, place) is None:
                placed[place] = as_network(None)
        if placed:
            kind = list if isinstance(self.networks, list) else tuple
            self.networks = kind((self.parts() | placed).values())
        super().set_params(**params)
        return self


def of_one_sequence(init: Callable[..., None]) -> Callable[..., None]:
    """An `__init__` that takes one sequence, and says so where it is given several networks."""

    @functools.wraps(init)  # scikit-learn reads the parameters from the signature
    def checked(self: Any, *networks: Any, **named: Any) -> None:
        if len(networks) > 1:
            name = type(self).__name__
            raise TypeError(
                f"{name} takes one sequence of networks, as in {name}([a, b]), got "
                f"{len(networks)} arguments"
            )
        init(self, *networks, **named)

    return checked


def as_counted(given: Any, read: Callable[[Any], Any]) -> Any:
    """A parameter as it counts, or printed where it is refused: what is compared never raises."""
    try:
        return read(given)
    except (TypeError, ValueError):
        return repr(given)
