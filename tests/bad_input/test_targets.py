"""Targets of regressors: missing, of other types and shapes, of any magnitude; few rows."""

from __future__ import annotations

import numpy as np
import pytest
from bad_input_cases import (
    CLASSIFIERS,
    DENSE,
    RIDGELESS,
    SEARCHES,
    X,
    Z,
    estimators,
    fitted,
    regressors,
)

from ntk_sklearn import NNGPClassifierCV

y = np.sin(np.arange(20.0))


def spoiled(value):
    found = y.copy()
    found[3] = value
    return found


REFUSED = {
    "nan": (spoiled(np.nan), "NaN"),
    "inf": (spoiled(np.inf), "infinity"),
    "-inf": (spoiled(-np.inf), "infinity"),
    "None in it": (spoiled(np.nan).astype(object), "NaN"),
    "three axes": (np.ones((20, 2, 2)), "dim 3"),
    "too few": (y[:19], r"inconsistent numbers of samples: \[20, 19\]"),
    "a number": (1.0, "at least 1 dimension|should be a 1d array"),
    "none": (None, "requires y to be passed"),
}


@estimators
@pytest.mark.parametrize("case", REFUSED)
def test_targets_that_are_missing_or_do_not_fit_are_refused(kind, case):
    bad, message = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=message):
        kind(DENSE).fit(X, bad)


@regressors
@pytest.mark.parametrize("dtype", ["U", "S", "object of text"])
def test_targets_of_text_are_refused(kind, dtype):
    bad = y.astype("U").astype(object) if dtype == "object of text" else y.astype(dtype)
    with pytest.raises(ValueError, match="y must be made of numbers"):
        kind(DENSE).fit(X, bad)


@regressors
@pytest.mark.parametrize("shape", [(20,), (20, 1), (20, 3)])
def test_predictions_have_the_shape_of_the_targets(kind, shape):
    given = np.resize(y, shape)
    model = kind(DENSE).fit(X, given)
    mean, std = model.predict(Z, return_std=True)
    assert mean.shape == std.shape == (5, *shape[1:])
    assert model.predict(Z, return_cov=True)[1].shape == (5, 5, *shape[1:])


WHOLE = np.arange(20) % 5


@regressors
@pytest.mark.parametrize("dtype", [int, np.uint8, bool, object, np.float32, np.float16])
def test_targets_of_any_type_of_numbers_equal_floats(kind, dtype):
    given = (WHOLE > 2 if dtype is bool else WHOLE).astype(dtype)
    found = kind(DENSE).fit(X, given).predict(Z)
    expected = kind(DENSE).fit(X, given.astype(float)).predict(Z)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float64


@regressors
@pytest.mark.parametrize("factor", [1e300, 1e150, 1e-150, 1e-300])
def test_predictions_scale_with_targets_of_any_magnitude(kind, factor):
    mean = kind(DENSE).fit(X, y * factor).predict(Z)
    np.testing.assert_allclose(mean / factor, fitted(kind).predict(Z), rtol=1e-9)
    if 1e-150 <= factor <= 1e150:
        std = kind(DENSE).fit(X, y * factor).predict(Z, return_std=True)[1]
        expected = fitted(kind).predict(Z, return_std=True)[1]
        np.testing.assert_allclose(std / factor, expected, rtol=1e-9)


@regressors
@pytest.mark.parametrize("value", [0.0, -3.0, 1e300, 1e-300])
def test_constant_targets_are_predicted(kind, value):
    found, std = kind(DENSE).fit(X, np.full(20, value)).predict(Z, return_std=True)
    np.testing.assert_allclose(found, value, rtol=1e-12)
    assert np.isfinite(std).all()


@estimators
@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_rows_suffice(kind, n):
    classes = kind in CLASSIFIERS
    n, given = (2, np.array(["a", "b"])) if classes else (n, y[:n])
    model = kind(DENSE, **RIDGELESS.get(kind, {}))
    if kind is NNGPClassifierCV or (kind in SEARCHES and n == 1):  # nothing can be left out
        with pytest.raises(ValueError, match="n_samples"):
            model.fit(X[:n], given)
        return
    found = model.fit(X[:n], given).predict(X[:n])
    if classes and kind not in SEARCHES:
        assert found.tolist() == given.tolist()
    elif not classes:
        np.testing.assert_allclose(found, given, rtol=1e-9, atol=1 if kind in SEARCHES else 1e-12)


@regressors
def test_a_thousand_targets_are_fitted_at_once(kind):
    many = np.sin(np.arange(20_000.0)).reshape(20, 1000)
    found = kind(DENSE).fit(X, many).predict(Z)
    assert found.shape == (5, 1000)
    one = kind(DENSE).fit(X, many[:, 700]).predict(Z)
    np.testing.assert_allclose(found[:, 700], one, rtol=1e-9)
