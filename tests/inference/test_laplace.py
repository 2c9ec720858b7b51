"""Laplace's approximation against dense algebra of all classes at once, and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from ntk_sklearn.inference import laplace_covariance, laplace_posterior

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(12, 2)), RNG.normal(size=(300, 2))
WEIGHT = RNG.uniform(0.2, 3.0, 12)
LABELS = {2: (X[:, 0] > 0).astype(int), 3: np.digitize(X[:, 0] + 0.5 * X[:, 1], [-0.5, 0.5])}
classes = pytest.mark.parametrize("n_classes", LABELS)
weights = pytest.mark.parametrize("weight", [np.ones(12), WEIGHT], ids=["ones", "weights"])
amplitudes = pytest.mark.parametrize("amplitude", [0.1, 5.0, 1e4])


def kernel(a, b, amplitude=5.0):
    return amplitude * np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / 2)


def dense_curvature(mode, weight):
    """Minus the second derivative of the log likelihood, latent values ordered class by class."""
    n, n_classes = mode.shape
    W = np.zeros((n_classes, n, n_classes, n))
    for i, p in enumerate(softmax(mode, axis=1)):
        W[:, i, :, i] = weight[i] * (np.diag(p) - np.outer(p, p))
    return W.reshape(n * n_classes, n * n_classes)


def dense_mode(K, codes, n_classes, weight):
    """Damped Newton steps (K^-1 + W)^-1 in all latent values, from the definition."""
    labels, identity = np.eye(n_classes)[codes], np.eye(len(K) * n_classes)
    prior, mode = np.kron(np.eye(n_classes), K), np.zeros((len(K), n_classes))
    for _ in range(3000):
        gradient = weight[:, None] * (labels - softmax(mode, axis=1))
        W = dense_curvature(mode, weight)
        target = np.linalg.solve(
            identity + prior @ W, prior @ (W @ mode.T.ravel() + gradient.T.ravel())
        )
        step = target.reshape(n_classes, -1).T - mode
        mode = mode + min(1.0, 0.5 / np.abs(step).max(initial=1e-300)) * step
        if np.abs(step).max() < 1e-12:
            return mode
    raise AssertionError("no convergence")


@classes
@weights
@amplitudes
def test_mode_and_evidence_by_dense_algebra(n_classes, weight, amplitude):
    K, codes = kernel(X, X, amplitude), LABELS[n_classes]
    found = laplace_posterior(K, codes, n_classes, weight)
    mode = dense_mode(K, codes, n_classes, weight)
    np.testing.assert_allclose(found.mode, mode, atol=1e-8)
    prior, W = np.kron(np.eye(n_classes), K), dense_curvature(mode, weight)
    _, log_determinant = np.linalg.slogdet(np.eye(len(W)) + prior @ W)
    fit = weight @ log_softmax(mode, axis=1)[np.arange(12), codes]
    expected = fit - 0.5 * (mode * np.linalg.solve(K, mode)).sum() - 0.5 * log_determinant
    np.testing.assert_allclose(found.log_evidence, expected, rtol=1e-8)


@classes
@weights
@amplitudes
def test_gradient_vanishes_at_the_mode(n_classes, weight, amplitude):
    K, codes = kernel(X, X, amplitude), LABELS[n_classes]
    found = laplace_posterior(K, codes, n_classes, weight)
    gradient = weight[:, None] * (np.eye(n_classes)[codes] - softmax(found.mode, axis=1))
    np.testing.assert_allclose(found.coefficients, gradient, atol=1e-10)
    np.testing.assert_allclose(found.mode, K @ found.coefficients, rtol=1e-12, atol=1e-12)


@classes
@weights
def test_prediction_by_dense_algebra(n_classes, weight):
    """k - Q^T (K + W^-1)^-1 Q, for more rows than one block holds."""
    K, cross = kernel(X, X), kernel(Z, X)
    found = laplace_posterior(K, LABELS[n_classes], n_classes, weight)
    cov = laplace_covariance(found.curvature, found.lower, found.shared, cross, np.full(300, 5.0))
    W, each = dense_curvature(found.mode, weight), np.eye(n_classes)
    # (K + W^-1)^-1 = W (1 + K W)^-1, since W is singular
    inverse = W @ np.linalg.inv(np.eye(len(W)) + np.kron(each, K) @ W)
    for row, block in zip(cross, cov, strict=True):
        Q = np.kron(each, row[:, None])
        np.testing.assert_allclose(block, 5.0 * each - Q.T @ inverse @ Q, atol=1e-11)


@pytest.mark.parametrize("amplitude", [1.0, 30.0])
def test_two_classes_are_the_logistic_model_of_scikit_learn(amplitude):
    """The difference of two latent functions of covariance K has covariance 2 K."""
    binary = GaussianProcessClassifier(
        ConstantKernel(2.0 * amplitude, "fixed") * RBF(1.0, "fixed")
    ).fit(X, LABELS[2])
    found = laplace_posterior(kernel(X, X, amplitude), LABELS[2], 2)
    np.testing.assert_allclose(found.log_evidence, binary.log_marginal_likelihood(), rtol=1e-9)
    cross = kernel(Z, X, amplitude)
    cov = laplace_covariance(
        found.curvature, found.lower, found.shared, cross, np.full(300, amplitude)
    )
    p = binary.predict_proba(Z)[:, 1]
    gap = cross @ (found.coefficients[:, 1] - found.coefficients[:, 0])
    variance = cov[:, 0, 0] + cov[:, 1, 1] - 2.0 * cov[:, 0, 1]
    nodes, node_weight = np.polynomial.hermite_e.hermegauss(80)
    draws = 1.0 / (1.0 + np.exp(-gap[:, None] - np.sqrt(variance)[:, None] * nodes))
    # scikit-learn's sum of five error functions is good to some 1e-4
    np.testing.assert_allclose(draws @ node_weight / node_weight.sum(), p, atol=1e-3)


@classes
def test_integer_weights_are_repetitions(n_classes):
    weight, codes = np.arange(12) % 3 + 1, LABELS[n_classes]
    once = laplace_posterior(kernel(X, X), codes, n_classes, weight.astype(float))
    rows = np.repeat(X, weight, axis=0)
    often = laplace_posterior(kernel(rows, rows), np.repeat(codes, weight), n_classes)
    np.testing.assert_allclose(once.log_evidence, often.log_evidence, rtol=1e-9)
    np.testing.assert_allclose(
        kernel(Z, X) @ once.coefficients, kernel(Z, rows) @ often.coefficients, rtol=1e-9, atol=1e-9
    )
    found = [
        laplace_covariance(p.curvature, p.lower, p.shared, kernel(Z, r), np.full(300, 5.0))
        for p, r in [(once, X), (often, rows)]
    ]
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-9)


def test_first_guess_does_not_matter():
    expected = laplace_posterior(kernel(X, X), LABELS[3], 3)
    start = RNG.normal(size=(12, 3))
    found = laplace_posterior(kernel(X, X), LABELS[3], 3, start=start)
    np.testing.assert_allclose(found.mode, expected.mode, atol=1e-10)


def test_too_few_steps_warn():
    with pytest.warns(ConvergenceWarning, match="3 Newton steps"):
        laplace_posterior(kernel(X, X, 1e4), LABELS[3], 3, max_iter=3)


def test_without_a_prior_all_classes_are_equally_probable():
    found = laplace_posterior(np.zeros((12, 12)), LABELS[3], 3)
    np.testing.assert_allclose(found.log_evidence, -12.0 * np.log(3.0), rtol=1e-12)
    np.testing.assert_array_equal(found.mode, 0.0)
