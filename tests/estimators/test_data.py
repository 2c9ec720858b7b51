"""What all four estimators do with images, options and weights."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import is_classifier

from ntk_sklearn import NNGPClassifier, NNGPRegressor, NTKClassifier, NTKRegressor, flatten_images
from ntk_sklearn.networks import Convolutional, Dense, FullyConnected, Serial

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


# Images

IMAGES, NEW = X.reshape(20, 1, 3, 4), Z.reshape(5, 1, 3, 4)


@each
@pytest.mark.parametrize("image_shape", [None, (1, 3, 4), (1, -1, 4)])
def test_images_equal_their_rows(kind, image_shape):
    network, y = Convolutional(1), targets(kind)
    rows = kind(network, image_shape=(1, 3, 4)).fit(X, y)
    images = kind(network, image_shape=image_shape).fit(IMAGES, y)
    assert images.n_features_in_ == 12
    assert images.kernel_.image_shape == (1, 3, 4)
    expected = rows.predict(Z)
    for model in (rows, images):
        np.testing.assert_array_equal(model.predict(NEW), expected)
        np.testing.assert_array_equal(model.predict(Z), expected)


@each
def test_images_of_another_shape_are_refused_at_predict(kind):
    model = kind(Convolutional(1)).fit(IMAGES, targets(kind))
    with pytest.raises(ValueError, match=r"\(1, 4, 3\).*\(1, 3, 4\)"):
        model.predict(NEW.reshape(5, 1, 4, 3))


@each
def test_images_with_channels_last_are_refused_by_name(kind):
    last = np.zeros((20, 8, 8, 3))
    with pytest.raises(ValueError, match="flatten_images"):
        kind(Convolutional(1)).fit(last, targets(kind))
    rows, image_shape = flatten_images(last, channel_axis=-1)
    assert image_shape == (3, 8, 8)
    assert rows.shape == (20, 192)


@each
@pytest.mark.parametrize("image_shape", [(1, 3, 5), (-1, -1), (0, 12), (1.0, 12), (12,), "auto"])
def test_image_shape_is_checked_by_fit(kind, image_shape):
    model = kind(Convolutional(1), image_shape=image_shape)
    with pytest.raises(ValueError, match="image_shape"):
        model.fit(X, targets(kind))


@each
def test_rows_for_a_convolutional_network_need_an_image_shape(kind):
    with pytest.raises(ValueError, match="image_shape"):
        fitted(kind, Convolutional(1))


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


@each
@pytest.mark.parametrize(
    "weight, message",
    [
        (np.zeros(20), "zero"),
        (np.full(20, -1.0), "[Nn]egative"),
        (np.append(np.ones(19), np.nan), "NaN"),
        (np.ones(19), "shape"),
        (np.ones((20, 2)), "1D array|one-dimensional"),
    ],
    ids=["zero", "negative", "nan", "short", "matrix"],
)
def test_weights_are_checked(kind, weight, message):
    with pytest.raises(ValueError, match=message):
        kind().fit(X, targets(kind), weight)


@each
@pytest.mark.parametrize("weight", [1, np.ones(20), np.ones(20, dtype=int), [1.0] * 20], ids=type)
def test_unit_weights_are_no_weights(kind, weight):
    found = kind().fit(X, targets(kind), weight)
    np.testing.assert_array_equal(found.predict(Z), fitted(kind).predict(Z))


# Rows


@each
def test_masked_rows_are_refused(kind):
    with pytest.raises(ValueError, match="masked"):
        kind().fit(np.ma.masked_array(X, X > 1.0), targets(kind))


@each
def test_rows_too_large_for_the_kernel_are_refused(kind):
    with pytest.raises(ValueError, match="scale X down"):
        kind().fit(X * 1e200, targets(kind))
