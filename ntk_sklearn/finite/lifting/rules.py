"""What a torch module is as layers: one rule per module type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from math import prod
from typing import TypeAlias

from torch import nn

from ...architecture import Layer, NetworkError, Shape, infer_shape
from ..modules import Part


@dataclass(frozen=True)
class Wire:
    """What runs between two modules, as far as it is known.

    Attributes
    ----------
    channels : int or None
        Of the module as it is, not of the limit.
    rank : int or None
        Number of spatial axes.
    sizes : tuple of int or None
        Of the spatial axes.
    units : int
        Axes of one position that global pooling has left behind; layers have none.
    """

    channels: int | None = None
    rank: int | None = None
    sizes: tuple[int, ...] | None = None
    units: int = 0

    @property
    def features(self) -> int | None:
        """Numbers of one input, or None if they are not known."""
        if self.channels is None or self.sizes is None:
            return None
        return self.channels * prod(self.sizes)


@dataclass(frozen=True)
class Reading:
    """How initializations are read; see `from_module`."""

    parametrization: str
    scales: str | Mapping[str, float]


@dataclass(frozen=True)
class Site:
    """Where a module is called: its name in the whole, what it reads, and how it is read."""

    path: str
    wire: Wire
    reading: Reading

    def refuse(self, why: str) -> NetworkError:
        """The error that names this place."""
        return NetworkError(f"{self.path}: {why}")

    def behind(self, layer: Layer, channels: int | None) -> Wire:
        """The wire behind a layer that keeps or takes away spatial axes."""
        wire = self.wire
        if wire.sizes is None:
            return Wire(channels, wire.rank)
        spatial = infer_shape(layer, Shape(wire.channels, wire.sizes), self.path).spatial
        return Wire(channels, len(spatial), spatial)


Read: TypeAlias = tuple[tuple[Layer, ...], Wire]


@singledispatch
def read(module: nn.Module, site: Site) -> Read:
    """The layers that a module is, and the wire behind it.

    Raises
    ------
    NetworkError
        Naming the module, the reason and the nearest alternative.
    """
    raise site.refuse(
        f"there is no rule for {type(module).__name__}; write it with the modules and functions "
        "that docs/lifting.md lists, or build the tree of layers by hand"
    )


def known_types() -> tuple[type, ...]:
    """Types that have a rule: calls of such modules are not looked into."""
    return tuple(kind for kind in read.registry if kind is not object)


def read_checked(module: nn.Module, site: Site) -> Read:
    """`read`, unless a subclass computes something else than the type that has the rule."""
    base = next((c for c in type(module).__mro__ if c in read.registry and c is not object), None)
    if base is None or isinstance(module, Part):
        return read(module, site)
    if _forward(type(module)) is not _forward(base):
        raise site.refuse(
            f"{type(module).__name__} has a forward of its own, which is not that of "
            f"{base.__name__}; derive it from nn.Module, so that its calls can be followed"
        )
    return read(module, site)


def _forward(kind: type) -> object:
    return getattr(kind, "forward", None)


def need_positions(site: Site, rank: int, what: str) -> Site:
    """The site with a rank, or the error that says which one is needed."""
    wire = site.wire
    if wire.units:
        raise site.refuse(
            f"{what} on the single position that global pooling leaves; leave it out, or put it "
            "in front of the pooling"
        )
    if wire.rank not in (None, rank):
        raise site.refuse(f"{what} needs {rank} spatial axes, but its input has {wire.rank}")
    return Site(site.path, Wire(wire.channels, rank, wire.sizes), site.reading)
