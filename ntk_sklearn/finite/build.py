"""From a layer tree to a network of finite width: one rule per layer type."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from math import prod

from ..architecture import (
    Activation,
    AvgPool,
    Concat,
    ConcatPositions,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Layer,
    Product,
    Serial,
    ShapeError,
    Sum,
    SumPool,
    edge_factors,
    windows,
)
from ..duals import resolve
from .affine import ConvModule, DenseModule
from .modules import Branches, Chain, Flattened, GlobalPool, Part, Pointwise, Pool
from .widths import lets_through


@dataclass(frozen=True)
class Wire:
    """What runs between two layers: channels, spatial axes, and positions merged by Flatten.

    `merged` counts the channels that come from one channel of the last affine layer.
    """

    channels: int
    spatial: tuple[int, ...] = ()
    merged: int = 1


@singledispatch
def build(layer: Layer, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    """The module of a layer, its parameters not drawn yet, and the wire behind it.

    Affine layers that reach the layer's output past other weights get `channels` channels, all
    others `width`.

    Raises
    ------
    NotImplementedError
        Naming a layer type without a rule.
    """
    raise NotImplementedError(f"no finite network for the layer type {type(layer).__name__}")


@build.register
def _(layer: Dense, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    return DenseModule(layer, wire.channels, channels), Wire(channels)


@build.register
def _(layer: Conv, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    along = windows(layer, wire.spatial)
    module = ConvModule(layer, (wire.channels, *wire.spatial), channels, along)
    return module, Wire(channels, tuple(w.out for w in along))


@build.register
def _(layer: Activation, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    return Pointwise(resolve(layer.function)), wire


@build.register(AvgPool)
@build.register(SumPool)
def _(layer: AvgPool | SumPool, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    along = windows(layer, wire.spatial)
    factor = prod(w.size for w in along) if isinstance(layer, SumPool) else 1
    out = tuple(w.out for w in along)
    edges = None
    if isinstance(layer, AvgPool) and layer.normalize_edges:
        edges = [edge_factors(w, n) for w, n in zip(along, wire.spatial, strict=True)]
    return Pool(along, float(factor), edges), Wire(wire.channels, out, wire.merged)


@build.register(GlobalAvgPool)
@build.register(GlobalSumPool)
def _(layer: Layer, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    return GlobalPool(isinstance(layer, GlobalAvgPool)), Wire(wire.channels, (), wire.merged)


@build.register
def _(layer: Flatten, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    positions = prod(wire.spatial)
    return Flattened(), Wire(wire.channels * positions, (), wire.merged * positions)


@build.register
def _(layer: Identity, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    return Chain([]), wire


@build.register
def _(layer: Serial, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    parts = []
    for k, child in enumerate(layer.layers):
        reaches = all(map(lets_through, layer.layers[k + 1 :]))
        part, wire = build(child, wire, channels if reaches else width, width)
        parts.append(part)
    return Chain(parts), wire


@build.register
def _(layer: Sum, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    parts, ends = alike(layer, wire, channels, width)
    return Branches(parts, concatenate=False), ends[0]


@build.register
def _(layer: Concat, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    parts, ends = _branches(layer, layer.shares, wire, channels, width)
    end = Wire(sum(e.channels for e in ends), ends[0].spatial, max(e.merged for e in ends))
    return Branches(parts, concatenate=True), end


def alike(
    layer: Sum | Product | ConcatPositions, wire: Wire, channels: int, width: int
) -> tuple[list[Part], list[Wire]]:
    """Branches that end in equally many channels."""
    parts, ends = _branches(layer, (1.0,) * len(layer.branches), wire, channels, width)
    found = [end.channels for end in ends]
    if len(set(found)) > 1:
        raise ShapeError(f"{layer!r}: its branches must agree, but end in {found} channels")
    return parts, ends


def _branches(
    layer: Sum | Concat | Product | ConcatPositions,
    shares: tuple[float, ...],
    wire: Wire,
    channels: int,
    width: int,
) -> tuple[list[Part], list[Wire]]:
    """Branches with numbers of channels in proportion to the shares (all 1 for a sum)."""
    probes = [build(branch, wire, 1, width)[1] for branch in layer.branches]
    given = [
        (probe.channels, share)
        for branch, probe, share in zip(layer.branches, probes, shares, strict=True)
        if lets_through(branch)  # its number of channels comes from the input
    ]
    total = given[0][0] / given[0][1] if given else channels * max(p.merged for p in probes)
    if any(abs(c - share * total) >= 1 for c, share in given):
        raise ShapeError(
            f"{layer!r}: branches that pass on their input's channels have {given} "
            "(channels, share): no total fits them"
        )
    built = [
        build(branch, wire, max(1, round(share * total / probe.merged)), width)
        for branch, probe, share in zip(layer.branches, probes, shares, strict=True)
    ]
    return [part for part, _ in built], [end for _, end in built]
