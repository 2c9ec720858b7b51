"""Shapes of outputs, and errors that name the layer."""

from __future__ import annotations

import pytest

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Serial,
    Shape,
    ShapeError,
    Sum,
    SumPool,
    infer_shape,
    most_positions,
    residual,
)

FLAT, IMAGE = Shape(10), Shape(3, (8, 7))
NESTED = Serial(Dense(), residual(Serial(Activation(), Conv(2, padding=(0, 0)))))


@pytest.mark.parametrize(
    "network, shape, expected",
    [
        (Dense(), FLAT, Shape(None)),
        (Activation(), IMAGE, IMAGE),
        (Identity(), FLAT, FLAT),
        (Flatten(), IMAGE, Shape(168)),
        (Flatten(), FLAT, FLAT),
        (Flatten(), Shape(None, (8, 7)), Shape(None)),
        (GlobalAvgPool(), IMAGE, Shape(3)),
        (GlobalSumPool(), Shape(None, (4,)), Shape(None)),
        (Conv(), IMAGE, Shape(None, (8, 7))),
        (Conv(3, strides=2), IMAGE, Shape(None, (4, 4))),
        (Conv((3, 2), padding="valid"), IMAGE, Shape(None, (6, 6))),
        (Conv(2, dilation=3, padding="valid"), IMAGE, Shape(None, (5, 4))),
        (Conv(3, strides=(1, 2), padding="circular"), IMAGE, Shape(None, (8, 4))),
        (Conv(3, padding=(2, 1)), IMAGE, Shape(None, (9, 8))),
        (Conv(3, padding=((0, 0), (1, 0))), IMAGE, Shape(None, (6, 6))),
        (Conv(5), Shape(1, (9,)), Shape(None, (9,))),
        (Conv(2, strides=2), Shape(1, (3, 4, 5)), Shape(None, (2, 2, 3))),
        (AvgPool(2), IMAGE, Shape(3, (4, 3))),
        (SumPool(3, 2, "same"), IMAGE, Shape(3, (4, 4))),
        (Serial(), IMAGE, IMAGE),
        (Serial(Conv(), Activation(), AvgPool(2), Flatten(), Dense()), IMAGE, Shape(None)),
        (residual(Conv()), Shape(None, (4, 4)), Shape(None, (4, 4))),
        (Concat(Conv(3, strides=2), Conv(1, strides=2)), IMAGE, Shape(None, (4, 4))),
    ],
)
def test_shapes(network, shape, expected):
    assert infer_shape(network, shape) == expected


@pytest.mark.parametrize(
    "network, shape, where, why",
    [
        (Dense(0.5), IMAGE, r"network: Dense\(w_std=0.5\)", r"\(8, 7\) positions.*Flatten\(\)"),
        (Serial(Conv(), Dense()), IMAGE, r"layers\.1: Dense", "flat input"),
        (Conv(), FLAT, r"network: Conv", r"needs images.*image_shape=\(channels"),
        (Serial(Dense(), GlobalAvgPool()), FLAT, r"layers\.1: GlobalAvgPool", "needs images"),
        (AvgPool(2), FLAT, "network: AvgPool", "needs images"),
        (Conv((3, 3, 3)), IMAGE, "network: Conv", r"\(3, 3, 3\) has 3 entries, the image has 2"),
        (AvgPool(2, (1,)), IMAGE, "network: AvgPool", r"\(1,\) has 1 entries"),
        (Conv(padding=((1, 1),)), IMAGE, "network: Conv", "1 pairs for 2 spatial axes"),
        (
            Conv(9, padding="valid"),
            IMAGE,
            "network: Conv",
            "reaching over 9 positions does not fit into 8",
        ),
        (Conv(4, dilation=3, padding="valid"), IMAGE, "network: Conv", "over 10 positions"),
        (AvgPool(8), IMAGE, "network: AvgPool", "over 8 positions does not fit into 7"),
        (Conv(20, padding="circular"), IMAGE, "network: Conv", "circular padding by 10"),
        (NESTED, IMAGE, r"layers\.0: Dense", "flat input"),
        (
            Sum(Conv(), Serial(Conv(), AvgPool(2))),
            IMAGE,
            r"network: Sum",
            r"branches end in different shapes \[\(8, 7\), \(4, 3\)\]",
        ),
        (
            Serial(Conv(), residual(Serial(Activation(), Conv(strides=2)))),
            IMAGE,
            r"layers\.1: Sum",
            "different shapes",
        ),
        (
            Serial(Conv(), Sum(Conv(), Serial(Activation(), Dense()))),
            IMAGE,
            r"layers\.1\.branches\.1\.layers\.1: Dense",
            "flat input",
        ),
    ],
)
def test_errors_name_the_layer(network, shape, where, why):
    with pytest.raises(ShapeError, match=rf"(?s)^{where}.*{why}"):
        infer_shape(network, shape)


@pytest.mark.parametrize(
    "network, shape, expected",
    [
        (Dense(), FLAT, 1),
        (Serial(Conv(strides=2), Activation(), GlobalAvgPool()), IMAGE, 56),
        (Serial(Conv(2, padding=(3, 3)), AvgPool(2)), IMAGE, 13 * 12),
        (Serial(ConvTranspose(3, strides=2), Conv(strides=4), Flatten()), IMAGE, 224),
        (Sum(Serial(ConvTranspose(2, strides=3), AvgPool(3)), Conv()), IMAGE, 504),
    ],
)
def test_largest_image(network, shape, expected):
    assert most_positions(network, shape) == expected


def test_shape_errors_are_value_errors():
    assert issubclass(ShapeError, ValueError)


def test_path_of_a_subtree_is_kept():
    with pytest.raises(ShapeError, match=r"^readout\.layers\.0: Conv"):
        infer_shape(Serial(Conv()), FLAT, "readout")
