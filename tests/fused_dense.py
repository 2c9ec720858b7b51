"""Networks without positions, for the tests of the fused engine."""

from __future__ import annotations

from fused_cases import FUNCTIONS, RELU, W, skip

from ntk_sklearn.architecture import (
    Activation,
    Concat,
    Dense,
    Flatten,
    Identity,
    Layer,
    Serial,
    residual,
)
from ntk_sklearn.duals import Abs, LeakyReLU


def _dense(function="relu", depth: int = 3, b_std: float = 0.1, w_std: float = W) -> Serial:
    return Serial(*[Dense(w_std, b_std), Activation(function)] * depth, Dense())


_WIDE = skip(Dense(W, 0.1), RELU, Dense(0.7, 0.2))
DENSE: dict[str, Layer] = {name: _dense(f, 3, 0.3, 0.9) for name, f in FUNCTIONS.items()} | {
    "depth 0": Serial(Dense(1.2, 0.3)),
    "nothing at all": Serial(),
    "identity": Identity(),
    "depth 1": _dense(depth=1),
    "depth 3": _dense(),
    "depth 10, no bias": _dense(depth=10, b_std=0.0),
    "depth 20": _dense(depth=20),
    "depth 20, erf": _dense("erf", 20, 0.3, 1.2),
    "rates": Serial(
        Dense(W, 0.3, lr_multiplier=0.0), RELU, Dense(W, lr_multiplier=0.3, bias_ntk=0.7), RELU,
        Dense(),
    ),
    "no weights": Serial(Dense(W), RELU, Dense(0.0, 0.3), RELU, Dense()),
    "residual": Serial(Dense(W, 0.1), _WIDE, _WIDE, RELU, Dense()),
    "residual, no bias": Serial(Dense(W), skip(Dense(W)), skip(Dense(W)), RELU, Dense()),
    "residual, projected": Serial(Dense(), skip(Dense(W), shortcut=Dense(0.5)), RELU, Dense()),
    "residual, erf": Serial(
        Dense(), residual(Serial(Activation("erf"), Dense())), RELU, Dense(), RELU, Dense()
    ),
    "concat": Serial(
        Dense(W, 0.1), Concat(Serial(RELU, Dense()), Activation("erf"), shares=(2, 5)), Dense(),
        RELU, Dense(),
    ),
    "concat, one": Serial(Dense(W, 0.1), Concat(RELU), Dense(), RELU, Dense()),
    "flatten": Serial(Flatten(), Dense(), RELU, Dense()),
    "kinks": Serial(
        Dense(W, 0.1), RELU, Dense(), Activation("erf"), Dense(), Activation(Abs()),
        Dense(1.0, 0.5), Activation(LeakyReLU(0.1)), Dense(),
    ),
}  # fmt: skip
