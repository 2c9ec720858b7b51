"""The scikit-learn kernels inside scikit-learn's own learners."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.decomposition import KernelPCA
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import Convolutional, FullyConnected

X, LABELS = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)[::3]
LABELS = LABELS[::3]
Z = X[::5] + 0.1 * np.random.default_rng(0).normal(size=(10, 4))
y = np.sin(X[:, 0]) + X[:, 1]
KERNELS = [NTK(FullyConnected(2)), NNGP(Convolutional(1), image_shape=(1, 2, 2))]
each = pytest.mark.parametrize("kernel", KERNELS, ids=str)


def close(value, expected):
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@each
def test_support_vector_classifier_equals_the_precomputed_one(kernel):
    own = SVC(kernel=kernel).fit(X, LABELS)
    precomputed = SVC(kernel="precomputed").fit(kernel(X), LABELS)
    close(own.decision_function(Z), precomputed.decision_function(kernel(Z, X)))


@each
def test_kernel_ridge_equals_the_precomputed_one(kernel):
    weight = np.linspace(0.5, 2.0, len(X))  # scikit-learn multiplies the matrix in place
    own = KernelRidge(0.1, kernel=kernel).fit(X, y, weight)
    precomputed = KernelRidge(0.1, kernel="precomputed").fit(kernel(X), y, weight)
    close(own.predict(Z), precomputed.predict(kernel(Z, X)))


@each
def test_principal_components_equal_the_precomputed_ones(kernel):
    own = KernelPCA(3, kernel=kernel, eigen_solver="dense").fit(X)
    precomputed = KernelPCA(3, kernel="precomputed", eigen_solver="dense").fit(kernel(X))
    close(np.abs(own.transform(Z)), np.abs(precomputed.transform(kernel(Z, X))))


@each
def test_nystroem_features_of_all_rows_give_back_the_kernel(kernel):
    features = Nystroem(kernel, n_components=len(X), random_state=0).fit_transform(X)
    expected = kernel(X)
    np.testing.assert_allclose(features @ features.T, expected, atol=1e-9 * expected.max())


@pytest.mark.parametrize("labels", [LABELS == 0, LABELS], ids=["binary", "three classes"])
def test_gaussian_process_classifier_separates_classes(labels):
    classifier = GaussianProcessClassifier(NTK(FullyConnected(2)), optimizer=None).fit(X, labels)
    assert classifier.score(X, labels) > 0.95


def test_gaussian_process_classifier_optimizes_scales():
    noise = np.random.default_rng(1).normal(size=len(y))
    noisy = y + 2.0 * noise > 0  # so that large scales do not pay
    bounds = {"w_std": "fixed", "b_std": "fixed", "readout_w_std": (0.1, 10.0)}
    kernel = NNGP(FullyConnected(1, readout_w_std=2.5), scale_bounds=bounds)
    fixed = GaussianProcessClassifier(kernel, optimizer=None).fit(X, noisy)
    optimized = GaussianProcessClassifier(kernel).fit(X, noisy)
    _, slope = optimized.log_marginal_likelihood(optimized.kernel_.theta, eval_gradient=True)
    assert np.abs(slope).max() < 1e-2
    gained = optimized.log_marginal_likelihood_value_ - fixed.log_marginal_likelihood_value_
    assert gained > 0.1


@pytest.fixture(scope="module")
def drawn():
    """Targets drawn from the prior of known scales, with noise."""
    rng = np.random.default_rng(2)
    truth = NNGP(FullyConnected(2, w_std=1.7, b_std=0.3))
    rows = rng.normal(size=(80, 2))
    noisy = truth(rows) + 1e-2 * np.eye(80)
    return truth, rows, np.linalg.cholesky(noisy) @ rng.normal(size=80)


def test_gaussian_process_regressor_optimizes_scales(drawn):
    truth, rows, targets = drawn
    start = NNGP(FullyConnected(2)) + WhiteKernel(0.1)
    gp = GaussianProcessRegressor(start).fit(rows, targets)
    # the evidence of the optimum is at least that of the scales that the data were drawn with
    best = gp.log_marginal_likelihood(np.append(truth.theta, np.log(1e-2)))
    assert gp.log_marginal_likelihood_value_ > best
    _, slope = gp.log_marginal_likelihood(gp.kernel_.theta, eval_gradient=True)
    assert np.abs(slope).max() < 1e-2


@each
def test_gaussian_process_standard_deviations_need_no_cut(kernel):
    gp = GaussianProcessRegressor(kernel, alpha=1e-6, optimizer=None).fit(X, y)
    # scikit-learn warns of negative variances where diag and Gram disagree
    _, deviation = gp.predict(X, return_std=True)
    assert (deviation < 1e-2).all()


def test_grid_search_over_depth_and_width_in_a_pipeline():
    network = FullyConnected(n_networks=2)
    pipeline = make_pipeline(StandardScaler(), SVC(kernel=NTK(network)))
    grid = {
        "svc__kernel__network__depth": [1, 2],
        "svc__kernel__network__width": [16, math.inf],
    }
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, LABELS)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 4
    assert scores.min() > 0.8
    assert network == FullyConnected(n_networks=2)
