"""Calls of functions and methods in a forward, as the modules that do the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

# Functions of one signal with their further arguments in the order of the module's parameters.
_MODULES: dict[str, Callable[..., nn.Module]] = {
    "adaptive_avg_pool1d": nn.AdaptiveAvgPool1d,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "adaptive_avg_pool3d": nn.AdaptiveAvgPool3d,
    "avg_pool1d": nn.AvgPool1d,
    "avg_pool2d": nn.AvgPool2d,
    "avg_pool3d": nn.AvgPool3d,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "hardsigmoid": nn.Hardsigmoid,
    "hardswish": nn.Hardswish,
    "hardtanh": nn.Hardtanh,
    "leaky_relu": nn.LeakyReLU,
    "log_sigmoid": nn.LogSigmoid,
    "logsigmoid": nn.LogSigmoid,
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "tanh": nn.Tanh,
    "tanhshrink": nn.Tanhshrink,
}

# Activations that are no modules in torch, by the registered name.
ACTIVATIONS = {
    "abs": "abs",
    "absolute": "abs",
    "cos": "cos",
    "erf": "erf",
    "exp": "exp",
    "sign": "sign",
    "sin": "sin",
    "special_erf": "erf",
    "square": "monomial",
}

# Calls that pass the signal on, with another sign at most, and those of them that copy it.
PASSED_ON = {"contiguous", "clone", "neg", "negative", "pos", "positive"}
COPIES = {"clone", "neg", "negative"}


def _dropout(p: float = 0.5, training: bool = True) -> nn.Module:
    return nn.Dropout(p).train(training)


def _flatten(start_dim: int = 0, end_dim: int = -1) -> nn.Module:
    return nn.Flatten(start_dim, end_dim)


def _layer_norm(
    normalized_shape: Any, weight: None = None, bias: None = None, eps: float = 1e-5
) -> nn.Module:
    return nn.LayerNorm(normalized_shape, eps, elementwise_affine=False)


def _rms_norm(normalized_shape: Any, weight: None = None, eps: float | None = None) -> nn.Module:
    return nn.RMSNorm(normalized_shape, eps, elementwise_affine=False)


def _group_norm(
    channels: int, num_groups: int, weight: None = None, bias: None = None, eps: float = 1e-5
) -> nn.Module:
    return nn.GroupNorm(num_groups, channels, eps, affine=False)


_MODULES |= {
    "dropout": _dropout,
    "flatten": _flatten,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
}


def as_module(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], channels: int | None
) -> nn.Module | None:
    """The module that does what the function does, or None if there is none.

    Raises
    ------
    TypeError
        If the arguments are not those of the function.
    """
    given = {key: value for key, value in kwargs.items() if key != "inplace"}
    if name == "group_norm":
        return _group_norm(channels or 0, *args, **given)
    return _MODULES[name](*args, **given) if name in _MODULES else None
