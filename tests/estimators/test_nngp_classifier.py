from __future__ import annotations

import gpytorch
import numpy as np
import pytest
import torch
from gpytorch.distributions import MultivariateNormal
from gpytorch.likelihoods import DirichletClassificationLikelihood

from ntk_sklearn import NNGPClassifier
from ntk_sklearn.inference import class_probabilities, dirichlet_labels
from ntk_sklearn.kernels import NNGP
from ntk_sklearn.networks import Convolutional, FullyConnected

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(30, 4)), rng.normal(size=(7, 4))
SCORE = X @ [1.0, -0.5, 0.3, 0.0]
BINARY = (SCORE > 0).astype(int)
THREE = np.digitize(SCORE, [-0.6, 0.6])
CASES = {"dense": (FullyConnected(2), None), "images": (Convolutional(1), (1, 2, 2))}
each = pytest.mark.parametrize("case", CASES)
both = pytest.mark.parametrize("labels", [BINARY, THREE], ids=["binary", "three classes"])


def make(case, **options):
    network, image_shape = CASES[case]
    return NNGPClassifier(network, image_shape=image_shape, **options)


@each
@both
def test_probabilities_by_direct_algebra(case, labels):
    network, image_shape = CASES[case]
    model, n_classes = make(case).fit(X, labels), labels.max() + 1
    k = NNGP(network, image_shape=image_shape)
    targets, noise = dirichlet_labels(labels, n_classes)
    mean, variance = np.empty((7, n_classes)), np.empty((7, n_classes))
    for c in range(n_classes):
        scale, level = model.latent_scale_[c], model.latent_mean_[c]
        cross = scale * k(Z, X)
        weights = np.linalg.solve(scale * k(X) + np.diag(noise[:, c]), cross.T).T
        mean[:, c] = level + weights @ (targets[:, c] - level)
        variance[:, c] = scale * k.diag(Z) - (weights * cross).sum(axis=1)
    expected = class_probabilities(mean, variance)
    np.testing.assert_allclose(model.predict_proba(Z), expected, rtol=1e-8)
    np.testing.assert_array_equal(model.predict(Z), expected.argmax(axis=1))


def test_latent_posterior_is_that_of_gpytorch():
    """The same labels, prior and noise in GPyTorch's model of Dirichlet classification."""
    model = NNGPClassifier(FullyConnected(2)).fit(X, THREE)
    likelihood = DirichletClassificationLikelihood(torch.tensor(THREE), dtype=torch.float64)
    scale, level = torch.tensor(model.latent_scale_), torch.tensor(model.latent_mean_)
    k, rows = NNGP(FullyConnected(2)), torch.tensor(np.vstack([X, Z]))
    prior = scale[:, None, None] * torch.tensor(k(rows))
    with gpytorch.settings.fast_computations(False, False, False):
        noisy = likelihood(
            MultivariateNormal(level[:, None].expand(3, 30), prior[:, :30, :30]), torch.tensor(X)
        )
        solve = torch.linalg.solve(
            noisy.covariance_matrix, (likelihood.transformed_targets - noisy.mean).unsqueeze(-1)
        )
    expected = level[:, None] + (prior[:, 30:, :30] @ solve)[..., 0]
    found = k(Z, X) @ model.dual_coef_ * model.latent_scale_ + model.latent_mean_
    np.testing.assert_allclose(found, expected.T.detach(), rtol=1e-6)


@both
def test_prior_has_the_moments_of_the_targets(labels):
    model, n_classes = NNGPClassifier(FullyConnected(2)).fit(X, labels), labels.max() + 1
    targets, _ = dirichlet_labels(labels, n_classes)
    np.testing.assert_allclose(model.latent_mean_, targets.mean(axis=0), rtol=1e-12)
    K = NNGP(FullyConnected(2))(X)
    # E of the variance over the rows of a draw from the prior: trace(C K C) / n, C = centring
    centring = np.eye(30) - 1 / 30
    expected = model.latent_scale_ * np.trace(centring @ K @ centring) / 30
    np.testing.assert_allclose(expected, targets.var(axis=0), rtol=1e-9)


@both
def test_scale_of_the_kernel_does_not_matter(labels):
    expected = NNGPClassifier(FullyConnected(2)).fit(X, labels).predict_proba(Z)
    scaled = NNGPClassifier(FullyConnected(2, readout_w_std=9.0)).fit(X, labels)
    np.testing.assert_allclose(scaled.predict_proba(Z), expected, rtol=1e-9)


@each
@both
def test_probabilities_are_a_fixed_function_of_each_row(case, labels):
    model = make(case).fit(X, labels)
    found = model.predict_proba(Z)
    assert found.shape == (7, labels.max() + 1)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_array_equal(found, make(case).fit(X, labels).predict_proba(Z))
    rows = np.vstack([model.predict_proba(row[np.newaxis]) for row in Z])
    np.testing.assert_allclose(rows, found, rtol=1e-11)


def test_far_from_the_data_probabilities_are_less_certain():
    model = NNGPClassifier(FullyConnected(3, activation="erf")).fit(X, BINARY)
    near = model.predict_proba(X).max(axis=1)
    far = model.predict_proba(np.array([[0.0, 0.0, 0.0, 50.0], [0.0, 0.0, 0.0, -50.0]])).max(axis=1)
    assert far.max() < near.mean()


@each
@both
def test_integer_weights_are_repetitions_and_zero_is_absence(case, labels):
    weight, model = np.arange(30) % 4, make(case)
    weighted = model.fit(X, labels, weight).predict_proba(Z)
    model.fit(np.repeat(X, weight, axis=0), np.repeat(labels, weight))
    np.testing.assert_allclose(weighted, model.predict_proba(Z), rtol=1e-7)


def test_there_is_no_decision_function():
    assert not hasattr(NNGPClassifier(), "decision_function")
