"""Grid searches over the network, finite widths, and other meta-estimators."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ntk_sklearn import NNGPClassifier, NNGPRegressor, NTKClassifier, NTKRegressor
from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import Convolutional, FullyConnected

X, LABELS = load_iris(return_X_y=True)
X, LABELS = X[::3], LABELS[::3]
KINDS = [NTKRegressor, NTKClassifier, NNGPRegressor, NNGPClassifier]
each = pytest.mark.parametrize("kind", KINDS)


def targets(kind):
    return LABELS if is_classifier(kind()) else X[:, 3]


@pytest.mark.parametrize("kind", [NTKRegressor, NTKClassifier])
@pytest.mark.parametrize("network", [None, FullyConnected()])
def test_grid_over_depth_width_and_ridge_in_a_pipeline(kind, network):
    pipeline = make_pipeline(StandardScaler(), kind(network))
    name = kind.__name__.lower()
    grid = {
        f"{name}__network__depth": [1, 2],
        f"{name}__network__width": [8, math.inf],
        f"{name}__alpha": [1e-4, 1e-1],
    }
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, targets(kind))
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores.round(12))) >= 4  # the parameters arrive
    assert search.score(X, targets(kind)) > 0.9
    found = search.best_estimator_[-1].kernel_.network
    assert found.depth == search.best_params_[f"{name}__network__depth"]
    assert network in (None, FullyConnected())


@pytest.mark.parametrize("kind", [NNGPRegressor, NNGPClassifier])
def test_grid_over_networks(kind):
    networks = [FullyConnected(1), FullyConnected(2, activation="erf"), Convolutional(1)]
    model = kind(image_shape=(1, 2, 2))
    search = GridSearchCV(model, {"network": networks[2:]}, cv=2, error_score="raise")
    assert search.fit(X, targets(kind)).best_params_["network"] == Convolutional(1)
    search = GridSearchCV(kind(), {"network": networks[:2]}, cv=2, error_score="raise")
    assert search.fit(X, targets(kind)).best_score_ > 0.5


@each
def test_nested_parameters_of_the_default_network(kind):
    model = kind().set_params(network__depth=1, network__activation="erf")
    assert model.network == FullyConnected(1, activation="erf")
    assert kind().network is None
    with pytest.raises(ValueError, match="depht"):
        kind().set_params(network__depht=1)


# Finite width


@each
def test_finite_width_is_the_same_in_every_fit_and_call(kind):
    network = FullyConnected(2, width=16, n_networks=3, random_state=1)
    model, again = (kind(network).fit(X, targets(kind)) for _ in range(2))
    expected = model.predict(X)
    np.testing.assert_array_equal(again.predict(X), expected)
    parts = np.hstack([model.predict(X[:20]), model.predict(X[20:])])
    np.testing.assert_allclose(parts, expected, rtol=1e-10)


@pytest.mark.parametrize("kind", [NTKRegressor, NNGPRegressor])
def test_finite_width_uses_the_kernel_of_the_random_networks(kind):
    network = FullyConnected(1, width=16, n_networks=3, random_state=1)
    model = kind(network, normalize_y=False).fit(X, X[:, 3])
    kernel = {NTKRegressor: NTK, NNGPRegressor: NNGP}[kind](network)
    expected = kernel(X[:5], X) @ model.dual_coef_[:, 0]
    np.testing.assert_allclose(model.predict(X[:5]), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", [NTKRegressor, NNGPRegressor])
def test_predictions_of_wide_networks_approach_the_limit(kind):
    train, test = slice(0, None, 2), slice(1, None, 2)

    def predicted(width):
        network = FullyConnected(1, width=width, n_networks=8)
        return kind(network).fit(X[train], X[train, 3]).predict(X[test])

    limit = predicted(math.inf)
    errors = [np.abs(predicted(width) - limit).mean() for width in (8, 2048)]
    assert errors[1] < errors[0] / 4  # the root of the widths' ratio is 16


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
def test_finite_width_needs_an_integer_random_state(random_state):
    with pytest.raises(TypeError, match="random_state"):
        NTKRegressor(FullyConnected(1, width=8, random_state=random_state)).fit(X, X[:, 3])


# Other meta-estimators


def test_calibration_gives_probabilities_to_the_trained_network():
    model = CalibratedClassifierCV(NTKClassifier(), cv=3).fit(X, LABELS)
    assert model.predict_proba(X).shape == (50, 3)
    assert model.score(X, LABELS) > 0.9


def test_wrapped_outputs_equal_ours():
    Y = X[:, 2:]
    wrapped = MultiOutputRegressor(NTKRegressor()).fit(X[:, :2], Y).predict(X[:, :2])
    own = NTKRegressor().fit(X[:, :2], Y).predict(X[:, :2])
    np.testing.assert_allclose(wrapped, own, rtol=1e-8)


@each
def test_cross_validation_in_processes(kind):
    serial, parallel = (
        cross_val_score(kind(), X, targets(kind), cv=3, n_jobs=n, error_score="raise")
        for n in (1, 2)
    )
    np.testing.assert_allclose(parallel, serial, rtol=1e-10)
