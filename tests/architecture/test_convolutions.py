"""Transposed and locally connected layers, and pooling: shapes, windows, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    LocalAvgPool,
    NetworkError,
    Positions,
    Serial,
    Shape,
    ShapeError,
    check_network,
    demanded_positions,
    infer_shape,
    residual,
    scales,
    windows,
)
from ntk_sklearn.architecture.windows import edge_factors

LINE, IMAGE = Shape(3, (5,)), Shape(3, (4, 3))


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_sizes_of_transposed_convolutions(n, size, stride):
    shape = Shape(2, (n,))
    valid = infer_shape(ConvTranspose(size, strides=stride, padding="valid"), shape)
    # what is reached, and behind the last position its zeros
    assert valid.spatial == (max((n - 1) * stride + size, n * stride),)
    assert infer_shape(ConvTranspose(size, strides=stride), shape).spatial == (n * stride,)
    if size <= n * stride:
        wrapped = ConvTranspose(size, strides=stride, padding="circular")
        assert infer_shape(wrapped, shape).spatial == (n * stride,)


@pytest.mark.parametrize(
    "stride, p, q", [(1, 0, 0), (1, 2, 0), (2, 0, 0), (2, 1, 1), (3, 2, 0), (3, 1, 2)]
)
def test_explicit_padding_is_that_of_torch(stride, p, q):
    module = torch.nn.ConvTranspose1d(2, 1, 3, stride, padding=p, output_padding=q)
    layer = ConvTranspose(3, strides=stride, padding=(2 - p, 2 - p + q))
    size = module(torch.zeros(1, 2, 5)).shape[-1]
    assert infer_shape(layer, Shape(2, (5,))).spatial == (size,)


@pytest.mark.parametrize(
    "layer, shape, words",
    [
        (ConvTranspose(3, strides=2), Shape(10), "needs images"),
        (ConvLocal(3), Shape(10), "needs images"),
        (ConvTranspose((3, 3)), LINE, "has 2 entries, the image has 1"),
        (ConvTranspose(3, padding=((1, 1),)), IMAGE, "1 pairs for 2 spatial axes"),
        (ConvTranspose(9, padding=(0, 0)), LINE, "filter of 9 positions does not fit into 5"),
        (ConvTranspose(20, padding="circular"), LINE, "circular padding of 5 positions by .* 20"),
        (ConvLocal(7, padding="valid"), LINE, "reaching over 7 positions does not fit into 5"),
        (LocalAvgPool((1, 2)), LINE, "entries, the image has 1"),
    ],
)
def test_what_does_not_fit(layer, shape, words):
    with pytest.raises(ShapeError, match=f"network: {type(layer).__name__}.*{words}"):
        infer_shape(layer, shape)


@pytest.mark.parametrize("kind", [ConvTranspose, ConvLocal])
@pytest.mark.parametrize(
    "name, value, error",
    [
        ("w_std", -1.0, ValueError),
        ("b_std", math.inf, ValueError),
        ("lr_multiplier", "1", TypeError),
        ("bias_ntk", -0.1, ValueError),
        ("filter", 0, ValueError),
        ("filter", 1.5, TypeError),
        ("strides", (1, 0), ValueError),
        ("padding", "reflect", ValueError),
        ("padding", (-1, 0), ValueError),
    ],
)
def test_bad_values(kind, name, value, error):
    with pytest.raises(error, match=rf"{kind.__name__}\.{name} must be"):
        kind(**{name: value})


def test_local_shapes_are_those_of_convolutions():
    for options in ({}, {"strides": 2}, {"padding": "valid"}, {"dilation": 2, "padding": (1, 2)}):
        assert infer_shape(ConvLocal(2, **options), IMAGE) == infer_shape(Conv(2, **options), IMAGE)
        assert ConvLocal(2, 1.3, 0.2, **options).shared == Conv(2, 1.3, 0.2, **options)


@pytest.mark.parametrize("layer", [ConvTranspose(3), ConvLocal(3)])
def test_they_bring_fresh_weights(layer):
    relu, head = Activation("relu"), (GlobalAvgPool(), Dense())
    check_network(Serial(layer, relu, layer, residual(Serial(relu, layer)), relu, *head))
    check_network(Serial(layer, Flatten()))
    with pytest.raises(NetworkError, match="mixture"):
        check_network(Serial(layer, Flatten(), relu, Dense()))
    assert list(scales(Serial(layer, relu))) == ["layers.0.w_std", "layers.0.b_std"]
    assert demanded_positions(Serial(layer, Flatten())) is Positions.SAME
    assert demanded_positions(Serial(layer, GlobalAvgPool())) is Positions.ALL


@pytest.mark.parametrize(
    "radius, error", [(-1, ValueError), (1.0, TypeError), ((1, True), TypeError)]
)
def test_radii(radius, error):
    with pytest.raises(error, match="radius must"):
        LocalAvgPool(radius)


def test_blurs_keep_the_size():
    for radius in (0, 1, 9, (2, 0), [0, 7]):
        assert infer_shape(LocalAvgPool(radius), IMAGE) == IMAGE


def test_edges_are_asked_for_by_name():
    with pytest.raises(TypeError, match="normalize_edges must be True or False, got 1"):
        AvgPool(2, normalize_edges=1)


@pytest.mark.parametrize(
    "pool, n, inside",
    [
        (AvgPool(2, 1, "same"), 3, (2, 2, 1)),
        (AvgPool(3, 2, "same"), 5, (2, 3, 2)),
        (AvgPool(3, 1, "circular"), 4, (3, 3, 3, 3)),
        (AvgPool(2), 5, (2, 2)),
        (AvgPool(2, 1, (3, 2)), 2, (0, 0, 1, 2, 1, 0)),
    ],
)
def test_positions_inside(pool, n, inside):
    (window,) = windows(pool, (n,))
    expected = [window.size / count if count else 0.0 for count in inside]
    assert edge_factors(window, n) == expected
