"""Images: shapes that are told, found, wrong, or too small for the network."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from bad_input_cases import (
    ESTIMATORS,
    IMAGE,
    KERNELS,
    POOLED,
    TORCH_KERNELS,
    X,
    Z,
    dense_matrix,
    estimators,
    everything,
    kernels,
    outputs,
    targets,
)

from ntk_sklearn.networks import Activation, AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Serial

IMAGES, NEW = X.reshape(20, *IMAGE), Z.reshape(5, *IMAGE)


def run(kind, network, image_shape=None, rows=X):
    """Fit an estimator, or compute a Gram."""
    subject = kind(network, image_shape=image_shape)
    if kind in ESTIMATORS:
        return subject.fit(rows, targets(kind))
    return dense_matrix(subject, torch.tensor(rows)) if kind in TORCH_KERNELS else subject(rows)


@estimators
def test_images_tell_their_shape_and_equal_rows(kind):
    found, expected = run(kind, POOLED, rows=IMAGES), run(kind, POOLED, IMAGE)
    assert found.kernel_.image_shape == IMAGE
    assert found.image_shape is None
    assert found.n_features_in_ == 12
    for rows in (NEW, Z):
        np.testing.assert_array_equal(outputs(found, rows), outputs(expected, Z))
        np.testing.assert_array_equal(outputs(expected, rows), outputs(expected, Z))


@kernels
def test_images_tell_kernels_their_shape(kind):
    told, found = kind(POOLED, image_shape=IMAGE), kind(POOLED)
    np.testing.assert_array_equal(found(IMAGES), told(X))
    np.testing.assert_array_equal(found(IMAGES, NEW), told(X, Z))
    np.testing.assert_array_equal(found.diag(IMAGES), told.diag(X))


@everything
def test_rows_without_an_image_shape_are_refused_by_convolutions(kind):
    with pytest.raises(ValueError, match="pass image_shape"):
        run(kind, POOLED)


@everything
def test_image_shape_of_another_size_is_refused_with_both_sizes(kind):
    with pytest.raises(ValueError, match="has 15 values, X has 12 features"):
        run(kind, POOLED, (1, 3, 5))


OTHER = {
    "other": (NEW.reshape(5, 1, 4, 3), r"\(1, 4, 3\).*\(1, 3, 4\)"),
    "channels last": (NEW.reshape(5, 3, 4, 1), r"\(3, 4, 1\).*\(1, 3, 4\)"),
    "large, channels last": (np.zeros((5, 8, 8, 3)), r"\(5, 8, 8, 3\).*flatten_images"),
}


@pytest.mark.parametrize("kind", [*ESTIMATORS, *KERNELS])
@pytest.mark.parametrize("name", OTHER)
def test_images_of_another_shape_are_refused_with_both_shapes(kind, name):
    images, message = OTHER[name]
    if kind in ESTIMATORS:
        use = run(kind, POOLED, rows=IMAGES).predict
    else:
        use = functools.partial(kind(POOLED), IMAGES)
    with pytest.raises(ValueError, match=message):
        use(images)


NO_SHAPES = [(-1, -1, 3), (0, 3, 4), (1, -3, -4), (1.0, 3, 4), (12,), (True, 3, 4), "auto", 12]


@everything
@pytest.mark.parametrize("image_shape", NO_SHAPES, ids=str)
def test_image_shapes_that_are_none_are_refused_on_use(kind, image_shape):
    kind(POOLED, image_shape=image_shape)  # the constructor checks nothing
    with pytest.raises(ValueError, match="image_shape must be"):
        run(kind, POOLED, image_shape)


HEAD = (Activation("relu"), GlobalAvgPool(), Dense())
TOO_SMALL = {
    "filter": Serial(Conv(filter=5, padding="valid"), *HEAD),
    "second filter": Serial(Conv(), Activation("relu"), Conv(filter=4, padding="valid"), *HEAD),
    "pool": Serial(Conv(), Activation("relu"), AvgPool(4), Flatten(), Dense()),
    "dilation": Serial(Conv(filter=3, dilation=2, padding="valid"), *HEAD),
}
LAYERS = {
    "filter": r"layers\.0: Conv",
    "second filter": r"layers\.2: Conv",
    "pool": r"layers\.2: AvgPool",
    "dilation": r"layers\.0: Conv",
}


@everything
@pytest.mark.parametrize("name", TOO_SMALL)
def test_layers_that_images_are_too_small_for_are_named(kind, name):
    with pytest.raises(ValueError, match=LAYERS[name] + ".*does not fit into 3"):
        run(kind, TOO_SMALL[name], IMAGE)
