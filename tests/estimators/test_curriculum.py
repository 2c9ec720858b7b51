"""The NTK estimators with a curriculum of modes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntk_sklearn import NTKClassifier, NTKRegressor
from ntk_sklearn.inference import ModeCurriculum, filtered_targets
from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import FullyConnected

rng = np.random.default_rng(0)
X, Z = rng.standard_normal((16, 3)), rng.standard_normal((5, 3))
Y = np.column_stack([np.sin(2 * X[:, 0]), X[:, 1] * X[:, 2]])
LABELS = (Y[:, 0] > 0).astype(int) + (Y[:, 1] > 0)
NETWORK = FullyConnected(2)
STAGES = ModeCurriculum(starts=(0, 0.2, 1.0), shares=(0.1, 0.5, 1.0))
STEPS = ModeCurriculum(starts=(0, 5, 20), shares=(0.1, 0.5, 1.0))
TIMES = [0.0, 0.1, 0.2, 0.3, 1.0, 1.7, 30.0]


def outputs(model, t=None):
    return model.decision_function(Z, t) if hasattr(model, "classes_") else model.predict(Z, t)


def test_against_stages_of_fits():
    """Each stage is training for its time on its targets, from where the one before came to."""
    theta, cross = NTK(NETWORK)(X), NTK(NETWORK)(Z, X)
    model = NTKRegressor(NETWORK, alpha=0, normalize_y=False, curriculum=STAGES, t=1.5).fit(X, Y)
    found, at_X = np.zeros((5, 2)), np.zeros((16, 2))
    for time, share in zip((0.2, 0.8, 0.5), STAGES.shares, strict=True):
        stage = NTKRegressor(NETWORK, alpha=0, normalize_y=False, t=time)
        stage.fit(X, filtered_targets(theta, Y, share) - at_X)
        found, at_X = found + cross @ stage.dual_coef_, at_X + theta @ stage.dual_coef_
    np.testing.assert_allclose(model.predict(Z), found, rtol=1e-9, atol=1e-12)
    loss = 0.5 * ((at_X - Y) ** 2).sum()
    assert model.loss_curve([1.5])[0] == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("kind, y", [(NTKRegressor, Y), (NTKClassifier, LABELS)])
def test_nothing_is_hidden_at_the_end(kind, y, alpha):
    plain = kind(NETWORK, alpha=alpha).fit(X, y)
    model = kind(NETWORK, alpha=alpha, curriculum=STAGES).fit(X, y)
    np.testing.assert_array_equal(outputs(model), outputs(plain))
    early = kind(NETWORK, alpha=alpha, curriculum=STAGES, t=0.3).fit(X, y)
    np.testing.assert_allclose(outputs(early, np.inf), outputs(plain), rtol=1e-8, atol=1e-10)
    assert np.abs(outputs(early) - outputs(plain, 0.3)).max() > 1e-2


@pytest.mark.parametrize(
    "options", [{}, {"learning_rate": 1e-2, "momentum": 0.5}], ids=["flow", "steps"]
)
def test_times_of_predict_and_of_the_constructor_agree(options):
    stages, times = (STEPS, [0, 3, 5, 6, 20, 31]) if options else (STAGES, TIMES)
    late = NTKRegressor(NETWORK, curriculum=stages, **options).fit(X, Y)
    found = late.predict(Z, t=times)
    for t, expected in zip(times, found, strict=True):
        early = NTKRegressor(NETWORK, curriculum=stages, t=t, **options).fit(X, Y)
        np.testing.assert_allclose(early.predict(Z), expected, rtol=1e-9, atol=1e-12)


def test_spread_over_initializations_is_that_of_the_same_filter():
    options = {"alpha": 0, "normalize_y": False, "curriculum": STAGES, "t": 0.6}
    _, found = NTKRegressor(NETWORK, **options).fit(X, Y[:, 0]).predict(Z, return_cov=True)
    A = NTKRegressor(NETWORK, **options).fit(X, np.eye(16)).predict(Z)  # columns of the smoother
    K, cross, new = NNGP(NETWORK)(X), NNGP(NETWORK)(Z, X), NNGP(NETWORK)(Z)
    expected = new + A @ K @ A.T - A @ cross.T - cross @ A.T
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def test_later_changes_of_the_parameter_do_not_reach_a_fitted_model():
    model = NTKRegressor(NETWORK, curriculum=STAGES, t=0.5).fit(X, Y)
    expected = model.predict(Z, t=0.3)
    model.set_params(curriculum=None)
    np.testing.assert_array_equal(model.predict(Z, t=0.3), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(Z, t=0.3), expected)
    assert np.abs(model.fit(X, Y).predict(Z, t=0.3) - expected).max() > 1e-3


@pytest.mark.parametrize("network", [NETWORK, "precomputed"])
def test_weights_are_repetitions(network):
    weight = np.arange(16) % 3
    repeated = np.repeat(np.arange(16), weight)
    first, again = X, X[repeated]
    new = (Z, Z)
    if network == "precomputed":  # rows are not merged: repeated ones have modes that do not count
        kernel = NTK(NETWORK)
        first, again = kernel(X), kernel(X[repeated])
        new = kernel(Z, X), kernel(Z, X[repeated])
    model = NTKRegressor(network, alpha=1e-3, t=0.6, curriculum=STAGES, uncertainty=None)
    weighted = clone(model).fit(first, Y, weight).predict(new[0])
    np.testing.assert_allclose(weighted, model.fit(again, Y[repeated]).predict(new[1]), rtol=1e-8)


def test_curricula_can_be_searched():
    search = GridSearchCV(NTKRegressor(NETWORK, t=0.6), {"curriculum": [None, STAGES]}, cv=3)
    assert search.fit(X, Y).best_params_["curriculum"] in (None, STAGES)


@pytest.mark.parametrize(
    "message, options",
    [
        ("curriculum must be None or a ModeCurriculum", {"curriculum": (0.1, 1.0)}),
        ("which only loss='squared' learns one by one", {"loss": "huber", "t": 1.0}),
        ("t counts steps and must be whole", {"learning_rate": 1e-3, "t": 3}),
    ],
)
def test_bad_curricula(message, options):
    with pytest.raises((TypeError, ValueError), match=message):
        NTKRegressor(NETWORK, **{"curriculum": STAGES} | options).fit(X, Y)


@parametrize_with_checks(
    [
        NTKRegressor(t=2.0, curriculum=ModeCurriculum((0, 0.2), (0.5, 1))),
        NTKClassifier(t=2.0, curriculum=ModeCurriculum((0, 0.2), (0.5, 1))),
    ]
)
def test_conformance(estimator, check):
    check(estimator)
