"""Fitted estimators: plain attributes, independence of the caller's objects, pickles."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import is_classifier

from ntk_sklearn import NNGPClassifier, NNGPRegressor, NTKClassifier, NTKRegressor
from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import FullyConnected

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(20, 12)), rng.normal(size=(5, 12))
KINDS = [NTKRegressor, NTKClassifier, NNGPRegressor, NNGPClassifier]
each = pytest.mark.parametrize("kind", KINDS)


def targets(kind):
    """Two continuous outputs, or three classes."""
    if is_classifier(kind()):
        return np.digitize(X[:, 0], [-0.5, 0.5])
    return np.column_stack([X[:, 0], 9.0 * np.cos(X[:, 1])])


def fitted(kind, network=None, **options):
    return kind(network, **options).fit(X, targets(kind))


@each
@pytest.mark.parametrize("network", [None, FullyConnected(1, width=8, n_networks=2)])
@pytest.mark.parametrize("weight", [None, np.arange(20) % 3])
def test_fitted_attributes_are_plain_and_own_their_memory(kind, network, weight):
    model = kind(network).fit(X, targets(kind), weight)
    found = {name: value for name, value in vars(model).items() if name.endswith("_")}
    for name, value in found.items():
        assert isinstance(value, (np.ndarray, int, float, str, NTK, NNGP)), name
        if isinstance(value, np.ndarray):
            assert value.flags.owndata, name
            assert value.flags.writeable, name
    assert {"X_fit_", "kernel_", "n_features_in_", "dual_coef_"} <= set(found)


@each
def test_predictions_are_new_arrays(kind):
    model = fitted(kind)
    first = model.predict(Z)
    expected = first.copy()
    first *= 0
    np.testing.assert_array_equal(model.predict(Z), expected)


@each
@pytest.mark.parametrize("network", [None, FullyConnected(1, width=8, n_networks=2)])
def test_pickle_predicts_the_same(kind, network):
    model = fitted(kind, network)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(Z), model.predict(Z))


LOAD = """
import pickle, sys
import numpy as np
model, Z, expected = pickle.load(open(sys.argv[1], "rb"))
np.testing.assert_allclose(model.predict(Z), expected, rtol=1e-12)
"""


@pytest.mark.parametrize("network", [None, FullyConnected(1, width=8, n_networks=2)])
def test_fresh_process_predicts_the_same(network, tmp_path):
    model = fitted(NTKRegressor, network)
    path = tmp_path / "model"
    path.write_bytes(pickle.dumps((model, Z, model.predict(Z))))
    subprocess.run([sys.executable, "-c", LOAD, str(path)], check=True)
