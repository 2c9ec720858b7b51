from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn import NTKClassifier
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import Convolutional, FullyConnected

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(30, 4)), rng.normal(size=(7, 4))
SCORE = X @ [1.0, -0.5, 0.3, 0.0]
BINARY = (SCORE > 0).astype(int)
THREE = np.digitize(SCORE, [-0.6, 0.6])
CASES = {"dense": (FullyConnected(2), None), "images": (Convolutional(1), (1, 2, 2))}
each = pytest.mark.parametrize("case", CASES)


def make(case, **options):
    network, image_shape = CASES[case]
    return NTKClassifier(network, image_shape=image_shape, **options)


def regression(case, targets, alpha):
    network, image_shape = CASES[case]
    k = NTK(network, image_shape=image_shape)
    K = k(X)
    return k(Z, X) @ np.linalg.solve(K + alpha * np.diag(K).mean() * np.eye(30), targets)


@each
@pytest.mark.parametrize("alpha", [1e-4, 0.5])
def test_two_classes_are_a_regression_on_signs(case, alpha):
    found = make(case, alpha=alpha).fit(X, BINARY)
    expected = regression(case, 2.0 * BINARY - 1.0, alpha)
    assert found.decision_function(Z).shape == (7,)
    np.testing.assert_allclose(found.decision_function(Z), expected, rtol=1e-8)
    np.testing.assert_array_equal(found.predict(Z), (expected > 0).astype(int))


@each
@pytest.mark.parametrize("alpha", [1e-4, 0.5])
def test_many_classes_are_a_regression_on_centred_indicators(case, alpha):
    found = make(case, alpha=alpha).fit(X, THREE)
    expected = regression(case, np.eye(3)[THREE] - 1 / 3, alpha)
    assert found.decision_function(Z).shape == (7, 3)
    np.testing.assert_allclose(found.decision_function(Z), expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.decision_function(Z).sum(axis=1), 0.0, atol=1e-9)
    np.testing.assert_array_equal(found.predict(Z), expected.argmax(axis=1))


def test_without_ridge_it_remembers_the_labels():
    assert NTKClassifier(alpha=0).fit(X, THREE).score(X, THREE) == 1.0


def test_there_are_no_probabilities():
    assert not hasattr(NTKClassifier(), "predict_proba")


@each
@pytest.mark.parametrize("labels", [BINARY, THREE], ids=["binary", "three classes"])
def test_integer_weights_are_repetitions_and_zero_is_absence(case, labels):
    weight, model = np.arange(30) % 4, make(case, alpha=0.1)
    weighted = model.fit(X, labels, weight).decision_function(Z)
    model.fit(np.repeat(X, weight, axis=0), np.repeat(labels, weight))
    np.testing.assert_allclose(weighted, model.decision_function(Z), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("alpha", [-1.0, np.nan, "0.1", None])
def test_alpha_is_a_number_that_is_not_negative(alpha):
    with pytest.raises((ValueError, TypeError), match="alpha must be"):
        NTKClassifier(alpha=alpha).fit(X, BINARY)
