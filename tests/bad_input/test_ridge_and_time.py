"""Ridges, noises, training times and learning rates out of their range."""

from __future__ import annotations

import numpy as np
import pytest
from bad_input_cases import (
    DENSE,
    REGRESSORS,
    RIDGELESS,
    X,
    Z,
    fitted,
    outputs,
    ridgeless,
    targets,
    trained,
)


def name_of_ridge(kind):
    return next(name for name in RIDGELESS[kind] if name in ("alpha", "noise"))


BAD = {"negative": -1e-3, "nan": np.nan, "inf": np.inf, "text": "0.1", "None": None, "bool": True}
BAD |= {"short": np.full(7, 0.1), "matrix": np.full((20, 2), 0.1), "negative row": -np.ones(20)}


@ridgeless
@pytest.mark.parametrize("case", BAD)
def test_ridges_and_noises_out_of_range_are_refused(kind, case):
    name = name_of_ridge(kind)
    with pytest.raises((ValueError, TypeError), match=f"{name} must be"):
        kind(DENSE, **{name: BAD[case]}).fit(X, targets(kind))


@ridgeless
def test_no_ridge_interpolates(kind):
    y = targets(kind)
    model = kind(DENSE, **RIDGELESS[kind]).fit(X, y)
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-8, atol=1e-10)


@ridgeless
def test_one_ridge_per_row_is_noise_or_weights(kind):
    each, y = np.linspace(0.5, 2.0, 20), targets(kind)
    name, options = name_of_ridge(kind), RIDGELESS[kind]
    if name == "noise":
        model = kind(DENSE, **options | {"noise": 0.1 * each}).fit(X, y)
        weighted = kind(DENSE, **options | {"noise": 0.1}).fit(X, y, 1.0 / each)
        np.testing.assert_allclose(outputs(model, Z), outputs(weighted, Z), rtol=1e-9)
        return
    with pytest.raises(TypeError, match="alpha must be a number"):
        kind(DENSE, **options | {"alpha": each}).fit(X, y)


def predict_at(model, t):
    name = "decision_function" if hasattr(model, "decision_function") else "predict"
    return getattr(model, name)(Z, t=t)


@trained
@pytest.mark.parametrize("t", [-1.0, np.nan, -np.inf, "late", True, [1.0, -1.0], [np.nan]], ids=str)
def test_times_out_of_range_are_refused(kind, t):
    message = r"t must be .*number"
    with pytest.raises((ValueError, TypeError), match=message):
        kind(DENSE, t=t).fit(X, targets(kind))
    model = fitted(kind)
    with pytest.raises((ValueError, TypeError), match=message):
        predict_at(model, t)


@trained
def test_time_zero_is_the_initial_function(kind):
    model, initial = fitted(kind), 0.0
    if kind in REGRESSORS:
        initial = targets(kind).mean()
    np.testing.assert_allclose(predict_at(model, 0), np.full_like(outputs(model, Z), initial))
    np.testing.assert_allclose(outputs(fitted(kind, t=0.0), Z), predict_at(model, 0))


@trained
def test_infinite_time_is_the_ridgeless_limit(kind):
    options = RIDGELESS[kind]
    limit = fitted(kind, t=np.inf, **options)
    late = fitted(kind, t=1e12, **options)
    np.testing.assert_allclose(outputs(late, Z), outputs(limit, Z), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(predict_at(late, np.inf), outputs(limit, Z), rtol=1e-7, atol=1e-9)


@trained
def test_arrays_of_times_are_stacked(kind):
    model, times = fitted(kind), [0.0, 0.5, np.inf]
    found = predict_at(model, times)
    assert found.shape == (3, *outputs(model, Z).shape)
    for k, t in enumerate(times):
        np.testing.assert_allclose(found[k], predict_at(model, t), rtol=1e-9, atol=1e-12)


@trained
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_learning_rates_that_diverge_are_refused(kind, momentum):
    largest = (1.0 + momentum) * fitted(kind).max_learning_rate()
    y = targets(kind)
    model = kind(DENSE, t=10, learning_rate=0.99 * largest, momentum=momentum).fit(X, y)
    assert np.isfinite(outputs(model, Z)).all()
    with pytest.raises(ValueError, match="learning_rate"):
        kind(DENSE, t=10, learning_rate=1.01 * largest, momentum=momentum).fit(X, y)


@trained
@pytest.mark.parametrize("rate", [-1.0, 0.0, np.nan, np.inf, "fast", True])
def test_learning_rates_out_of_range_are_refused(kind, rate):
    with pytest.raises((ValueError, TypeError), match="learning_rate must be"):
        kind(DENSE, t=10, learning_rate=rate).fit(X, targets(kind))
