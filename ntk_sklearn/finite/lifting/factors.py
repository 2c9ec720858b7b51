"""A number behind layers, taken into the weights in front of it."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

from ...architecture import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Layer,
    Product,
    Serial,
    Sum,
    SumPool,
)
from ...duals import ABReLU, resolve


@singledispatch
def scaled(layer: Layer, factor: float) -> Layer | None:
    """The layer times a positive number, or None if what it reads must be multiplied instead.

    Raises
    ------
    ValueError
        Naming the layer that no number passes.
    """
    raise ValueError(f"no number passes {layer!r}")


@scaled.register(Dense)
@scaled.register(Conv)
def _(layer: Dense | Conv, factor: float) -> Layer:
    bias = None if layer.bias_ntk is None else layer.bias_ntk * factor**2
    return replace(layer, w_std=layer.w_std * factor, b_std=layer.b_std * factor, bias_ntk=bias)


@scaled.register(AvgPool)
@scaled.register(SumPool)
@scaled.register(GlobalAvgPool)
@scaled.register(GlobalSumPool)
@scaled.register(Flatten)
@scaled.register(Dropout)
def _(layer: Layer, factor: float) -> None:
    return None  # linear


@scaled.register
def _(layer: Activation, factor: float) -> None:
    if not isinstance(resolve(layer.function), ABReLU):
        raise ValueError(f"no number passes {layer!r}, which is not homogeneous")


@scaled.register
def _(layer: Serial, factor: float) -> Layer | None:
    found = in_series(list(layer.layers), factor)
    return None if found is None else Serial(*found)


def in_series(layers: list[Layer], factor: float) -> list[Layer] | None:
    """The same for layers one after another."""
    for k in reversed(range(len(layers))):
        found = scaled(layers[k], factor)
        if found is not None:
            return [*layers[:k], found, *layers[k + 1 :]]
    return None


@scaled.register(Sum)
@scaled.register(Concat)
def _(layer: Sum | Concat, factor: float) -> Layer:
    branches = [_needed(branch, factor) for branch in layer.branches]
    return Sum(*branches) if isinstance(layer, Sum) else Concat(*branches, shares=layer.shares)


@scaled.register
def _(layer: Product, factor: float) -> Layer:
    for k, branch in enumerate(layer.branches):
        try:
            found = _needed(branch, factor)
        except ValueError:
            continue
        return Product(*layer.branches[:k], found, *layer.branches[k + 1 :])
    raise ValueError(f"no number passes {layer!r}")


def _needed(branch: Layer, factor: float) -> Layer:
    found = scaled(branch, factor)
    if found is None:
        raise ValueError(f"the number meets no weights in the branch {branch!r}")
    return found
