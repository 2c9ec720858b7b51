"""Recorded networks of tests/golden: layer trees from plain data, inputs with channels first."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    LayerNorm,
    Product,
    SelfAttention,
    Serial,
    residual,
)
from ntk_sklearn.duals import GELU, RBF, Abs, Erf, Exp, LeakyReLU, ReLU, Sin

GOLDEN = Path(__file__).parent / "golden"

_ACTIVATIONS = {
    "Abs": lambda p: Abs(),
    "Erf": lambda p: Erf(p["a"], p["b"]),
    "Exp": lambda p: Exp(p["a"], p["b"]),
    "Gelu": lambda p: GELU(),
    "LeakyRelu": lambda p: LeakyReLU(p["alpha"]),
    "Rbf": lambda p: RBF(p["gamma"]),
    "Relu": lambda p: ReLU(),
    "Sin": lambda p: Sin(p["a"], p["b"], p["c"]),
}
_PLAIN = {"a": 1.0, "b": 1.0}
_LAYERS = {
    "AvgPool": lambda p: AvgPool(
        p["window_shape"], p["strides"], p["padding"].lower(), p.get("normalize_edges", False)
    ),
    "Conv": lambda p: Conv(*_windowed(p), padding=p["padding"].lower()),
    "ConvLocal": lambda p: ConvLocal(*_windowed(p), padding=p["padding"].lower()),
    "ConvTranspose": lambda p: ConvTranspose(*_windowed(p), padding=p["padding"].lower()),
    "Dense": lambda p: Dense(p["W_std"], p["b_std"]),
    "Dropout": lambda p: Dropout(1 - p["rate"]),
    "Flatten": lambda p: Flatten(),
    "GlobalAvgPool": lambda p: GlobalAvgPool(),
    "GlobalSelfAttention": lambda p: SelfAttention(
        p["W_query_std"], p["W_key_std"], p["W_value_std"], p["W_out_std"], p["b_std"]
    ),
    "Identity": lambda p: Identity(),
    "LayerNorm": lambda p: LayerNorm(
        "all" if len(p.get("axis", ())) > 1 else "channels", p.get("eps", 1e-12)
    ),
}


def _windowed(p: dict[str, Any]) -> tuple[Any, ...]:
    return p["filter_shape"], p["W_std"], p["b_std"], p["strides"]


@cache
def specifications(file: str = "networks") -> dict[str, Any]:
    """Case -> {"net": plain data, "input_shape": channels last}."""
    cases: dict[str, Any] = json.loads((GOLDEN / f"{file}.json").read_text())
    return cases


def network(name: str, file: str = "networks") -> Layer:
    return _layer(specifications(file)[name]["net"])


@cache
def recorded(name: str, file: str = "networks") -> dict[str, np.ndarray]:
    """The arrays of a case; x1 and x2 with their channels first."""
    with np.load(GOLDEN / f"{file}.npz") as tables:
        arrays = {key: tables[f"{name}/{key}"] for key in ("x1", "x2", *TABLES)}
    return arrays | {key: np.moveaxis(arrays[key], -1, 1) for key in ("x1", "x2")}


TABLES = ("nngp", "ntk", "nngp_train", "ntk_train")


def _layer(node: list) -> Layer:
    kind, *rest = node
    if kind == "serial":
        return Serial(*map(_layer, rest))
    if kind == "residual":
        return residual(*map(_layer, rest))
    if kind == "product":
        return Product(*map(_layer, rest))
    if kind == "concat":
        return Concat(*map(_layer, rest[:-1]))
    if kind in _ACTIVATIONS:
        return Activation(_ACTIVATIONS[kind](rest[0] if rest else _PLAIN))
    return _LAYERS[kind](rest[0] if rest else {})
