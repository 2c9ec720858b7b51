"""Images in the scikit-learn kernels: flattened rows, image shapes, 4-D arrays."""

from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn import flatten_images
from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import Convolutional, ShapeError

IMAGES = np.random.default_rng(3).normal(size=(5, 2, 3, 4))
ROWS = IMAGES.reshape(5, -1)


@pytest.mark.parametrize("head", ["flatten", "global_avg_pool"])
def test_images_equal_their_flattened_rows(head):
    network = Convolutional(2, head=head)
    expected = NTK(network, image_shape=(2, 3, 4))(ROWS)
    for image_shape in (None, (2, 3, 4), (-1, 3, 4), [2, 3, 4]):
        np.testing.assert_array_equal(NTK(network, image_shape=image_shape)(IMAGES), expected)
    np.testing.assert_array_equal(NTK(network, image_shape=(2, -1, 4))(ROWS), expected)


def test_columns_may_have_the_other_form():
    kernel = NNGP(Convolutional(1), image_shape=(2, 3, 4))
    expected = kernel(ROWS, ROWS[:2].copy())
    np.testing.assert_array_equal(kernel(ROWS, IMAGES[:2].copy()), expected)
    np.testing.assert_array_equal(kernel(IMAGES, ROWS[:2].copy()), expected)


def test_flattened_images_give_rows_and_shape():
    last = np.moveaxis(IMAGES, 1, -1)
    for images, axis in ((last, -1), (last, 3), (IMAGES, 1)):
        rows, image_shape = flatten_images(images, channel_axis=axis)
        assert image_shape == (2, 3, 4)
        np.testing.assert_array_equal(rows, ROWS)
    with pytest.raises(ValueError, match="at least 3 axes"):
        flatten_images(ROWS)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_last_images_are_refused_by_name(channels):
    images = np.zeros((2, 8, 8, channels))
    with pytest.raises(ValueError, match=r"channels-last .*flatten_images\(X, channel_axis=-1\)"):
        NTK(Convolutional(1))(images)


def test_narrow_images_whose_shape_is_given_are_no_channels_last_images():
    images = np.random.default_rng(4).normal(size=(2, 8, 3, 3))
    kernel = NTK(Convolutional(1), image_shape=(8, 3, 3))
    np.testing.assert_array_equal(kernel(images), kernel(images.reshape(2, -1)))


def test_rows_need_an_image_shape():
    with pytest.raises(ShapeError, match="image_shape"):
        NTK(Convolutional(1))(ROWS)


def test_images_of_another_shape_are_refused_with_both():
    kernel = NTK(Convolutional(1), image_shape=(2, 4, 3))
    with pytest.raises(ValueError, match=r"images of shape \(2, 3, 4\), .* is \(2, 4, 3\)"):
        kernel(IMAGES)
    with pytest.raises(ValueError, match=r"images of shape \(2, 3, 4\), .* is \(2, 4, 3\)"):
        kernel(ROWS, IMAGES)


@pytest.mark.parametrize(
    "image_shape, message",
    [
        ((2, 3, 5), r"\(2, 3, 5\) has 30 values, X has 24 features"),
        ((5, -1), "X has 24 features"),
        ((-1, -1), "at most one is -1"),
        ((0, 24), "positive"),
        ((-2, -12), "positive"),
        ((2.0, 12), "must be"),
        ((True, 24), "must be"),
        ((24,), "1 to 3 spatial axes"),
        ((1, 1, 2, 3, 4), "1 to 3 spatial axes"),
        (24, "must be"),
        ("auto", "must be"),
    ],
)
def test_image_shapes_that_cannot_be_are_refused(image_shape, message):
    kernel = NTK(Convolutional(1), image_shape=image_shape)
    with pytest.raises(ValueError, match=message):
        kernel(ROWS)
