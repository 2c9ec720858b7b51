"""A layer tree as plain data, from which the other process builds the same network."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from ntk_sklearn.networks import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    Serial,
    Sum,
)


@singledispatch
def describe(layer: Layer) -> list[Any]:
    """``[name, parameters or parts, ...]``, lists, numbers and strings only.

    Raises
    ------
    NotImplementedError
        For layers and parameters that neural-tangents lacks or that are not compared.
    """
    raise NotImplementedError(f"{layer!r} is not compared")


@describe.register
def _(layer: Serial) -> list[Any]:
    return ["serial", *map(describe, layer.layers)]


@describe.register
def _(layer: Sum) -> list[Any]:
    return ["sum", *map(describe, layer.branches)]


@describe.register
def _(layer: Dense) -> list[Any]:
    return ["dense", _scales(layer)]


@describe.register
def _(layer: Conv) -> list[Any]:
    if layer.dilation != 1:
        raise NotImplementedError(f"{layer!r}: dilation is not compared")
    window = {"filter_shape": _two(layer.filter), "strides": _two(layer.strides)}
    return ["conv", {**window, "padding": layer.padding.upper(), **_scales(layer)}]


@describe.register
def _(layer: AvgPool) -> list[Any]:
    window = {"window_shape": _two(layer.window), "strides": _two(layer.strides)}
    return ["avg_pool", {**window, "padding": layer.padding.upper()}]


@describe.register
def _(layer: Activation) -> list[Any]:
    return [layer.function]


@describe.register(Flatten)
@describe.register(GlobalAvgPool)
@describe.register(Identity)
def _(layer: Layer) -> list[Any]:
    names = {Flatten: "flatten", GlobalAvgPool: "global_avg_pool", Identity: "identity"}
    return [names[type(layer)]]


def _two(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _scales(layer: Dense | Conv) -> dict[str, float]:
    if layer.lr_multiplier != 1 or layer.bias_ntk is not None:
        raise NotImplementedError(f"{layer!r}: neural-tangents has no learning rates of layers")
    return {"W_std": layer.w_std, "b_std": layer.b_std}
