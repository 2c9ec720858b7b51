"""Published facts about infinitely wide networks."""

from __future__ import annotations

import numpy as np
import pytest
from reference_kernels import diagonals, kernels

from ntk_sklearn.architecture import Activation, Dense, Layer, Serial
from ntk_sklearn.duals import LeakyReLU

# Correlations behind `depth` ReLU layers without biases, for inputs with cosine 0.3.
NNGP = {1: 0.482744, 2: 0.597548, 3: 0.675821, 5: 0.774344, 10: 0.884430}
NTK = {1: 0.330920, 2: 0.344867, 3: 0.351008, 5: 0.353167, 10: 0.342980}
NTK |= {30: 0.307454, 100: 0.274824, 300: 0.260066, 1000: 0.253521, 2000: 0.251896}


def network(depth: int, activation="relu", w_std: float = 2**0.5, readout=None) -> Layer:
    last = Dense(w_std if readout is None else readout)
    return Serial(*[Dense(w_std), Activation(activation)] * depth, last)


def unit_vectors(cosine: float) -> np.ndarray:
    return np.array([[1.0, 0.0], [cosine, np.sqrt(1.0 - cosine**2)]])


def correlations(depth: int, **settings) -> list[float]:
    found = kernels(network(depth, **settings), unit_vectors(0.3))
    return [K[0, 1] / np.sqrt(K[0, 0] * K[1, 1]) for K in found]


@pytest.mark.parametrize("depth", NTK)
def test_correlations_by_depth(depth):
    nngp, ntk = correlations(depth)
    assert ntk == pytest.approx(NTK[depth], abs=5.1e-7)
    if depth in NNGP:
        assert nngp == pytest.approx(NNGP[depth], abs=5.1e-7)


def test_correlations_approach_one_like_the_inverse_square_of_depth():
    nngp, _ = correlations(2000)
    assert (1.0 - nngp) / (9.0 * np.pi**2 / (2.0 * 2000**2)) == pytest.approx(0.983, abs=5e-4)


@pytest.mark.parametrize("w_std", [0.3, 1.5**0.5, 2.5**0.5, 7.0])
def test_correlations_do_not_depend_on_the_scale_of_weights(w_std):
    np.testing.assert_allclose(correlations(5, w_std=w_std), correlations(5), rtol=1e-13)


@pytest.mark.parametrize("cosine", [-1.0, -0.99, -0.3, 0.0, 0.3, 0.99, 1.0])
def test_one_hidden_layer(cosine):
    # Bietti and Mairal (2019): u kappa_0(u) + kappa_1(u) on the unit sphere
    angle = np.arccos(cosine)
    kappa_0 = (np.pi - angle) / np.pi
    kappa_1 = (cosine * (np.pi - angle) + np.sqrt(1.0 - cosine**2)) / np.pi
    X = unit_vectors(cosine) * np.sqrt(2.0)  # products are divided by the two features
    nngp, ntk = kernels(Serial(Dense(), Activation("relu"), Dense(2**0.5)), X)
    assert nngp[0, 1] == pytest.approx(kappa_1, abs=1e-14)
    assert ntk[0, 1] == pytest.approx(cosine * kappa_0 + kappa_1, abs=1e-14)


@pytest.mark.parametrize("depth", [1, 2, 7, 30])
def test_variance_is_kept_and_the_tangent_kernel_grows_by_one_per_layer(depth):
    X = np.random.default_rng(0).standard_normal((4, 3))
    nngp, ntk = diagonals(network(depth), X)
    np.testing.assert_allclose(nngp, 2.0 * (X**2).mean(1), rtol=1e-13)
    np.testing.assert_allclose(ntk, (depth + 1) * nngp, rtol=1e-13)


@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize("w_std", [1.0, 1.3])
def test_linear_networks(depth, w_std):
    X = np.random.default_rng(0).standard_normal((4, 3))
    nngp, ntk = kernels(network(depth, "identity", w_std), X)
    np.testing.assert_allclose(nngp, w_std ** (2 * depth + 2) * X @ X.T / 3, rtol=1e-13)
    np.testing.assert_allclose(ntk, (depth + 1) * nngp, rtol=1e-13)


def test_leaky_relu_between_relu_and_linear():
    X = np.random.default_rng(0).standard_normal((4, 3))
    for slope, name in ((0.0, "relu"), (1.0, "identity"), (-1.0, "abs")):
        leaky, known = kernels(network(3, LeakyReLU(slope)), X), kernels(network(3, name), X)
        np.testing.assert_allclose(leaky, known, rtol=1e-12, atol=1e-14)


def test_learning_rates_of_the_layers():
    # the readout alone gives the NNGP kernel, frozen weights drop out, rates are linear
    X = np.random.default_rng(0).standard_normal((4, 3))

    def ntk(first: float, last: float, **settings: float) -> np.ndarray:
        ends = Dense(1.2, 0.3, lr_multiplier=first), Dense(1.1, 0.2, lr_multiplier=last, **settings)
        return kernels(Serial(ends[0], Activation("relu"), ends[1]), X).ntk

    trained = kernels(Serial(Dense(1.2, 0.3), Activation("relu"), Dense(1.1, 0.2)), X)
    np.testing.assert_allclose(ntk(0.0, 1.0), trained.nngp, rtol=1e-14)
    np.testing.assert_allclose(ntk(0.0, 0.0), 0.0 * X @ X.T)
    np.testing.assert_allclose(ntk(1.0, 0.0) + ntk(0.0, 1.0), trained.ntk, rtol=1e-14)
    np.testing.assert_allclose(ntk(3.0, 2.0), 3.0 * ntk(1.0, 0.0) + 2.0 * ntk(0.0, 1.0))
    np.testing.assert_allclose(ntk(1.0, 1.0, bias_ntk=1.0), trained.ntk + 1.0 - 0.2**2)


def test_standard_parametrization():
    # weights of rate fan_in / w_std^2 and biases of rate 1 / b_std^2: N K + w^2 Theta T' + 1
    # (Sohl-Dickstein et al. 2020)
    X, width = np.random.default_rng(0).standard_normal((4, 3)), 64
    first = Dense(1.2, 0.3, lr_multiplier=3 / 1.2**2, bias_ntk=1.0)
    tree = Serial(
        first, Activation("relu"), Dense(1.1, 0.2, lr_multiplier=width / 1.1**2, bias_ntk=1.0)
    )
    theta = X @ X.T + 1.0
    K = 1.2**2 * X @ X.T / 3 + 0.3**2
    scale = np.sqrt(np.outer(K.diagonal(), K.diagonal()))
    angle = np.arccos(np.clip(K / scale, -1.0, 1.0))
    np.fill_diagonal(angle, 0.0)
    slope = 0.5 - angle / (2 * np.pi)
    T = scale * np.sin(angle) / (2 * np.pi) + slope * K
    expected = width * T + 1.1**2 * theta * slope + 1.0
    np.testing.assert_allclose(kernels(tree, X).ntk, expected, rtol=1e-13)
