"""How much a kernel has to compute: entries per pair of inputs, summed over activations.

An entry is a pair of positions (i of one image, i' of the other). Only those count whose
displacement i' - i has an influence on the kernel, found from the head down: a head that flattens
needs displacement 0 and one that pools needs all; a convolution of stride s turns D into s D, and
pooling by windows of w into s D - (w - 1), ..., s D + (w - 1). Without space there is one entry.
"""

from __future__ import annotations

from functools import singledispatch
from itertools import product
from math import prod

from ntk_sklearn.networks import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Layer,
    Serial,
    Shape,
    Sum,
    SumPool,
    infer_shape,
)

Displacements = frozenset[tuple[int, ...]]


def entry_layers(network: Layer, spatial: tuple[int, ...] = ()) -> int:
    """Entries of the covariance of a pair of inputs, summed over the network's activations.

    Parameters
    ----------
    network : Layer
    spatial : tuple of int
        Sizes of the spatial axes of the inputs.
    """
    return _walk(network, Shape(1, spatial), frozenset({()}))[1]


def _pairs(spatial: tuple[int, ...], demanded: Displacements) -> int:
    return sum(prod(n - abs(d) for n, d in zip(spatial, D, strict=True)) for D in demanded)


def _within(spatial: tuple[int, ...], found: Displacements) -> Displacements:
    return frozenset(D for D in found if all(abs(d) < n for n, d in zip(spatial, D, strict=True)))


def _axes(value: int | tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else value


@singledispatch
def _walk(layer: Layer, shape: Shape, after: Displacements) -> tuple[Displacements, int]:
    """Displacements demanded of the layer's input, and entries at activations inside it."""
    raise NotImplementedError(f"entries of {type(layer).__name__} are not counted")


@_walk.register(Dense)
@_walk.register(Identity)
def _(layer: Layer, shape: Shape, after: Displacements) -> tuple[Displacements, int]:
    return after, 0


@_walk.register
def _(layer: Activation, shape: Shape, after: Displacements) -> tuple[Displacements, int]:
    return after, _pairs(shape.spatial, after)


@_walk.register
def _(layer: Conv, shape: Shape, after: Displacements) -> tuple[Displacements, int]:
    strides = _axes(layer.strides, len(shape.spatial))
    before = frozenset(tuple(s * d for s, d in zip(strides, D, strict=True)) for D in after)
    return _within(shape.spatial, before), 0


@_walk.register(AvgPool)
@_walk.register(SumPool)
def _(layer: AvgPool | SumPool, shape: Shape, after: Displacements) -> tuple[Displacements, int]:
    rank = len(shape.spatial)
    strides, window = _axes(layer.strides or 1, rank), _axes(layer.window, rank)
    spread = [range(1 - w, w) for w in window]
    before = frozenset(
        tuple(s * d + e for s, d, e in zip(strides, D, E, strict=True))
        for D, E in product(after, product(*spread))
    )
    return _within(shape.spatial, before), 0


@_walk.register(GlobalAvgPool)
@_walk.register(GlobalSumPool)
def _(layer: Layer, shape: Shape, after: Displacements) -> tuple[Displacements, int]:
    return frozenset(product(*(range(1 - n, n) for n in shape.spatial))), 0


@_walk.register
def _(layer: Flatten, shape: Shape, after: Displacements) -> tuple[Displacements, int]:
    return frozenset({(0,) * len(shape.spatial)}), 0


@_walk.register
def _(layer: Serial, shape: Shape, after: Displacements) -> tuple[Displacements, int]:
    shapes = [shape]
    for child in layer.layers:
        shapes.append(infer_shape(child, shapes[-1]))
    total = 0
    for child, before in zip(reversed(layer.layers), shapes[-2::-1], strict=True):
        after, count = _walk(child, before, after)
        total += count
    return after, total


@_walk.register(Sum)
@_walk.register(Concat)
def _(layer: Sum | Concat, shape: Shape, after: Displacements) -> tuple[Displacements, int]:
    found = [_walk(branch, shape, after) for branch in layer.branches]
    return frozenset().union(*(before for before, _ in found)), sum(count for _, count in found)
