from __future__ import annotations

import numpy as np
import pytest
import torch
from gpytorch.likelihoods import DirichletClassificationLikelihood
from scipy.special import expit
from scipy.stats import norm

from ntk_sklearn.inference import class_probabilities, dirichlet_labels

CODES = np.array([2, 0, 1, 1, 2])


def test_labels_are_those_of_gpytorch():
    labels = torch.tensor(CODES)
    expected = DirichletClassificationLikelihood(labels, learn_additional_noise=False)
    targets, noise = dirichlet_labels(CODES, 3)
    np.testing.assert_allclose(targets.T, expected.transformed_targets, rtol=1e-6)
    np.testing.assert_allclose(noise.T, expected.noise_covar.noise, rtol=1e-6)


def test_labels_match_the_moments_of_gamma_variables():
    targets, noise = dirichlet_labels(CODES, 3)
    shape = np.eye(3)[CODES] + 0.01
    np.testing.assert_allclose(np.exp(targets + noise / 2), shape, rtol=1e-12)  # mean
    np.testing.assert_allclose(np.expm1(noise) * shape**2, shape, rtol=1e-12)  # variance


MEAN = np.random.default_rng(0).normal(size=(20, 3))
VARIANCE = np.random.default_rng(1).uniform(0.0, 4.0, size=(20, 3))


def test_probabilities_are_a_fixed_function_of_each_row():
    found = class_probabilities(MEAN, VARIANCE)
    np.testing.assert_array_equal(found, class_probabilities(MEAN, VARIANCE))
    rows = [class_probabilities(MEAN[k : k + 1], VARIANCE[k : k + 1]) for k in range(20)]
    np.testing.assert_allclose(np.vstack(rows), found, rtol=1e-14)


def test_probabilities_sum_to_one():
    found = class_probabilities(MEAN, VARIANCE)
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-14)


def test_without_variance_they_are_the_softmax():
    expected = np.exp(MEAN) / np.exp(MEAN).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(class_probabilities(MEAN, 0.0 * VARIANCE), expected, rtol=1e-12)


def test_two_classes_agree_with_quadrature():
    """The difference of two independent normals is normal: one integral of a sigmoid."""
    mean, variance = MEAN[:, :2], VARIANCE[:, :2]
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    gap = mean[:, 1] - mean[:, 0]
    draws = gap[:, np.newaxis] + np.sqrt(variance.sum(axis=1))[:, np.newaxis] * nodes
    expected = expit(draws) @ weights / weights.sum()
    # 256 quasi-random draws
    np.testing.assert_allclose(class_probabilities(mean, variance)[:, 1], expected, atol=5e-3)


def test_many_classes_agree_with_independent_draws():
    draws = norm.rvs(size=(100_000, 3), random_state=0)
    found = class_probabilities(MEAN[:3], VARIANCE[:3])
    for k in range(3):
        latent = np.exp(MEAN[k] + np.sqrt(VARIANCE[k]) * draws)
        shares = latent / latent.sum(axis=1, keepdims=True)
        error = np.abs(found[k] - shares.mean(axis=0))
        assert (error < 5e-3 + 4 * shares.std(axis=0) / np.sqrt(len(draws))).all()


@pytest.mark.parametrize("n_classes", [2, 30])
def test_extreme_latent_values_stay_probabilities(n_classes):
    mean = np.zeros((2, n_classes))
    mean[:, 1] = [1e4, -1e4]
    found = class_probabilities(mean, np.full((2, n_classes), 1e4))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
