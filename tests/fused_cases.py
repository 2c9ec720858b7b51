"""Parts of networks, and inputs with all kinds of pairs, for the tests of the fused engine."""

from __future__ import annotations

from math import prod

import numpy as np

from ntk_sklearn.architecture import (
    Activation,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    Serial,
    Sum,
    residual,
)
from ntk_sklearn.duals import (
    GELU,
    RBF,
    ABReLU,
    Abs,
    Cos,
    Erf,
    Exp,
    Gaussian,
    LeakyReLU,
    Linear,
    Sin,
)

RELU = Activation()
W = 2**0.5


def conv(filter=3, w_std=W, b_std=0.1, **options) -> Conv:
    return Conv(filter, w_std, b_std, **options)


def block(*args, **options) -> Serial:
    """A convolution and a relu."""
    return Serial(conv(*args, **options), RELU)


def pooled(*layers: Layer) -> Serial:
    return Serial(*layers, GlobalAvgPool(), Dense())


def flat(*layers: Layer) -> Serial:
    return Serial(*layers, Flatten(), Dense())


def skip(*layers: Layer, shortcut: Layer | None = None) -> Sum:
    """A pre-activation block."""
    return residual(Serial(RELU, *layers), shortcut)


LINE, SQUARE, ODD = (2, 7), (2, 4, 4), (3, 7, 5)
CIRCULAR = {"padding": "circular"}
BEHIND = (  # layers behind a head
    Dense(1.3, 0.2),
    residual(Serial(RELU, Dense(1.2, 0.1), Activation(Erf()), Dense(0.7, 0.3))),
    RELU,
    Dense(1.1, 0.4, lr_multiplier=0.3),
)

# One function of every kind.
FUNCTIONS = {
    "leaky": LeakyReLU(0.2),
    "abrelu": ABReLU(0.5, -0.7),
    "abs": Abs(),
    "erf": Erf(),
    "gelu": GELU(),
    "sin": Sin(0.7, 1.3, 0.4),
    "cos": Cos(),
    "rbf": RBF(0.3),
    "gaussian": Gaussian(),
    "linear": Linear(),
    "exp": Exp(0.5, 0.4),
}


def pictures(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Images of which many are alike, (9, *shape)."""
    X = np.random.default_rng(seed).standard_normal((9, *shape))
    X[1], X[2], X[3], X[4] = X[0], 2.7 * X[0], -0.6 * X[0], 0.0
    X[5] = X[5].mean(tuple(range(1, len(shape))), keepdims=True) + 0.5  # constant
    X[6] = X[5]
    X[6].reshape(-1)[(seed + prod(shape) // 2) % prod(shape)] -= 0.7  # one number differs
    return X


def rows(n_features: int, seed: int = 0) -> np.ndarray:
    """Rows of which many are alike; none at angles between 1e-3 and rounding."""
    X = np.random.default_rng(seed).standard_normal((9, n_features))
    X[1], X[2], X[3], X[4] = X[0], 2.7 * X[0], -0.6 * X[0], 0.0
    X[5] = 1.0
    return X


def near_rows(n_features: int, seed: int = 0) -> np.ndarray:
    """Rows at angles from 1e-9 to 1e-2 from the first one, or from its opposite."""
    rng = np.random.default_rng(seed)
    x, other = rng.standard_normal((2, n_features))
    other -= (other @ x) / (x @ x) * x
    other *= np.linalg.norm(x) / np.linalg.norm(other)
    angles = np.concatenate([[0.0], np.geomspace(1e-9, 1e-2, 8)])
    near = np.cos(angles)[:, None] * x + np.sin(angles)[:, None] * other
    return np.concatenate([near, -1.7 * near])
