"""Fits that fail or are interrupted, refits, and what callers do to their objects."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest
import torch
from bad_input_cases import (
    DENSE,
    RIDGELESS,
    X,
    Z,
    estimators,
    fitted,
    outputs,
    targets,
)
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from tight_budgets import tight_budget

from ntk_sklearn.backends import ReferenceEvaluator
from ntk_sklearn.networks import FullyConnected

METHODS = ["predict", "decision_function", "predict_proba", "sample_y", "max_learning_rate"]


def methods(model):
    return [getattr(model, name) for name in METHODS if hasattr(model, name)]


@estimators
def test_prediction_before_fit_is_refused(kind):
    for method in methods(kind(DENSE)):
        arguments = () if method.__name__ == "max_learning_rate" else (Z,)
        with pytest.raises(NotFittedError):
            method(*arguments)


BAD_FITS = {
    "targets": ((X, np.full(20, np.nan)), {}),
    "weights": ((X, None, -np.ones(20)), {}),
    "weights, other width": ((X[:, :5], None, -np.ones(20)), {}),
    "network": ((X, None), {"network": FullyConnected(-1)}),
    "image shape": ((X, None), {"image_shape": (1, 5, 5)}),
    "overflow": ((X * 1e200, None), {}),
    "device": ((X, None), {"device": "abacus"}),
}


def bad_fit(model, kind, case):
    (rows, y, *weight), options = BAD_FITS[case]
    before = {name: getattr(model, name) for name in options}
    with pytest.raises((ValueError, TypeError)):
        model.set_params(**options).fit(rows, targets(kind) if y is None else y, *weight)
    model.set_params(**before)


@estimators
@pytest.mark.parametrize("case", BAD_FITS)
def test_a_fit_that_fails_leaves_no_trace(kind, case):
    model = fitted(kind)
    expected, before = outputs(model, Z), dict(vars(model))
    bad_fit(model, kind, case)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    np.testing.assert_array_equal(outputs(model, Z), expected)
    fresh = kind(DENSE)
    bad_fit(fresh, kind, case)
    with pytest.raises(NotFittedError):
        fresh.predict(Z)


@estimators
@pytest.mark.parametrize("weight", [None, np.arange(20) % 3])
def test_parameters_are_as_they_were_after_fit(kind, weight):
    options = {"noise": np.full(20, 0.1)} if "noise" in RIDGELESS.get(kind, {}) else {}
    model = kind(DENSE, image_shape=[1, -1, 4], **options)
    before = {name: (value, repr(value)) for name, value in model.get_params().items()}
    model.fit(X, targets(kind), weight)
    after = model.get_params()
    assert after.keys() == before.keys()
    assert all(after[n] is value and repr(value) == shown for n, (value, shown) in before.items())
    copy = clone(model)
    assert {n: repr(v) for n, v in copy.get_params().items()} == {
        n: shown for n, (_, shown) in before.items()
    }
    with pytest.raises(NotFittedError):
        copy.predict(Z)


@estimators
def test_callers_may_change_their_arrays_and_network_after_fit(kind):
    rows, y, weight, network = X.copy(), targets(kind), np.ones(20), FullyConnected(1)
    model = kind(network).fit(rows, y, weight)
    expected = outputs(model, Z)
    for values in (rows, y, weight):
        values *= 0
    network.set_params(depth=3, w_std=0.1)
    np.testing.assert_array_equal(outputs(model, Z), expected)


@estimators
def test_callers_may_change_their_tensors_after_fit(kind):
    tensor, y = torch.tensor(X), torch.tensor(targets(kind))
    model = kind(DENSE).fit(tensor, y)
    expected = outputs(model, Z)
    tensor.zero_()
    y.zero_()
    np.testing.assert_array_equal(outputs(model, Z), expected)


@estimators
@pytest.mark.parametrize("refit", [False, True])
def test_an_interrupt_ends_the_fit_within_a_tile(kind, refit, monkeypatch, tmp_path):
    calls, fill = [], ReferenceEvaluator.tile

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        fill(*arguments)

    budget = tight_budget(DENSE, None, (2, 20, 20), side=4)
    model = kind(DENSE, backend="reference", memory_budget=budget)
    if refit:
        model.fit(X, targets(kind))
    before = dict(vars(model))
    monkeypatch.setattr(ReferenceEvaluator, "tile", interrupted)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, targets(kind))
    assert len(calls) == 3
    assert not list(tmp_path.iterdir())
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
