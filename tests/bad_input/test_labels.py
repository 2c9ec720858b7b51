"""Labels of classifiers: one class, types, columns, absent classes."""

from __future__ import annotations

import numpy as np
import pytest
from bad_input_cases import (
    DENSE,
    SEARCHES,
    X,
    Z,
    classifiers,
    outputs,
)
from sklearn.exceptions import DataConversionWarning

from ntk_sklearn import NNGPClassifierCV

CODES = np.arange(20) % 3


@classifiers
def test_one_class_is_refused(kind):
    with pytest.raises(ValueError, match="class"):
        kind(DENSE).fit(X, np.zeros(20))


LABELS = {
    "text": np.array(["a", "b", "cc"]),
    "objects of text": np.array(["a", "b", "cc"], dtype=object),
    "numpy.str_": np.array([np.str_("a"), np.str_("b"), np.str_("cc")]),
    "negative": np.array([-7, -1, 30]),
    "int8": np.array([1, 2, 3], dtype=np.int8),
    "whole floats": np.array([0.0, 1.0, 5.0]),
    "bool": np.array([False, True]),
    "signs": np.array([-1, 1]),
}


@classifiers
@pytest.mark.parametrize("name", LABELS)
def test_classes_are_sorted_and_keep_their_type(kind, name):
    labels = LABELS[name]
    codes = CODES % len(labels)
    model = kind(DENSE).fit(X[::-1], labels[codes][::-1])
    np.testing.assert_array_equal(model.classes_, labels)
    assert model.classes_.dtype == model.predict(Z).dtype == labels.dtype
    expected = kind(DENSE).fit(X[::-1], codes[::-1])
    np.testing.assert_array_equal(outputs(model, Z), outputs(expected, Z))


NO_LABELS = {
    "None": (np.array([None, "a", "b"], dtype=object)[CODES], "label"),
    "nan": (np.where(CODES == 1, np.nan, CODES), "NaN"),
    "nan among objects": (np.array([np.nan, "a", "b"], dtype=object)[CODES], "label|NaN"),
    "mixed": (np.array([1, "a", "b"], dtype=object)[CODES], "label"),
}


@classifiers
@pytest.mark.parametrize("case", NO_LABELS)
def test_labels_that_are_missing_or_of_mixed_types_are_refused(kind, case):
    y, message = NO_LABELS[case]
    with pytest.raises(ValueError, match=message):
        kind(DENSE).fit(X, y)


@classifiers
@pytest.mark.parametrize("y", [X[:, 0], np.eye(3)[CODES]], ids=["continuous", "one-hot"])
def test_what_is_no_classification_is_refused(kind, y):
    with pytest.raises(ValueError, match=r"Unknown label type|y should be a 1d array"):
        kind(DENSE).fit(X, y)


@classifiers
def test_a_column_of_labels_is_flattened_with_a_warning(kind):
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        model = kind(DENSE).fit(X, CODES[:, np.newaxis])
    assert model.predict(Z).shape == (5,)


@classifiers
@pytest.mark.filterwarnings("ignore:The number of unique classes is greater than")
def test_as_many_classes_as_rows_are_told_apart(kind):
    if kind is NNGPClassifierCV:  # by folds, into each of which every class must get
        with pytest.raises(ValueError, match="members in each class"):
            kind(DENSE).fit(X, np.arange(20))
        return
    model = kind(DENSE).fit(X, np.arange(20))
    if kind not in SEARCHES:  # which find a ridge for rows whose class is not known
        np.testing.assert_array_equal(model.predict(X), np.arange(20))
    assert outputs(model, Z).shape == (5, 20)


@classifiers
@pytest.mark.parametrize("absent", [0, 1, 2])
def test_a_class_absent_from_a_fold_has_no_column(kind, absent):
    kept = absent != CODES
    model = kind(DENSE).fit(X[kept], CODES[kept])
    np.testing.assert_array_equal(model.classes_, [c for c in range(3) if c != absent])
    found = outputs(model, Z)
    assert found.shape in ((5,), (5, 2))  # decision_function has one column for two classes
    assert absent not in model.predict(X)
