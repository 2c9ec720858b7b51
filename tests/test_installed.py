"""The fixed public names, used once each: what must also work on the built wheel."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import is_classifier

import ntk_sklearn
from ntk_sklearn import kernels, networks

pytestmark = pytest.mark.smoke

ESTIMATORS = ["NTKRegressor", "NTKClassifier", "NNGPRegressor", "NNGPClassifier"]
PRESETS = ["FullyConnected", "Convolutional", "ResNet", "Myrtle"]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimator_learns_a_sign(name):
    x = np.random.default_rng(0).standard_normal((40, 3))
    estimator = getattr(ntk_sklearn, name)()
    y = np.where(x[:, 0] > 0, 1, -1)
    target = y if is_classifier(estimator) else x[:, 0]
    predicted = estimator.fit(x, target).predict(x)
    assert (np.sign(predicted) == y).mean() > 0.9


@pytest.mark.parametrize("name", ["NTK", "NNGP"])
def test_kernel_is_a_symmetric_matrix(name):
    gram = getattr(kernels, name)()(np.eye(3))
    np.testing.assert_array_equal(gram, gram.T)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_has_a_default(name):
    assert name in repr(getattr(networks, name)())
