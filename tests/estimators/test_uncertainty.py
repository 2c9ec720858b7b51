"""Spread of trained networks, Bayesian deep ensembles, and functions drawn from both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntk_sklearn import NNGPRegressor, NTKRegressor
from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import Activation, Dense, FullyConnected, Serial

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "predictions.npz")
SQRT2 = 2.0**0.5
NETWORK = Serial(
    Dense(SQRT2, 0.1), Activation("relu"), Dense(SQRT2, 0.1), Activation("relu"), Dense(1.0, 0.05)
)
X, Y, Z = GOLDEN["X_train"], GOLDEN["y_train"], GOLDEN["X_test"]


def regressor(**options):
    return NTKRegressor(NETWORK, **({"normalize_y": False} | options))


@pytest.mark.parametrize("reg", [0.0, 0.001])
@pytest.mark.parametrize("t", [0.5, 5.0, 50.0, 5000.0, None])
def test_spread_of_an_ensemble_against_neural_tangents(reg, t):
    time = np.inf if t is None else t
    model = regressor(alpha=reg, t=time, loss_scale="mean").fit(X, Y)
    recorded = GOLDEN[f"ensemble/ntk/reg={reg}/t={t}/cov"]
    _, cov = model.predict(Z, return_cov=True)
    assert cov.shape == (len(Z), len(Z), 2)
    for output in range(2):
        assert np.abs(cov[..., output] - recorded).max() < 1e-10 * np.abs(recorded).max()
    _, std = model.predict(Z, return_std=True)
    np.testing.assert_allclose(std[:, 0] ** 2, np.diag(recorded), rtol=1e-8)


@pytest.mark.parametrize("alpha", [0.0, 1e-3])
@pytest.mark.parametrize(
    "uncertainty, t", [("ensemble", 3.0), ("ensemble", np.inf), ("ntkgp", np.inf)]
)
def test_spread_at_another_time_than_that_of_the_fit(alpha, uncertainty, t):
    late = regressor(alpha=alpha, uncertainty=uncertainty).fit(X, Y)
    now = regressor(alpha=alpha, uncertainty=uncertainty, t=t).fit(X, Y)
    for found, expected in zip(
        late.predict(Z, t=t, return_cov=True), now.predict(Z, return_cov=True), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


def test_bayesian_deep_ensemble_is_the_posterior_with_the_tangent_kernel():
    model = regressor(alpha=0.01, uncertainty="ntkgp").fit(X, Y)
    kernel = NTK(NETWORK)
    A = kernel(Z, X) @ np.linalg.inv(kernel(X) + model.ridge_ * np.eye(len(X)))
    mean, cov = model.predict(Z, return_cov=True)
    np.testing.assert_allclose(mean, A @ Y, rtol=1e-9)
    np.testing.assert_allclose(cov[..., 1], kernel(Z) - A @ kernel(X, Z), rtol=1e-7, atol=1e-10)
    _, noisy = model.predict(Z, return_std=True, include_noise=True)
    np.testing.assert_allclose(noisy[:, 0] ** 2, np.diag(cov[..., 0]) + model.ridge_, rtol=1e-9)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_order_of_the_three_covariances(depth, seed):
    """cov(NNGP) <= cov(ensemble) <= cov(NTK-GP): without noise, at t = inf, with rates of 1."""
    rng = np.random.default_rng(seed)
    rows, new, y = rng.normal(size=(8, 3)), rng.normal(size=(6, 3)), rng.normal(size=8)
    network = FullyConnected(depth)
    bayes, ensemble, ntkgp = (
        model.fit(rows, y).predict(new, return_cov=True)[1]
        for model in (
            NNGPRegressor(network, noise=1e-12, normalize_y=False),
            NTKRegressor(network, alpha=0, normalize_y=False),
            NTKRegressor(network, alpha=0, uncertainty="ntkgp", normalize_y=False),
        )
    )
    for less, more in ((bayes, ensemble), (ensemble, ntkgp)):
        gap = np.linalg.eigvalsh(more - less)
        assert gap[0] > -1e-9 * gap[-1]
        assert gap[-1] > 1e-3 * np.trace(more)


def test_the_order_needs_its_hypotheses():
    """With a ridge trained networks can be surer of each other than the posterior is."""
    rng = np.random.default_rng(0)
    rows, new, y = rng.normal(size=(8, 3)), rng.normal(size=(6, 3)), rng.normal(size=8)
    ensemble = NTKRegressor(alpha=0.1, normalize_y=False).fit(rows, y)
    bayes = NNGPRegressor(noise=ensemble.ridge_, normalize_y=False).fit(rows, y)
    covariances = [m.predict(new, return_cov=True)[1] for m in (bayes, ensemble)]
    assert np.linalg.eigvalsh(covariances[1] - covariances[0])[0] < -0.01


@pytest.mark.parametrize("t", [0.2, 5.0, np.inf])
@pytest.mark.parametrize("alpha", [0.0, 1e-2])
def test_training_the_readout_alone_is_regression_with_the_nngp(t, alpha):
    """The tangent kernel of a network with frozen hidden layers is its NNGP."""
    frozen = Serial(
        Dense(SQRT2, 0.1, lr_multiplier=0, bias_ntk=0), Activation("relu"), Dense(1.0, 0.05)
    )
    free = Serial(Dense(SQRT2, 0.1), Activation("relu"), Dense(1.0, 0.05))
    model = NTKRegressor(frozen, alpha=alpha, t=t, normalize_y=False).fit(X, Y)
    K = NNGP(free)
    modes, vectors = np.linalg.eigh(K(X))
    shifted = modes + model.ridge_
    learned = np.ones_like(modes) if np.isinf(t) else -np.expm1(-shifted * t)
    expected = K(Z, X) @ (vectors * (learned / shifted)) @ vectors.T @ Y
    np.testing.assert_allclose(model.predict(Z), expected, rtol=1e-7, atol=1e-9)
    explained = (vectors * ((1 - np.exp(-2 * modes * t)) / modes)) @ vectors.T
    if alpha == 0:  # the exponent of the variance has a factor 2
        cov = model.predict(Z, return_cov=True)[1][..., 0]
        expected = K(Z) - K(Z, X) @ explained @ K(X, Z)
        np.testing.assert_allclose(cov, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("layers", [2, 4])
def test_linear_networks_predict_alike_with_both_kernels(layers):
    """Theta = layers K without biases: the same mean after alpha and t are rescaled."""
    network = Serial(*(Dense(1.3, 0.0) for _ in range(layers)))
    theta, K = NTK(network)(X), NNGP(network)(X)
    np.testing.assert_allclose(theta, layers * K, rtol=1e-12)
    noise = 1e-3 * np.trace(K) / len(X)  # alpha is relative: the same number for both
    bayes = NNGPRegressor(network, noise=noise, normalize_y=False).fit(X, Y)
    np.testing.assert_allclose(
        NTKRegressor(network, alpha=1e-3, normalize_y=False).fit(X, Y).predict(Z),
        bayes.predict(Z),
        rtol=1e-8,
    )


@pytest.mark.parametrize("options", [{}, {"t": 2.0}, {"uncertainty": "ntkgp"}], ids=str)
@pytest.mark.parametrize("normalize_y", [True, False])
def test_drawn_functions_have_the_predicted_moments(options, normalize_y):
    model = regressor(normalize_y=normalize_y, **options).fit(X, 5.0 + 3.0 * Y)
    draws = model.sample_y(Z, 20000, random_state=0)
    assert draws.shape == (len(Z), 2, 20000)
    mean, cov = model.predict(Z, return_cov=True)
    for k in range(2):
        found = draws[:, k]
        error = np.sqrt(np.diag(cov[..., k]) / 20000)
        assert (np.abs(found.mean(axis=1) - mean[:, k]) < 5 * error).all()
        scale = np.sqrt(np.outer(np.diag(cov[..., k]), np.diag(cov[..., k])))
        assert (np.abs(np.cov(found) - cov[..., k]) < 0.05 * scale).all()


def test_drawn_functions_of_one_output_are_reproducible():
    model = regressor(random_state=3).fit(X, Y[:, 0])
    assert model.sample_y(Z).shape == (len(Z), 1)
    np.testing.assert_array_equal(model.sample_y(Z, 4), model.sample_y(Z, 4))
    assert (model.sample_y(Z, 4, random_state=4) != model.sample_y(Z, 4)).any()
    np.testing.assert_array_equal(model.sample_y(Z, 2, t=0.1), model.sample_y(Z, 2, t=0.1))


@pytest.mark.parametrize(
    "options, at, message",
    [
        ({"uncertainty": None}, {"return_std": True}, "uncertainty='ensemble' or 'ntkgp'"),
        ({"initial": "random"}, {"return_std": True}, "initial='zero'"),
        ({"loss": "huber", "t": 1.0}, {"return_cov": True}, "loss='squared'"),
        ({}, {"return_std": True, "t": [1.0, 2.0]}, "at one time t"),
        ({}, {"return_std": True, "return_cov": True}, "at most one"),
        ({"uncertainty": "ntkgp", "t": 1.0}, {"return_std": True}, "needs t=inf"),
        ({"uncertainty": "ntkgp"}, {"return_std": True, "t": 1.0}, "needs t=inf"),
        ({}, {"return_std": True, "include_noise": True}, "include_noise"),
        ({"uncertainty": "ntkgp"}, {"include_noise": True}, "include_noise"),
    ],
    ids=str,
)
def test_error_bars_that_do_not_exist(options, at, message):
    model = regressor(**options).fit(X, Y)
    with pytest.raises(ValueError, match=message):
        model.predict(Z, **at)


def test_bad_uncertainty():
    with pytest.raises(ValueError, match="uncertainty must be 'ensemble', 'ntkgp' or None"):
        regressor(uncertainty="bayes").fit(X, Y)


def test_nothing_is_kept_for_error_bars_that_are_not_wanted():
    lean, full = regressor(uncertainty=None).fit(X, Y), regressor().fit(X, Y)
    assert lean.L_.size == lean.nngp_train_.size == 0
    assert full.L_.shape == (12, 12)
    np.testing.assert_array_equal(lean.predict(Z), full.predict(Z))


def test_weights_are_repetitions_for_error_bars():
    weight = np.arange(len(X)) % 4
    options = {"alpha": 1e-2, "normalize_y": True}
    weighted = regressor(**options).fit(X, Y, weight).predict(Z, return_std=True)
    repeated = regressor(**options).fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight, axis=0))
    for found, expected in zip(weighted, repeated.predict(Z, return_std=True), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8)


@parametrize_with_checks([NTKRegressor(uncertainty="ntkgp"), NTKRegressor(uncertainty=None)])
def test_conformance(estimator, check):
    check(estimator)
