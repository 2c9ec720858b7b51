"""Kernel matrices in place of networks."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import get_tags

from ntk_sklearn import NNGPClassifier, NNGPRegressor, NTKClassifier, NTKRegressor
from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import FullyConnected

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(30, 4)), rng.normal(size=(5, 4))
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] ** 2])
NETWORK = FullyConnected(2)
KINDS = [(NTKRegressor, NTK), (NTKClassifier, NTK), (NNGPRegressor, NNGP)]
each = pytest.mark.parametrize("kind, kernel", KINDS)


def targets(kind):
    return np.digitize(X[:, 0], [-0.5, 0.5]) if is_classifier(kind()) else Y


@each
@pytest.mark.parametrize("weight", [None, np.arange(30) % 3], ids=["equal", "weighted"])
def test_same_predictions_as_with_the_network(kind, kernel, weight):
    k = kernel(NETWORK)
    given = kind("precomputed").fit(k(X), targets(kind), weight)
    expected = kind(NETWORK).fit(X, targets(kind), weight).predict(Z)
    np.testing.assert_allclose(given.predict(k(Z, X)), expected, rtol=1e-9, atol=1e-12)
    assert given.n_features_in_ == 30


@pytest.mark.parametrize("alpha, t", [(0.0, np.inf), (1e-3, np.inf), (1e-3, 2.0)])
def test_other_times(alpha, t):
    k = NTK(NETWORK)
    given = NTKRegressor("precomputed", alpha=alpha, t=t).fit(k(X), Y)
    expected = NTKRegressor(NETWORK, alpha=alpha, t=t).fit(X, Y)
    times = [0.0, 0.5, np.inf]
    np.testing.assert_allclose(
        given.predict(k(Z, X), t=times), expected.predict(Z, t=times), rtol=1e-7, atol=1e-9
    )


@each
def test_rows_and_columns_are_split_together(kind, kernel):
    assert get_tags(kind("precomputed")).input_tags.pairwise
    assert not get_tags(kind()).input_tags.pairwise
    K, y = kernel(NETWORK)(X), targets(kind)
    np.testing.assert_allclose(
        cross_val_score(kind("precomputed"), K, y, cv=4), cross_val_score(kind(NETWORK), X, y, cv=4)
    )


def test_search_over_ridges():
    search = GridSearchCV(NTKRegressor("precomputed"), {"alpha": [1e-4, 1e-2, 1.0]}, cv=3)
    assert search.fit(NTK(NETWORK)(X), Y).best_score_ > 0.3


@each
def test_matrices_are_checked(kind, kernel):
    K, y = kernel(NETWORK)(X), targets(kind)
    with pytest.raises(ValueError, match="square kernel matrix"):
        kind("precomputed").fit(K[:, :10], y)
    with pytest.raises(ValueError, match="symmetric"):
        kind("precomputed").fit(np.triu(K), y)
    with pytest.raises(ValueError, match="30 features"):
        kind("precomputed").fit(K, y).predict(K[:, :10])


def test_what_a_matrix_does_not_tell():
    K = NTK(NETWORK)(X)
    with pytest.raises(ValueError, match="needs those of the NTK and of the NNGP"):
        NTKRegressor("precomputed").fit(K, Y).predict(K, return_std=True)
    for model in (NTKRegressor("precomputed", uncertainty="ntkgp"), NNGPRegressor("precomputed")):
        with pytest.raises(ValueError, match="error bars need k"):
            model.fit(K, Y).predict(K, return_std=True)
        with pytest.raises(ValueError, match="error bars need k"):
            model.predict(K, return_cov=True)
    with pytest.raises(ValueError, match="initial='random' needs a network"):
        NTKRegressor("precomputed", initial="random").fit(K, Y)
    with pytest.raises(ValueError, match="NNGPClassifier needs"):
        NNGPClassifier("precomputed").fit(K, targets(NTKClassifier))
