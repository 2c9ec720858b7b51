"""Weights of rows: impossible ones, and weights as repetitions."""

from __future__ import annotations

import numpy as np
import pytest
from bad_input_cases import (
    CLASSIFIERS,
    DENSE,
    ESTIMATORS,
    RIDGELESS,
    TRAINED,
    X,
    Z,
    classifiers,
    estimators,
    outputs,
    targets,
)

BAD_WEIGHTS = {
    "negative": (np.r_[-1.0, np.ones(19)], "[Nn]egative"),
    "nan": (np.r_[np.nan, np.ones(19)], "NaN"),
    "inf": (np.r_[np.inf, np.ones(19)], "infinity"),
    "short": (np.ones(19), "shape"),
    "matrix": (np.ones((20, 2)), "1D array"),
    "zero": (np.zeros(20), "zero"),
}


@estimators
@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_weights_that_are_none_are_refused(kind, case):
    weight, message = BAD_WEIGHTS[case]
    with pytest.raises(ValueError, match=message):
        kind(DENSE).fit(X, targets(kind), weight)


WEIGHT = np.arange(20) // 3 % 3


def options_of(kind):
    """Options under which a weight must mean the same."""
    found = [{}, RIDGELESS.get(kind, {})]
    if kind in TRAINED:
        found += [{"t": 0.3}, {"t": 0.3, "loss_scale": "mean"}]
    if kind not in CLASSIFIERS:
        found += [{"normalize_y": False}]
    return found


CASES = [(kind, options) for kind in ESTIMATORS for options in options_of(kind)]


def answers(kind, options, rows, y, weight=None):
    model = kind(DENSE, **options).fit(rows, y, weight)
    spread = [] if kind in CLASSIFIERS else [model.predict(Z, return_std=True)[1]]
    return [outputs(model, Z), *spread]


@pytest.mark.parametrize("kind, options", CASES, ids=str)
def test_weights_are_repetitions_and_zero_is_absence(kind, options):
    y = targets(kind)
    weighted = answers(kind, options, X, y, WEIGHT)
    rows = np.repeat(np.arange(20), WEIGHT)
    repeated = answers(kind, options, X[rows], y[rows])
    for found, expected in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)
    unit, none = answers(kind, options, X, y, np.ones(20)), answers(kind, options, X, y)
    for found, expected in zip(unit, none, strict=True):
        np.testing.assert_array_equal(found, expected)


@classifiers
def test_weights_that_leave_one_class_are_refused(kind):
    y = targets(kind)
    with pytest.raises(ValueError, match="class"):
        kind(DENSE).fit(X, y, y == 1)
