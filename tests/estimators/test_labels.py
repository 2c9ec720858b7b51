"""Labels and class weights, for both classifiers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils import compute_sample_weight

from ntk_sklearn import NNGPClassifier, NTKClassifier

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 3))
CODES = np.digitize(X[:, 0], [-0.5, 0.5])
each = pytest.mark.parametrize("kind", [NTKClassifier, NNGPClassifier])


def outputs(model, rows):
    name = "decision_function" if isinstance(model, NTKClassifier) else "predict_proba"
    return getattr(model, name)(rows)


@each
def test_order_of_appearance_does_not_matter(kind):
    y = np.array(["b", "c", "a"])[CODES]
    np.testing.assert_array_equal(kind().fit(X, y).classes_, ["a", "b", "c"])


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
