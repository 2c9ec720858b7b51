"""Labels and class weights, for both classifiers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import compute_sample_weight

from ntk_sklearn import NNGPClassifier, NTKClassifier

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 3))
CODES = np.digitize(X[:, 0], [-0.5, 0.5])
each = pytest.mark.parametrize("kind", [NTKClassifier, NNGPClassifier])


def outputs(model, rows):
    name = "decision_function" if isinstance(model, NTKClassifier) else "predict_proba"
    return getattr(model, name)(rows)


LABELS = {
    "int": np.array([0, 1, 2]),
    "negative": np.array([-7, -1, 30]),
    "int8": np.array([1, 2, 3], dtype=np.int8),
    "whole floats": np.array([0.0, 1.0, 5.0]),
    "str": np.array(["a", "b", "cc"]),
    "object": np.array(["a", "b", "cc"], dtype=object),
}


@each
@pytest.mark.parametrize("name", LABELS)
def test_labels_keep_their_type(kind, name):
    labels = LABELS[name]
    model = kind().fit(X, labels[CODES])
    np.testing.assert_array_equal(model.classes_, labels)
    assert model.classes_.dtype == model.predict(X).dtype == labels.dtype
    np.testing.assert_array_equal(outputs(model, X), outputs(kind().fit(X, CODES), X))


@each
@pytest.mark.parametrize("labels", [[False, True], [-1, 1], ["no", "yes"]], ids=str)
def test_two_classes_of_any_type(kind, labels):
    y = np.array(labels)[(CODES > 0).astype(int)]
    model = kind().fit(X, y)
    assert model.score(X, y) > 0.9
    assert model.classes_.tolist() == labels


@each
def test_order_of_appearance_does_not_matter(kind):
    y = np.array(["b", "c", "a"])[CODES]
    np.testing.assert_array_equal(kind().fit(X, y).classes_, ["a", "b", "c"])


@each
def test_column_of_labels_is_flattened_with_a_warning(kind):
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        model = kind().fit(X, CODES[:, np.newaxis])
    assert model.predict(X).shape == (30,)


@each
@pytest.mark.filterwarnings("ignore:The number of unique classes is greater than")
def test_as_many_classes_as_rows(kind):
    assert kind().fit(X, np.arange(30)).score(X, np.arange(30)) == 1.0


# Refusals


@each
@pytest.mark.parametrize(
    "y, message",
    [
        (np.zeros(30), "1 class"),
        (X[:, 0], "Unknown label type"),
        (np.eye(3)[CODES], "multilabel|y should be a 1d array"),
        (np.array([None, "a", "b"], dtype=object)[CODES], "label"),
        (np.array([1, "a", "b"], dtype=object)[CODES], "label"),
        (np.where(CODES == 1, np.nan, CODES), "NaN"),
        (np.array([]), "inconsistent numbers of samples"),
    ],
    ids=["one class", "continuous", "matrix", "None", "mixed", "nan", "none"],
)
def test_what_is_no_classification_is_refused(kind, y, message):
    with pytest.raises(ValueError, match=message):
        kind().fit(X, y)


@each
def test_weights_that_leave_one_class_are_refused(kind):
    with pytest.raises(ValueError, match="1 class"):
        kind().fit(X, CODES, CODES == 1)


# Class weights


@each
@pytest.mark.parametrize("class_weight", ["balanced", {0: 1.0, 1: 5.0, 2: 0.2}, {1: 3.0}], ids=str)
def test_class_weights_multiply_the_sample_weights(kind, class_weight):
    weight = np.linspace(0.5, 2.0, 30)
    product = weight * compute_sample_weight(class_weight, CODES)
    found = kind(class_weight=class_weight).fit(X, CODES, weight)
    np.testing.assert_array_equal(outputs(found, X), outputs(kind().fit(X, CODES, product), X))


@each
def test_balance_counts_only_rows_of_positive_weight(kind):
    kept = np.arange(30) % 3 > 0
    weighted = kind(class_weight="balanced").fit(X, CODES, kept)
    removed = kind(class_weight="balanced").fit(X[kept], CODES[kept])
    np.testing.assert_allclose(outputs(weighted, X), outputs(removed, X), rtol=1e-12)


@each
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_class_weights_are_positive(kind, value):
    with pytest.raises(ValueError, match="class_weight"):
        kind(class_weight={1: value}).fit(X, CODES)


@each
def test_class_weight_of_an_unknown_kind_is_refused(kind):
    with pytest.raises(ValueError, match="class_weight"):
        kind(class_weight="even").fit(X, CODES)
