"""Dense networks against 50-digit arithmetic: errors over sqrt(k(x, x) k(z, z))."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from exact_recursion import errors, exact_kernels
from reference_kernels import kernels

from ntk_sklearn.architecture import (
    Activation,
    Concat,
    Dense,
    Layer,
    Serial,
    check_network,
    residual,
)
from ntk_sklearn.duals import ABReLU, LeakyReLU

ANGLES = (1.5, 1e-1, 1e-2, 1e-3, 1e-5, 1e-7, 1e-9, np.pi - 1e-3, np.pi - 1e-5, np.pi - 1e-7)
MIXED = ("erf", "relu", "identity", "abs", "erf", LeakyReLU(0.3), "relu", "erf", "abs", "relu")


def dense(activations, w_std: float, b_std: float) -> Layer:
    hidden = [layer for a in activations for layer in (Activation(a), Dense(w_std, b_std))]
    return Serial(Dense(w_std, b_std), *hidden)


def residual_network(activation, blocks: int, b_std: float) -> Layer:
    block = residual(Serial(Activation(activation), Dense(1.1, b_std)))
    return Serial(Dense(1.2, b_std), *[block] * blocks, Activation(activation), Dense())


def side_by_side(b_std: float) -> Layer:
    branches = (Serial(Activation(a), Dense(1.1, b_std)) for a in ("relu", "erf"))
    return Serial(Dense(1.2, b_std), Concat(*branches, shares=(3, 1)), dense(["abs"], 1.0, b_std))


NETWORKS = {
    "relu1": lambda b: dense(["relu"], 2**0.5, b),
    "relu10": lambda b: dense(["relu"] * 10, 2**0.5, b),
    "leaky_relu10": lambda b: dense([LeakyReLU(0.2)] * 10, 1.4, b),
    "abs10": lambda b: dense(["abs"] * 10, 1.0, b),
    "steep10": lambda b: dense([ABReLU(-0.5, 1.0)] * 10, 1.2, b),
    "flat10": lambda b: dense([ABReLU(0.99, 1.0)] * 10, 1.0, b),
    "linear10": lambda b: dense(["identity"] * 10, 1.0, b),
    "erf10": lambda b: dense(["erf"] * 10, 1.5, b),
    "erf_abs10": lambda b: dense(["erf"] + ["abs"] * 9, 1.0, b),
    "mixed10": lambda b: dense(MIXED, 1.4, b),
    "residual_relu": lambda b: residual_network("relu", 9, b),
    "residual_abs": lambda b: residual_network("abs", 9, b),
    "residual_erf": lambda b: residual_network("erf", 9, b),
    "residual_linear": lambda b: residual_network("identity", 9, b),
    "concat": side_by_side,
}
each_network = pytest.mark.parametrize("name", NETWORKS)


def rows(n_features: int, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """One row and zero; rows that are equal, parallel, antiparallel, zero and at the angles."""
    rng = np.random.default_rng(0)
    x, e = rng.standard_normal((2, n_features))
    e -= e @ x / (x @ x) * x
    e *= np.linalg.norm(x) / np.linalg.norm(e)
    Z = [f * x for f in (1.0, 2.7, -1.0, -0.6, 0.0)]
    Z += [f * (np.cos(t) * x + np.sin(t) * e) for t in ANGLES for f in (1.0, 1.3)]
    return np.stack([x, 0.0 * x]).astype(dtype), np.stack(Z).astype(dtype)


def worst(network: Layer, n_features: int, dtype: torch.dtype) -> float:
    check_network(network)
    X, Z = rows(n_features, np.float32 if dtype is torch.float32 else np.float64)
    return errors(kernels(network, X, Z, dtype), exact_kernels(network, X, Z)).max()


@pytest.mark.parametrize("b_std", [0.0, 0.5])
@each_network
def test_every_angle(name, b_std):
    # reached: 4e-15; the squared sines that the states carry are exact to rounding
    assert worst(NETWORKS[name](b_std), 12, torch.float64) < 1e-13


@each_network
def test_every_angle_in_single_precision(name):
    # reached: 1e-6
    assert worst(NETWORKS[name](0.0), 12, torch.float32) < 5e-6


@pytest.mark.parametrize("name", ["relu10", "abs10", "residual_linear", "mixed10"])
def test_many_features(name):
    assert worst(NETWORKS[name](0.0), 784, torch.float64) < 1e-13


@pytest.mark.parametrize("exponent", [-16, -12, -8, 8, 16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scale_of_the_inputs(exponent, dtype):
    # variances are representable, products of two of them need not be
    scale = np.float32(10.0**exponent)
    X = (scale * np.random.default_rng(0).standard_normal((4, 5))).astype(np.float32)
    network = NETWORKS["relu10"](0.0)
    found = errors(kernels(network, X, dtype=dtype), exact_kernels(network, X, X))
    assert found.max() < 20 * torch.finfo(dtype).eps
