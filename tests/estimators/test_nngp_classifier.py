from __future__ import annotations

import gpytorch
import numpy as np
import pytest
import torch
from gpytorch.distributions import MultivariateNormal
from gpytorch.likelihoods import DirichletClassificationLikelihood
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import ConstantKernel

from ntk_sklearn import NNGPClassifier
from ntk_sklearn.inference import (
    best_amplitude,
    class_probabilities,
    dirichlet_labels,
    laplace_covariance,
)
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
methods = pytest.mark.parametrize("method", ["dirichlet", "laplace"])


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


@each
@both
def test_laplace_is_the_inference_on_the_gram(case, labels):
    network, image_shape = CASES[case]
    k, n_classes = NNGP(network, image_shape=image_shape), labels.max() + 1
    model = make(case, method="laplace").fit(X, labels)
    scale, p, left_out = best_amplitude(k(X), labels, n_classes)
    cross, diagonal = scale * k(Z, X), scale * k.diag(Z)
    cov = laplace_covariance(p.curvature, p.lower, p.shared, cross, diagonal)
    expected = class_probabilities(cross @ p.coefficients, cov)
    np.testing.assert_allclose(model.predict_proba(Z), expected, rtol=1e-8)
    np.testing.assert_array_equal(model.predict(Z), expected.argmax(axis=1))
    np.testing.assert_allclose(model.latent_scale_, scale, rtol=1e-8)
    np.testing.assert_allclose(model.log_marginal_likelihood_value_, p.log_evidence, rtol=1e-8)
    np.testing.assert_allclose(model.left_out_log_probability_, left_out, rtol=1e-8)


def test_laplace_of_two_classes_is_the_logistic_model_of_scikit_learn():
    model = NNGPClassifier(FullyConnected(2), method="laplace").fit(X, BINARY)
    # the difference of two latent functions has twice the covariance
    kernel = ConstantKernel(2.0 * model.latent_scale_[0], "fixed") * NNGP(FullyConnected(2))
    binary = GaussianProcessClassifier(kernel, optimizer=None).fit(X, BINARY)
    expected = binary.log_marginal_likelihood_value_
    np.testing.assert_allclose(model.log_marginal_likelihood_value_, expected, rtol=1e-9)
    # 256 quasi-random draws here, five error functions there
    np.testing.assert_allclose(model.predict_proba(Z), binary.predict_proba(Z), atol=5e-3)


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
@methods
def test_scale_of_the_kernel_does_not_matter(labels, method):
    fitted = [
        NNGPClassifier(FullyConnected(2, readout_w_std=scale), method=method).fit(X, labels)
        for scale in (1.0, 9.0)
    ]
    np.testing.assert_allclose(*(model.predict_proba(Z) for model in fitted), rtol=1e-9)


@each
@both
@methods
def test_probabilities_are_a_fixed_function_of_each_row(case, labels, method):
    model = make(case, method=method).fit(X, labels)
    found = model.predict_proba(Z)
    assert found.shape == (7, labels.max() + 1)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-14)
    again = make(case, method=method).fit(X, labels).predict_proba(Z)
    np.testing.assert_array_equal(found, again)
    rows = np.vstack([model.predict_proba(row[np.newaxis]) for row in Z])
    np.testing.assert_allclose(rows, found, rtol=1e-11)


@methods
def test_far_from_the_data_probabilities_are_less_certain(method):
    network = FullyConnected(3, activation="erf")
    model = NNGPClassifier(network, method=method).fit(X, BINARY)
    near = model.predict_proba(X).max(axis=1)
    far = model.predict_proba(np.array([[0.0, 0.0, 0.0, 50.0], [0.0, 0.0, 0.0, -50.0]])).max(axis=1)
    assert far.max() < near.mean()


@each
@both
@methods
def test_integer_weights_are_repetitions_and_zero_is_absence(case, labels, method):
    weight, model = np.arange(30) % 4, make(case, method=method)
    weighted = model.fit(X, labels, weight).predict_proba(Z)
    model.fit(np.repeat(X, weight, axis=0), np.repeat(labels, weight))
    np.testing.assert_allclose(weighted, model.predict_proba(Z), rtol=1e-7)


@methods
def test_class_weights_are_sample_weights(method):
    class_weight = {0: 0.5, 1: 1.0, 2: 3.0}
    model = NNGPClassifier(FullyConnected(1), method=method, class_weight=class_weight)
    found = model.fit(X, THREE).predict_proba(Z)
    model.set_params(class_weight=None).fit(X, THREE, [class_weight[label] for label in THREE])
    np.testing.assert_allclose(found, model.predict_proba(Z), rtol=1e-12)


def test_refit_by_the_other_method_leaves_nothing_behind():
    model = NNGPClassifier(FullyConnected(1), method="laplace").fit(X, THREE)
    again = model.set_params(method="dirichlet").fit(X, THREE)
    once = NNGPClassifier(FullyConnected(1)).fit(X, THREE)
    assert set(vars(again)) == set(vars(once))
    np.testing.assert_array_equal(again.predict_proba(Z), once.predict_proba(Z))


@pytest.mark.parametrize("method", ["Laplace", None, 1])
def test_methods_are_listed(method):
    with pytest.raises(ValueError, match="one of dirichlet, laplace, got"):
        NNGPClassifier(method=method).fit(X, BINARY)


def test_there_is_no_decision_function():
    assert not hasattr(NNGPClassifier(), "decision_function")
