"""Ridge, noise and time in docs/conventions.md, against neural-tangents and scikit-learn."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from markdown_pages import ROOT, run
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel
from sklearn.kernel_ridge import KernelRidge

from ntk_sklearn import NNGPRegressor, NTKRegressor
from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import Activation, Dense, FullyConnected, Serial

# The network of tests/golden/predictions.json, recorded with neural-tangents 0.6.5.
HIDDEN = Dense(math.sqrt(2.0), 0.1)
RECORDED = Serial(HIDDEN, Activation(), HIDDEN, Activation(), Dense(1.0, 0.05))


@pytest.fixture(scope="module")
def golden():
    with np.load(ROOT / "tests" / "golden" / "predictions.npz") as tables:
        return dict(tables)


@pytest.fixture(scope="module")
def docs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "conventions", None)
        yield run(ROOT / "docs" / "conventions.md", "conventions")


@pytest.mark.parametrize("reg", [0.0, 1e-3])
def test_diag_reg_is_alpha(golden, reg):
    model = NTKRegressor(RECORDED, alpha=reg, normalize_y=False)
    found = model.fit(golden["X_train"], golden["y_train"]).predict(golden["X_test"])
    expected = golden[f"ensemble/ntk/reg={reg}/t=None/mean"]
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("reg", [0.0, 1e-3])
def test_noise_is_diag_reg_times_the_mean_diagonal(golden, reg):
    noise = reg * NNGP(RECORDED).diag(golden["X_train"]).mean()
    model = NNGPRegressor(RECORDED, noise=noise, normalize_y=False)
    model.fit(golden["X_train"], golden["y_train"])
    mean, cov = model.predict(golden["X_test"], return_cov=True)
    expected = f"ensemble/nngp/reg={reg}/t=None/"
    np.testing.assert_allclose(mean, golden[expected + "mean"], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(cov[..., 0], golden[expected + "cov"], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("t", [0.5, 5.0, 50.0, 5000.0])
def test_time_of_gradient_flow(docs, golden, t):
    kernel = NTK(RECORDED)
    theta = kernel(golden["X_train"])
    theta_new = kernel(golden["X_test"], golden["X_train"])
    y, f0, f0_new = (golden[name] for name in ("y_train", "f0_train", "f0_test"))
    found = docs.trained_in_neural_tangents(theta, theta_new, y, f0, f0_new, t)
    expected = golden[f"flow_mse/t={t}/test"]
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def toy() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3))
    return X, np.sin(X[:, 0]) + 5.0, rng.standard_normal((7, 3))


def test_alpha_is_in_units_of_the_mean_diagonal():
    X, y, new = toy()
    kernel = NTK(FullyConnected(2))
    theirs = KernelRidge(alpha=0.3, kernel="precomputed").fit(kernel(X), y)
    alpha = 0.3 / kernel.diag(X).mean()
    ours = NTKRegressor(FullyConnected(2), alpha=alpha, normalize_y=False).fit(X, y)
    assert ours.ridge_ == pytest.approx(0.3)
    np.testing.assert_allclose(ours.predict(new), theirs.predict(kernel(new, X)), rtol=1e-11)


@pytest.mark.parametrize("normalize_y", [False, True])
def test_noise_is_a_variance_in_units_of_y(normalize_y):
    X, y, new = toy()
    scale = y.std() if normalize_y else 1.0  # scikit-learn adds alpha to normalized targets
    kernel = NNGP(FullyConnected(2))
    theirs = GaussianProcessRegressor(
        kernel, alpha=0.3 / scale**2, optimizer=None, normalize_y=normalize_y
    )
    ours = NNGPRegressor(FullyConnected(2), noise=0.3, normalize_y=normalize_y)
    expected = theirs.fit(X, y).predict(new, return_std=True)
    for found, value in zip(ours.fit(X, y).predict(new, return_std=True), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-10)


def test_noise_is_the_level_of_a_white_kernel():
    X, y, new = toy()
    kernel = NNGP(FullyConnected(2)) + WhiteKernel(0.3)
    theirs = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(X, y)
    ours = NNGPRegressor(FullyConnected(2), noise=0.3, normalize_y=False).fit(X, y)
    np.testing.assert_allclose(ours.predict(new), theirs.predict(new), rtol=1e-10)
    evidence = theirs.log_marginal_likelihood_value_
    assert ours.log_marginal_likelihood_value_ == pytest.approx(evidence, rel=1e-10)
