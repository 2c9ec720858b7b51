from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn import NTKRegressor
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import Convolutional, FullyConnected

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(25, 4)), rng.normal(size=(6, 4))
Y = np.column_stack([np.sin(X[:, 0]), 50.0 * X[:, 1] + 7.0])
y = Y[:, 0]
CASES = {"dense": (FullyConnected(2), None), "images": (Convolutional(1), (1, 2, 2))}
each = pytest.mark.parametrize("case", CASES)


def make(case, **options):
    network, image_shape = CASES[case]
    return NTKRegressor(network, image_shape=image_shape, **options)


def kernel_of(case):
    network, image_shape = CASES[case]
    return NTK(network, image_shape=image_shape)


# The formula


@each
@pytest.mark.parametrize("alpha", [0.0, 1e-4, 0.5])
def test_prediction_is_kernel_regression_with_a_relative_ridge(case, alpha):
    k = kernel_of(case)
    K = k(X)
    system = K + alpha * np.trace(K) / len(X) * np.eye(len(X))
    mean = y.mean()
    expected = mean + k(Z, X) @ np.linalg.solve(system, y - mean)
    found = make(case, alpha=alpha).fit(X, y)
    np.testing.assert_allclose(found.predict(Z), expected, rtol=1e-8)
    assert found.ridge_ == pytest.approx(alpha * np.trace(K) / len(X))
    assert found.y_mean_ == pytest.approx(mean)


@each
def test_without_normalization_nothing_is_added(case):
    found = make(case, alpha=0.1, normalize_y=False).fit(X, Y)
    np.testing.assert_array_equal(found.y_mean_, 0.0)
    np.testing.assert_allclose(found.predict(Z), kernel_of(case)(Z, X) @ found.dual_coef_)


def test_without_ridge_it_interpolates():
    found = NTKRegressor(alpha=0).fit(X, Y)
    np.testing.assert_allclose(found.predict(X), Y, rtol=1e-8, atol=1e-10)
    assert found.jitter_ == 0.0


def test_each_output_is_its_own_regression():
    together = NTKRegressor().fit(X, Y).predict(Z)
    alone = [NTKRegressor().fit(X, Y[:, k]).predict(Z) for k in (0, 1)]
    np.testing.assert_allclose(together, np.column_stack(alone), rtol=1e-10)


def test_scale_of_the_kernel_does_not_matter():
    expected = NTKRegressor(FullyConnected(2), alpha=0.1).fit(X, y).predict(Z)
    scaled = NTKRegressor(FullyConnected(2, readout_w_std=7.0), alpha=0.1).fit(X, y)
    np.testing.assert_allclose(scaled.predict(Z), expected, rtol=1e-10)


# Weights


@each
@pytest.mark.parametrize("alpha", [1e-4, 0.1])
@pytest.mark.parametrize("normalize_y", [True, False])
def test_integer_weights_are_repetitions_and_zero_is_absence(case, alpha, normalize_y):
    weight = np.arange(25) % 4
    model = make(case, alpha=alpha, normalize_y=normalize_y)
    weighted = model.fit(X, Y, weight).predict(Z)
    repeated = model.fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight, axis=0)).predict(Z)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-7)


def test_common_factor_of_weights_does_not_matter_without_ridge():
    found = [NTKRegressor(alpha=0).fit(X, y, np.full(25, w)).predict(Z) for w in (1.0, 7.0)]
    np.testing.assert_allclose(*found, rtol=1e-10)


def test_heavier_rows_are_fitted_better():
    weight = np.where(np.arange(25) < 5, 100.0, 1.0)
    plain, weighted = (NTKRegressor(alpha=1.0).fit(X, y, w) for w in (None, weight))
    assert np.abs(weighted.predict(X[:5]) - y[:5]).max() < 0.1 * np.abs(
        plain.predict(X[:5]) - y[:5]
    ).max()  # fmt: skip
