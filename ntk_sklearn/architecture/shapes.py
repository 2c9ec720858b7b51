"""Shape inference: one rule per layer type, with errors that name the layer."""

from __future__ import annotations

from functools import singledispatch
from math import prod
from typing import NamedTuple

from ._paths import at, join
from .layers import (
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
    Sum,
    SumPool,
    children,
)
from .windows import ShapeError, windows


class Shape(NamedTuple):
    """Channels (None where their number tends to infinity) and the sizes of the spatial axes."""

    channels: int | None
    spatial: tuple[int, ...] = ()


def infer_shape(network: Layer, shape: Shape, path: str = "") -> Shape:
    """Shape of the output of `network` for inputs of the given shape.

    Raises
    ------
    ShapeError
        Naming the layer that does not fit, by its path in the tree.
    """
    try:
        return shape_rule(network, shape, path)
    except ShapeError as error:
        if getattr(error, "located", False):
            raise
        located = ShapeError(f"{at(path)}: {network!r}: {error}")
        located.located = True  # type: ignore[attr-defined]
        raise located from None


def most_positions(network: Layer, shape: Shape) -> int:
    """Positions of the largest image anywhere in the network, its input included.

    Raises
    ------
    ShapeError
    """
    found = [prod(shape.spatial), prod(infer_shape(network, shape).spatial)]
    for child in children(network):
        found.append(most_positions(child, shape))
        if isinstance(network, Serial):
            shape = infer_shape(child, shape)
    return max(found)


@singledispatch
def shape_rule(layer: Layer, shape: Shape, path: str) -> Shape:
    """Shape behind a layer: one rule per layer type."""
    raise NotImplementedError(f"no shape rule for the layer type {type(layer).__name__}")


@shape_rule.register
def _(layer: Dense, shape: Shape, path: str) -> Shape:
    if shape.spatial:
        raise ShapeError(
            f"a dense layer needs flat input but gets images of {shape.spatial} positions: put "
            "Flatten() or GlobalAvgPool() before it (Conv(1) acts on every position)"
        )
    return Shape(None)


@shape_rule.register(Conv)
@shape_rule.register(AvgPool)
@shape_rule.register(SumPool)
def _(layer: Conv | AvgPool | SumPool, shape: Shape, path: str) -> Shape:
    need_image(shape)
    out = tuple(w.out for w in windows(layer, shape.spatial))
    return Shape(None if isinstance(layer, Conv) else shape.channels, out)


@shape_rule.register(GlobalAvgPool)
@shape_rule.register(GlobalSumPool)
def _(layer: Layer, shape: Shape, path: str) -> Shape:
    need_image(shape)
    return Shape(shape.channels)


@shape_rule.register
def _(layer: Flatten, shape: Shape, path: str) -> Shape:
    return Shape(None if shape.channels is None else shape.channels * prod(shape.spatial))


@shape_rule.register(Activation)
@shape_rule.register(Identity)
def _(layer: Layer, shape: Shape, path: str) -> Shape:
    return shape


@shape_rule.register
def _(layer: Serial, shape: Shape, path: str) -> Shape:
    for k, child in enumerate(layer.layers):
        shape = infer_shape(child, shape, join(path, f"layers.{k}"))
    return shape


@shape_rule.register(Sum)
@shape_rule.register(Concat)
def _(layer: Sum | Concat, shape: Shape, path: str) -> Shape:
    shapes = branch_shapes(layer.branches, shape, path)
    if len({s.spatial for s in shapes}) > 1:
        raise ShapeError(f"the branches end in different shapes {[s.spatial for s in shapes]}")
    return shapes[0]


def branch_shapes(branches: tuple[Layer, ...], shape: Shape, path: str) -> list[Shape]:
    """Shapes behind all branches."""
    return [
        infer_shape(branch, shape, join(path, f"branches.{k}")) for k, branch in enumerate(branches)
    ]


def need_image(shape: Shape) -> None:
    """Raise unless there are spatial axes."""
    if not shape.spatial:
        raise ShapeError(
            "it needs images, but its input has no spatial axes: pass "
            "image_shape=(channels, height, width) for flattened rows of X"
        )
