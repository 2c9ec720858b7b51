"""Leave-one-out of the Bayesian regressor against refits without the row."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from ntk_sklearn import NNGPRegressor
from ntk_sklearn.kernels import NNGP, NetworkKernel
from ntk_sklearn.networks import FullyConnected

rng = np.random.default_rng(0)
N = 14
X = rng.normal(size=(N, 3))
EQUAL = X[[0, 1, 2, 0, 3, 4, 0, 5, 6, 2, 7, 8, 9, 10]]
Y = rng.normal(size=(N, 2)) * [1.0, 30.0]
WEIGHT = rng.uniform(0.2, 3.0, N)
NETWORK = FullyConnected(2)
NOISES = {"one": 0.3, "per row": np.linspace(0.1, 2.0, N)}


def refits(rows, y, noise, weight):
    """Mean and std of every row of positive weight, from fits without it."""
    for i in np.flatnonzero(weight):
        others = np.arange(N) != i
        kept = noise[others] if np.ndim(noise) else noise
        model = NNGPRegressor(NETWORK, noise=kept, normalize_y=False)
        mean, std = model.fit(rows[others], y[others], weight[others]).predict(
            rows[i : i + 1], return_std=True
        )
        own = (noise[i] if np.ndim(noise) else noise) / weight[i]
        yield mean[0], np.sqrt(std[0] ** 2 + own)


@pytest.mark.parametrize("rows", [X, EQUAL], ids=["distinct", "equal rows"])
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("weight", [np.ones(N), WEIGHT, np.arange(N) % 3], ids=["1", "w", "0"])
@pytest.mark.parametrize("y", [Y[:, 0], Y], ids=["one", "two"])
def test_is_a_refit_without_the_row(rows, noise, weight, y):
    model = NNGPRegressor(NETWORK, noise=NOISES[noise], normalize_y=False).fit(rows, y, weight)
    found = model.leave_one_out()
    mean, std = map(np.array, zip(*refits(rows, y, NOISES[noise], weight), strict=True))
    np.testing.assert_allclose(found.mean, mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.std, std, rtol=1e-9)
    density = norm(mean, std).logpdf(y[weight > 0])
    np.testing.assert_allclose(found.log_density, density, rtol=1e-9, atol=1e-9)


def test_intercept_and_scale_are_held_fixed():
    scale, center = Y.std(axis=0), Y.mean(axis=0)
    found = NNGPRegressor(NETWORK, noise="auto").fit(EQUAL, Y).leave_one_out()
    alone = NNGPRegressor(NETWORK, noise="auto", normalize_y=False)
    expected = alone.fit(EQUAL, (Y - center) / scale).leave_one_out()
    np.testing.assert_allclose(found.mean, expected.mean * scale + center, rtol=1e-9)
    np.testing.assert_allclose(found.std, expected.std * scale, rtol=1e-9)
    np.testing.assert_allclose(found.log_density, expected.log_density - np.log(scale), rtol=1e-9)


def test_outputs_of_different_noise_are_as_if_alone():
    together = NNGPRegressor(NETWORK, noise=0.5).fit(EQUAL, Y, WEIGHT).leave_one_out()
    for k in (0, 1):
        alone = NNGPRegressor(NETWORK, noise=0.5).fit(EQUAL, Y[:, k], WEIGHT).leave_one_out()
        for value, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(value[:, k], expected, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:the evidence is largest at a bound")
def test_kernel_is_not_evaluated(monkeypatch):
    model = NNGPRegressor(NETWORK, optimizer="lbfgs", scale_bounds={"w_std": "fixed"})
    model.fit(X[:8], np.sin(X[:8, 0]) + X[:8, 1])
    monkeypatch.delattr(NetworkKernel, "matrix")
    assert np.isfinite(model.leave_one_out().log_density).all()


def test_precomputed_kernel():
    model = NNGPRegressor("precomputed", noise=0.3).fit(NNGP(NETWORK)(X), Y, WEIGHT)
    expected = NNGPRegressor(NETWORK, noise=0.3).fit(X, Y, WEIGHT).leave_one_out()
    for value, other in zip(model.leave_one_out(), expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-9)


def test_equal_rows_without_noise_have_no_closed_form():
    model = NNGPRegressor(NETWORK, noise=0.0).fit(EQUAL, np.sin(EQUAL[:, 0]))
    with pytest.raises(ValueError, match="positive ridge or noise where rows are equal"):
        model.leave_one_out()
