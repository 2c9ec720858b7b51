"""Expressions of one network, and of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._expression import Expression
from .._network import with_default_network


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
        if isinstance(self.networks, (str, Expression)) or not hasattr(self.networks, "__iter__"):
            raise TypeError(
                f"{type(self).__name__} takes a sequence of networks, got {self.networks!r}"
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
        return {**super().compared(), "networks": tuple(self.networks)}

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
        """Set parameters, ``1`` and ``1__depth`` in the second network."""
        if "networks" in params:
            self.networks = params.pop("networks")
        placed = {name: params.pop(name) for name in [*params] if name in self.parts()}
        if placed:
            self.networks = type(self.networks)((self.parts() | placed).values())
        super().set_params(**params)
        return self
