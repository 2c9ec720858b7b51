"""Learning curves against kernel ridge regression on drawn samples, and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn.inference import (
    funk_hecke,
    gegenbauer,
    kernel_spectrum,
    learning_curve,
    multiplicities,
)
from ntk_sklearn.inference.generalization import implicit_ridge

LEVELS = np.arange(1, 101) ** -1.5
COEFFICIENTS = np.random.default_rng(5).normal(size=100) / np.arange(1, 101)


def errors_on_gaussian_features(n, ridge, noise, n_draws, rng):
    """Test errors without noise, in closed form for each draw, and training errors."""
    test, train = np.empty(n_draws), np.empty(n_draws)
    for draw in range(n_draws):
        features = rng.normal(size=(n, 100))
        y = features @ COEFFICIENTS + np.sqrt(noise) * rng.normal(size=n)
        K = (features * LEVELS) @ features.T
        dual = np.linalg.solve(K + ridge * np.eye(n), y)
        test[draw] = ((LEVELS * (features.T @ dual) - COEFFICIENTS) ** 2).sum()
        train[draw] = ((K @ dual - y) ** 2).mean()
    return test, train


def assert_mean(drawn, expected, corrections):
    """Within four standard errors and the size of what finite n changes; 0 to rounding."""
    allowed = 4 * drawn.std() / np.sqrt(len(drawn)) + corrections * expected
    assert drawn.mean() == pytest.approx(expected, abs=allowed + 1e-20)


@pytest.mark.parametrize("n", [8, 32])
@pytest.mark.parametrize("ridge, noise", [(0.0, 0.0), (1e-3, 0.05), (0.1, 0.1), (5.0, 0.0)])
def test_gaussian_features(n, ridge, noise):
    found = learning_curve([n], LEVELS, COEFFICIENTS**2, ridge=ridge, noise=noise)
    test, train = errors_on_gaussian_features(n, ridge, noise, 400, np.random.default_rng(n))
    assert_mean(test, found.test[0], 1 / n)
    assert_mean(train, found.train[0], 1 / n)


def test_learnability_is_the_mean_coefficient():
    """The mean prediction over draws has the part L_i of every coefficient."""
    n, ridge, rng = 24, 0.05, np.random.default_rng(1)
    found = learning_curve([n], LEVELS, COEFFICIENTS**2, ridge=ridge)
    drawn = []
    for _ in range(1000):
        features = rng.normal(size=(n, 100))
        K = (features * LEVELS) @ features.T + ridge * np.eye(n)
        drawn.append(LEVELS * (features.T @ np.linalg.solve(K, features)).diagonal())
    error = np.std(drawn, axis=0) / np.sqrt(1000)
    left = np.abs(np.mean(drawn, axis=0) - found.learnabilities[0])
    assert (left < 5 * error + 0.01).all()


def test_learnabilities_are_conserved():
    """Without a ridge they sum to n, whatever the kernel (Simon et al. 2023, theorem 3.2)."""
    found = learning_curve([5, 50, 99, 100, 120], LEVELS, 0 * LEVELS)
    sums = found.learnabilities.sum(axis=1)
    np.testing.assert_allclose(sums, [5, 50, 99, 100, 100], rtol=1e-10)
    with_ridge = learning_curve([5, 50, 120], LEVELS, 0 * LEVELS, ridge=0.1)
    assert (with_ridge.learnabilities.sum(axis=1) < [5, 50, 100]).all()


def test_sphere():
    """The ReLU NTK on S^3, a target of three harmonics: eigenvalues with multiplicities, a tail."""
    rng, ridge, noise = np.random.default_rng(0), 0.3, 0.1

    def kernel(cosine):
        a = np.arccos(np.clip(cosine, -1, 1))
        return 2 * np.cos(a) * (1 - a / np.pi) + np.sin(a) / np.pi

    def rows(n):
        x = rng.normal(size=(n, 4))
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    def target(x):
        polynomials = gegenbauer(4, 4, np.arccos(x[:, 0]))
        return sum(np.sqrt((k + 1) ** 2) * polynomials[k] for k in (1, 2, 4))

    spectrum = funk_hecke(lambda a: kernel(np.cos(a)), 4)
    power = np.isin(spectrum.degrees, (1, 2, 4)).astype(float)
    sizes, n_draws = (32, 128, 384), (200, 60, 20)
    counts = multiplicities(4, 60)
    options = {"ridge": ridge, "noise": noise, "tail": spectrum.tail}
    found = learning_curve(sizes, spectrum.resolved, power, counts, **options)
    for n, repeats, expected, fitted in zip(sizes, n_draws, found.test, found.train, strict=True):
        test, train = [], []
        for _ in range(repeats):
            x, z = rows(n), rows(500)
            y = target(x) + np.sqrt(noise) * rng.normal(size=n)
            K = kernel(x @ x.T)
            dual = np.linalg.solve(K + ridge * np.eye(n), y)
            test.append(((kernel(z @ x.T) @ dual - target(z)) ** 2).mean())
            train.append(((K @ dual - y) ** 2).mean())
        assert_mean(np.array(test), expected, 0.02)
        assert_mean(np.array(train), fitted, 0.1 if n < 100 else 0.02)


def test_measure_of_a_finite_sample():
    """Draws from 600 rows in R^8 with a Gaussian kernel, from the spectrum of their Gram."""
    rng = np.random.default_rng(2)
    pool = rng.normal(size=(600, 8))
    squares = ((pool[:, None] - pool) ** 2).sum(axis=2)
    K, y = np.exp(-squares / 32), np.sin(pool[:, 0]) + pool[:, 1]
    spectrum = kernel_spectrum(K, y)
    values, power = spectrum.eigenvalues / 600, spectrum.power / 600
    found = learning_curve([30, 100], values, power, ridge=0.1, noise=0.1)
    for n, expected in zip((30, 100), found.test, strict=True):
        test = []
        for _ in range(100):
            chosen = rng.integers(600, size=n)
            noisy = y[chosen] + np.sqrt(0.1) * rng.normal(size=n)
            dual = np.linalg.solve(K[np.ix_(chosen, chosen)] + 0.1 * np.eye(n), noisy)
            test.append(((K[:, chosen] @ dual - y) ** 2).mean())
        assert_mean(np.array(test), expected, 0.05)


def test_more_samples_than_modes_is_linear_regression():
    """Of M directions, n > M: noise M / (n - M), training error noise (1 - M / n)."""
    found = learning_curve([10, 15, 40], np.arange(1, 11), np.ones(10), noise=0.5)
    assert found.test[0] == np.inf
    np.testing.assert_allclose(found.test[1:], [0.5 * 10 / 5, 0.5 * 10 / 30], rtol=1e-12)
    np.testing.assert_allclose(found.train, [0, 0.5 / 3, 0.5 * 0.75], rtol=1e-12)
    exact = learning_curve([10, 40], np.arange(1, 11), np.ones(10))
    np.testing.assert_array_equal(exact.test, [0, 0])
    almost = learning_curve([15, 40], np.arange(1, 11), np.ones(10), noise=0.5, ridge=1e-10)
    np.testing.assert_allclose(almost.test, found.test[1:], rtol=1e-6)
    np.testing.assert_allclose(almost.train, found.train[1:], rtol=1e-6)


def test_equal_eigenvalues():
    """A quadratic equation for kappa."""
    n, m, ridge = 7.0, 20.0, 3.0
    found = implicit_ridge(n, np.array([2.0]), np.array([m]), ridge)
    roots = np.roots([n, 2 * n - 2 * m - ridge, -2 * ridge])
    assert found == pytest.approx(roots.max(), rel=1e-13)


@pytest.mark.parametrize("ridge", [0.0, 1e-30, 1e-8, 1.0, 1e12])
@pytest.mark.parametrize("n", [1, 50, 999, 1e6])
def test_the_implicit_ridge_solves_its_equation(ridge, n):
    values = np.logspace(0, -60, 1000)
    kappa = implicit_ridge(n, values, np.ones(1000), ridge)
    if n > 1000 and ridge == 0.0:
        assert kappa == 0.0
        return
    found = (values / (values + kappa)).sum() + ridge / kappa
    assert found == pytest.approx(n, rel=1e-9)


def test_levels_are_modes_with_multiplicities():
    power = np.array([1.0, 2.0])
    found = learning_curve([4, 9], [1.0, 0.1], power, [3, 5], ridge=0.2, noise=0.1)
    spread = np.repeat(power / [3, 5], [3, 5])
    one_by_one = learning_curve([4, 9], np.repeat([1.0, 0.1], [3, 5]), spread, ridge=0.2, noise=0.1)
    np.testing.assert_allclose(found.test, one_by_one.test, rtol=1e-12)
    np.testing.assert_allclose(found.train, one_by_one.train, rtol=1e-12)


def test_small_eigenvalues_act_like_a_ridge():
    many = learning_curve([20], [1.0, 1e-6], [1.0, 0.0], [10, 1e6], noise=0.3)
    tail = learning_curve([20], [1.0], [1.0], [10], noise=0.3, tail=1.0)
    assert tail.test[0] == pytest.approx(many.test[0], rel=1e-4)
    assert tail.train[0] == many.train[0] == 0.0


def test_power_without_eigenvalue_is_never_learned():
    found = learning_curve([10, 1000, 100000], [1.0, 0.0], [1.0, 0.5], ridge=0.1)
    assert (found.test > 0.5).all()
    assert found.test[-1] == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize(
    "changed, told",
    [
        ({"n_samples": [0]}, "n_samples must be positive"),
        ({"eigenvalues": [-1.0, 1.0]}, "eigenvalues must be"),
        ({"power": [1.0]}, "same length"),
        ({"power": [np.nan, 1.0]}, "power must be"),
        ({"multiplicities": [1.0, 2.0, 3.0]}, "same length"),
        ({"ridge": -0.1}, "ridge must be"),
        ({"noise": np.inf}, "noise must be"),
        ({"ridge": [0.1, 0.2]}, "ridge must be one number"),
        ({"n_samples": []}, "n_samples must be"),
        ({"eigenvalues": [], "power": []}, "eigenvalues must be"),
    ],
)
def test_refusals(changed, told):
    given = {"n_samples": [3], "eigenvalues": [1.0, 0.5], "power": [1.0, 1.0]} | changed
    with pytest.raises(ValueError, match=told):
        learning_curve(**given)
