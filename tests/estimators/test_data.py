"""What all four estimators do with options, and with precision."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import is_classifier

from ntk_sklearn import NNGPClassifier, NNGPRegressor, NTKClassifier, NTKRegressor
from ntk_sklearn.networks import Dense, FullyConnected, Serial

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(20, 12)), rng.normal(size=(5, 12))
KINDS = [NTKRegressor, NTKClassifier, NNGPRegressor, NNGPClassifier]
each = pytest.mark.parametrize("kind", KINDS)


def targets(kind):
    """Two continuous outputs, or three classes."""
    if is_classifier(kind()):
        return np.digitize(X[:, 0], [-0.5, 0.5])
    return np.column_stack([X[:, 0], 9.0 * np.cos(X[:, 1])])


def fitted(kind, network=None, **options):
    return kind(network, **options).fit(X, targets(kind))


# Options


@each
@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"device": "cuda:99"}, ValueError, "device must be 'auto' or one of .*'cpu'"),
        ({"device": "mps"}, ValueError, "device must be 'auto' or one of"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of"),
        ({"backend": "fast"}, ValueError, "backend must be 'auto' or one of"),
        ({"memory_budget": "1KB"}, MemoryError, "20 x 20 entries .* GB"),
        ({"network": "relu"}, TypeError, "network must be None, a preset"),
        ({"network": FullyConnected(-1)}, ValueError, "depth"),
        ({"network": FullyConnected(2.5)}, TypeError, "depth"),
        ({"network": FullyConnected(activation="rleu")}, ValueError, "activation"),
        ({"network": FullyConnected(width=0)}, ValueError, "width"),
    ],
    ids=str,
)
def test_options_are_checked_by_fit(kind, options, error, message):
    model = kind(**options)
    with pytest.raises(error, match=message):
        model.fit(X, targets(kind))


@each
@pytest.mark.parametrize("options", [{"device": "cpu"}, {"memory_budget": "1GB"}, {}])
@pytest.mark.parametrize("network", [FullyConnected(), Serial(Dense(), Dense())], ids=str)
def test_options_that_change_no_result(kind, options, network):
    found, expected = fitted(kind, network, **options), fitted(kind, network, device="cpu")
    np.testing.assert_array_equal(found.predict(Z), expected.predict(Z))


@each
def test_single_precision_kernels_are_close(kind):
    name = {NTKClassifier: "decision_function", NNGPClassifier: "predict_proba"}.get(
        kind, "predict"
    )
    single, double = (getattr(fitted(kind, dtype=t), name)(Z) for t in ("float32", "float64"))
    assert single.dtype == np.float64
    assert np.abs(single - double).max() < 1e-3 * np.abs(double).max()
    assert (single != double).any()


# Weights


# Rows
