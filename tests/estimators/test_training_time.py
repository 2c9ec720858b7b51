"""The NTK estimators at finite training times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntk_sklearn import NTKClassifier, NTKRegressor
from ntk_sklearn.networks import Activation, Dense, Serial

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "predictions.npz")
SQRT2 = 2.0**0.5
NETWORK = Serial(
    Dense(SQRT2, 0.1), Activation("relu"), Dense(SQRT2, 0.1), Activation("relu"), Dense(1.0, 0.05)
)
X, Y, Z = GOLDEN["X_train"], GOLDEN["y_train"], GOLDEN["X_test"]
TIMES = [0.5, 5.0, 50.0, 5000.0]


@pytest.mark.parametrize("reg", [0.0, 0.001])
@pytest.mark.parametrize("t", [*TIMES, None])
def test_against_neural_tangents(reg, t):
    time = np.inf if t is None else t
    model = NTKRegressor(NETWORK, alpha=reg, t=time, loss_scale="mean", normalize_y=False)
    recorded = GOLDEN[f"ensemble/ntk/reg={reg}/t={t}/mean"]
    found = model.fit(X, Y).predict(Z)
    assert np.abs(found - recorded).max() < 1e-10 * np.abs(recorded).max()


@pytest.mark.parametrize("t", [0.0, 0.3, np.inf])
@pytest.mark.parametrize("alpha", [0.0, 1e-2])
def test_times_of_predict_and_of_the_constructor_agree(t, alpha):
    early, late = (NTKRegressor(NETWORK, alpha=alpha, t=time).fit(X, Y) for time in (t, np.inf))
    np.testing.assert_allclose(early.predict(Z), late.predict(Z, t=t), rtol=1e-9, atol=1e-12)
    assert np.array_equal(early.predict(Z), early.predict(Z, t=None))


def test_arrays_of_times_are_stacked():
    model = NTKRegressor(NETWORK).fit(X, Y[:, 0])
    found = model.predict(Z, t=TIMES)
    assert found.shape == (4, len(Z))
    np.testing.assert_allclose(found[1], model.predict(Z, t=TIMES[1]), rtol=1e-12)


def test_before_training_it_is_zero_and_behind_it_the_targets():
    model = NTKRegressor(NETWORK, alpha=0, normalize_y=False).fit(X, Y)
    assert (model.predict(Z, t=0) == 0).all()
    np.testing.assert_allclose(model.predict(X, t=np.inf), Y, rtol=1e-9)


def test_summed_and_mean_losses_differ_by_their_number():
    slow = NTKRegressor(NETWORK, t=1.0, loss_scale="mean").fit(X, Y).predict(Z)
    fast = NTKRegressor(NETWORK, t=1.0 / Y.size).fit(X, Y).predict(Z)
    np.testing.assert_allclose(slow, fast, rtol=1e-12)


@pytest.mark.parametrize("loss_scale", ["sum", "mean"])
@pytest.mark.parametrize("alpha, t", [(0.0, np.inf), (0.0, 0.4), (1e-3, 0.4)])
def test_weights_are_repetitions(alpha, t, loss_scale):
    weight = np.arange(len(X)) % 4
    model = NTKRegressor(NETWORK, alpha=alpha, t=t, loss_scale=loss_scale)
    weighted = clone(model).fit(X, Y, weight).predict(Z)
    repeated = model.fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight, axis=0)).predict(Z)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-9)


def test_training_time_of_a_classifier_can_be_searched():
    X, y = load_iris(return_X_y=True)
    search = GridSearchCV(NTKClassifier(), {"t": [1e-3, 1.0, np.inf]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.9
    labels = search.best_estimator_.predict(X, t=[0.1, 10.0])
    outputs = search.best_estimator_.decision_function(X, t=[0.1, 10.0])
    assert labels.shape == (2, len(X))
    np.testing.assert_array_equal(labels, outputs.argmax(axis=-1))


def test_bad_loss_scale():
    with pytest.raises(ValueError, match="loss_scale must be"):
        NTKRegressor(NETWORK, loss_scale="median").fit(X, Y)


# Without a ridge and at a finite time, too. (A classifier without a ridge interpolates whatever the
# class weights are, and cannot pass the check that they matter.)
@parametrize_with_checks(
    [
        NTKRegressor(alpha=0),
        NTKRegressor(alpha=0, t=10.0, loss_scale="mean"),
        NTKClassifier(t=1.0),
    ]
)
def test_conformance(estimator, check):
    check(estimator)
