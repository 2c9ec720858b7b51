"""The posterior against scikit-learn's Gaussian process on the same matrices, and by algebra."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor

from ntk_sklearn.inference import condition
from ntk_sklearn.kernels import NNGP
from ntk_sklearn.networks import FullyConnected

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(12, 3)), rng.normal(size=(5, 3))
Z[0] = X[3]
KERNEL = NNGP(FullyConnected(2))
K, CROSS, NEW = KERNEL(X), KERNEL(Z, X), KERNEL(Z)
Y = rng.normal(size=(12, 2))
NOISES = {"none": np.zeros(12), "one": np.full(12, 0.1), "per row": np.linspace(0.01, 2.0, 12)}
each = pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)


def reference(noise, column):
    return GaussianProcessRegressor(KERNEL, alpha=noise, optimizer=None).fit(X, Y[:, column])


@each
def test_mean_variance_and_covariance_are_those_of_scikit_learn(noise):
    found = condition(K, Y, noise)
    for k in (0, 1):
        mean, covariance = reference(noise, k).predict(Z, return_cov=True)
        np.testing.assert_allclose(found.mean(CROSS)[:, k], mean, rtol=1e-9)
        np.testing.assert_allclose(found.covariance(CROSS, NEW), covariance, atol=1e-12)
        np.testing.assert_allclose(
            found.variance(CROSS, np.diag(NEW)), np.diag(covariance), atol=1e-12
        )


@each
def test_evidence_is_the_density_of_the_targets(noise):
    found = condition(K, Y, noise)
    prior = multivariate_normal(np.zeros(12), K + np.diag(noise))
    np.testing.assert_allclose(found.log_evidence, prior.logpdf(Y.T), rtol=1e-10)
    expected = [reference(noise, k).log_marginal_likelihood_value_ for k in (0, 1)]
    np.testing.assert_allclose(found.log_evidence, expected, rtol=1e-10)


def test_without_noise_the_posterior_passes_through_the_data():
    found = condition(K, Y, NOISES["none"])
    np.testing.assert_allclose(found.mean(CROSS)[0], Y[3], rtol=1e-9)
    assert found.variance(CROSS, np.diag(NEW))[0] < 1e-12


def test_infinitely_noisy_data_leave_the_prior():
    found = condition(K, Y, np.full(12, 1e12))
    np.testing.assert_allclose(found.mean(CROSS), 0.0, atol=1e-9)
    np.testing.assert_allclose(found.covariance(CROSS, NEW), NEW, rtol=1e-9)


def test_variances_that_round_below_zero_are_cut():
    found = condition(K, Y, NOISES["none"])
    assert (found.variance(K, np.diag(K) * (1 - 1e-12)) >= 0.0).all()


def test_matrix_is_left_as_it_is():
    before = K.copy()
    condition(K, Y, NOISES["one"])
    np.testing.assert_array_equal(K, before)
