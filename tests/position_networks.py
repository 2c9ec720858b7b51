"""Networks with layers that mix positions, recorded in tests/golden/positions.npz."""

from __future__ import annotations

from functools import cache

import numpy as np
from golden_networks import GOLDEN, TABLES

from ntk_sklearn.architecture import (
    Activation,
    Aggregate,
    Conv,
    Dense,
    ExponentialDecay,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    GraphInput,
    Layer,
    Resize,
    SelfAttention,
    Serial,
    Slice,
)

RELU, ERF = Activation("relu"), Activation("erf")
AVERAGE, FLAT = (GlobalAvgPool(), Dense(1.1, 0.1)), (Flatten(), Dense(1.1, 0.1))
SQRT = {"weights": "identity", "scaling": "sqrt"}
DECAY = ExponentialDecay(2.5)


@cache
def tables() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "positions.npz") as found:
        return dict(found)


def recorded(name: str) -> dict[str, np.ndarray]:
    return {key: tables()[f"{name}/{key}"] for key in ("x1", "x2", *TABLES)}


def conv(filter: int = 3) -> Conv:
    return Conv(filter, 1.3, 0.2)


def attention(**settings: object) -> SelfAttention:
    return SelfAttention(0.9, 1.1, 1.2, 1.3, 0.1, **settings)


def _attending(**settings: object) -> Layer:
    return Serial(conv(), ERF, attention(**settings), ERF, *AVERAGE)


def _resized(head: tuple[Layer, ...], *settings: object, **others: object) -> Layer:
    return Serial(conv(), ERF, conv(), ERF, Resize(*settings, **others), conv(), ERF, *head)


def _embedded(values: bool) -> dict[str, Layer]:
    what = {"embedded_values": values, "w_position_std": 0.8}
    near = {"position_decay": DECAY, "position_norm": 1.0}
    end = "_values" if values else ""
    return {
        "added" + end: _attending(**what),
        "beside" + end: _attending(position_share=0.75, position_decay=DECAY, **what),
        "sqrt_added" + end: _attending(**near, **what, **SQRT),
        "sqrt_beside" + end: _attending(position_share=0.5, **what, **SQRT),
    }


def networks() -> dict[str, Layer]:
    graph = Aggregate(tables()["adjacency"])
    along = Aggregate(tables()["adjacency_axis"], axis=1)
    own = Aggregate()
    return {
        **{f"attention_{w}": _attending(weights=w) for w in ("softmax", "identity", "relu", "abs")},
        "attention_sequence": Serial(conv(), RELU, attention(), RELU, *FLAT),
        "attention_sqrt": _attending(**SQRT),
        **_embedded(False),
        **_embedded(True),
        "resize_nearest": _resized(FLAT, (5, 3)),
        "resize_linear_up": _resized(AVERAGE, (5, 6), "linear"),
        "resize_linear_down": _resized(FLAT, (3, 2), "linear"),
        "resize_linear_aliased": _resized(AVERAGE, (3, 2), "linear", antialias=False),
        "slices": Serial(conv(), ERF, Slice(slice(1, None), (None, None, -2)), conv(2), ERF, *FLAT),
        "aggregate": Serial(conv(1), RELU, graph, conv(1), ERF, graph, *AVERAGE),
        "aggregate_axis": Serial(conv(), ERF, along, conv(), ERF, *FLAT),
        "own_graphs": Serial(
            GraphInput(), own, conv(1), RELU, own, conv(1), ERF, GlobalSumPool(), Dense(1.1, 0.1)
        ),
    }
