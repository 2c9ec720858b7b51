"""Labels left out of Laplace's approximation, and the prior amplitude they choose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from ntk_sklearn.inference import (
    best_amplitude,
    class_probabilities,
    laplace_covariance,
    laplace_posterior,
    left_out_log_probabilities,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))
CODES = np.digitize(X[:, 0] + 0.3 * RNG.normal(size=40), [-0.5, 0.5])
WEIGHT = RNG.uniform(0.2, 1.0, 40)


def kernel(a, b):
    return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / 2)


@pytest.mark.parametrize("weight", [np.ones(40), WEIGHT], ids=["ones", "weights below 1"])
def test_likelihood_of_a_row_is_taken_out(weight):
    """Posterior of normal pseudo-observations at the other rows only, by dense algebra."""
    K, each = 4.0 * kernel(X, X), np.eye(3)
    posterior = laplace_posterior(K, CODES, 3, weight)
    found = left_out_log_probabilities(K, CODES, weight, posterior)
    for i in range(5):
        W = np.zeros((3, 40, 3, 40))
        for j, p in enumerate(softmax(posterior.mode, axis=1)):
            W[:, j, :, j] = (j != i) * weight[j] * (np.diag(p) - np.outer(p, p))
        W = W.reshape(120, 120)
        gradient = posterior.coefficients.T.copy()
        gradient[:, i] = 0.0
        prior = np.kron(each, K)
        cov = np.linalg.solve(np.eye(120) + prior @ W, prior)
        mean = cov @ (W @ posterior.mode.T.ravel() + gradient.ravel())
        at = np.arange(3) * 40 + i
        expected = class_probabilities(mean[None, at], cov[None, at[:, None], at])[0, CODES[i]]
        np.testing.assert_allclose(found[i], np.log(expected), rtol=1e-9)


def test_close_to_deletion():
    K, kept = 4.0 * kernel(X, X), np.arange(40)
    found = left_out_log_probabilities(K, CODES, np.ones(40), laplace_posterior(K, CODES, 3))
    exact = np.empty(40)
    for i in range(40):
        rest = kept[kept != i]
        p = laplace_posterior(K[np.ix_(rest, rest)], CODES[rest], 3)
        cross = K[i : i + 1, rest]
        cov = laplace_covariance(p.curvature, p.lower, p.shared, cross, K[i : i + 1, i])
        exact[i] = np.log(class_probabilities(cross @ p.coefficients, cov)[0, CODES[i]])
    assert exact.std() > 0.3
    np.testing.assert_allclose(found, exact, atol=0.05)


def test_integer_weights_are_repetitions():
    weight = np.arange(40) % 3 + 1
    rows = np.repeat(X, weight, axis=0)
    once = best_amplitude(kernel(X, X), CODES, 3, weight.astype(float))
    often = best_amplitude(kernel(rows, rows), np.repeat(CODES, weight), 3)
    np.testing.assert_allclose(once[0], often[0], rtol=1e-8)
    np.testing.assert_allclose(once[2], often[2], rtol=1e-9)


def test_no_amplitude_is_better():
    K = kernel(X, X)
    amplitude, posterior, best = best_amplitude(K, CODES, 3)
    np.testing.assert_allclose(
        posterior.mode, laplace_posterior(amplitude * K, CODES, 3).mode, atol=1e-9
    )
    for other in amplitude * np.array([0.03, 0.5, 0.97, 1.03, 2.0, 30.0]):
        left_out = left_out_log_probabilities(
            other * K, CODES, np.ones(40), laplace_posterior(other * K, CODES, 3)
        )
        assert left_out.mean() < best


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_unit_of_the_kernel_does_not_matter(unit):
    expected, _, best = best_amplitude(kernel(X, X), CODES, 3)
    found, _, same = best_amplitude(unit * kernel(X, X), CODES, 3)
    np.testing.assert_allclose([found * unit, same], [expected, best], rtol=1e-8)


def test_zero_kernel_leaves_all_classes_equally_probable():
    _, posterior, left_out = best_amplitude(np.zeros((40, 40)), CODES, 3)
    np.testing.assert_array_equal(posterior.mode, 0.0)
    np.testing.assert_allclose(left_out, -np.log(3.0), rtol=1e-12)


def test_labels_without_a_pattern_leave_no_prior():
    """Alternating labels along a line of near rows: every prediction from neighbours is wrong."""
    rows = np.linspace(0.0, 0.1, 20)[:, None]
    amplitude, _, left_out = best_amplitude(kernel(rows, rows), np.arange(20) % 2, 2)
    assert amplitude < 0.01
    np.testing.assert_allclose(left_out, -np.log(2.0), atol=1e-3)
