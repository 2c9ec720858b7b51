"""Convolutions and pooling against loops over pairs of positions."""

from __future__ import annotations

import numpy as np
import pytest
from naive_recursion import naive_kernels
from reference_kernels import diagonals, kernels, relative_error

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Serial,
    SumPool,
    residual,
)

RELU = Activation("relu")
AVERAGE, FLAT = (GlobalAvgPool(), Dense(1.0, 0.1)), (Flatten(), Dense(1.0, 0.1))


def conv(filter=3, **settings) -> Conv:
    return Conv(filter, 1.3, 0.2, **settings)


# The spatial sizes of the images, and the network.
CASES = {
    "one_axis": ((7,), Serial(conv(), RELU, conv(2), RELU, *AVERAGE)),
    "three_axes": (
        (3, 2, 4),
        Serial(conv((2, 1, 3)), RELU, conv(2, strides=(1, 2, 2)), RELU, *FLAT),
    ),
    "three_axes_pooled": (
        (2, 3, 2),
        Serial(conv(2), RELU, AvgPool((1, 2, 2), 1), conv(2), *AVERAGE),
    ),
    "dilation": ((5, 4), Serial(conv(2, dilation=(2, 1)), RELU, conv(dilation=2), RELU, *FLAT)),
    "dilation_valid": ((5, 5), Serial(conv(2, dilation=3, padding="valid"), RELU, *AVERAGE)),
    "even_filters": ((4, 5), Serial(conv(2), RELU, conv((4, 2)), RELU, *AVERAGE)),
    "even_filters_strided": (
        (5, 4),
        Serial(conv(2, strides=2), RELU, conv(4, strides=2), *AVERAGE),
    ),
    "stride_above_filter": ((7, 5), Serial(conv(2, strides=3), RELU, conv(1, strides=2), *AVERAGE)),
    "stride_above_filter_valid": (
        (7,),
        Serial(conv(1, strides=3, padding="valid"), RELU, *AVERAGE),
    ),
    "valid": ((5, 4), Serial(conv(padding="valid"), RELU, conv(2, padding="valid"), *AVERAGE)),
    "circular": (
        (4, 3),
        Serial(conv(padding="circular"), RELU, conv(2, padding="circular"), *AVERAGE),
    ),
    "circular_strided": ((5, 4), Serial(conv(padding="circular", strides=2), RELU, *AVERAGE)),
    "circular_dilated": ((6,), Serial(conv(dilation=2, padding="circular"), RELU, *FLAT)),
    "circular_stride_above_filter": (
        (7,),
        Serial(conv(2, strides=4, padding="circular"), *AVERAGE),
    ),
    "explicit": (
        (4, 4),
        Serial(conv(padding=(1, 0)), RELU, conv(padding=((0, 2), (1, 1))), *AVERAGE),
    ),
    "explicit_wide": ((3,), Serial(conv(2, padding=(3, 1), strides=2), RELU, *AVERAGE)),
    "average_pool": ((4, 4), Serial(conv(), RELU, AvgPool(2), conv(), RELU, *AVERAGE)),
    "average_pool_overlap": (
        (5, 4),
        Serial(conv(), RELU, AvgPool(3, 2, "same"), conv(), RELU, *FLAT),
    ),
    "average_pool_explicit": ((4, 3), Serial(conv(), RELU, AvgPool(2, 1, (1, 0)), RELU, *AVERAGE)),
    "average_pool_circular": ((5,), Serial(conv(), RELU, AvgPool(3, 1, "circular"), conv(), *FLAT)),
    "sum_pool": ((4, 4), Serial(conv(), RELU, SumPool((2, 1), (1, 2)), conv(), RELU, *AVERAGE)),
    "global_sum": ((3, 3), Serial(conv(), RELU, GlobalSumPool(), Dense(), RELU, Dense())),
    "pooled_gaussian": (
        (4, 4),
        Serial(conv(), AvgPool(2), RELU, conv(), GlobalAvgPool(), RELU, Dense()),
    ),
    "residual": (
        (4, 4),
        Serial(
            conv(),
            residual(Serial(RELU, conv(2, strides=2), RELU, conv()), conv(1, strides=2)),
            residual(Serial(RELU, conv())),
            *AVERAGE,
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_matches_loops(name):
    sizes, network = CASES[name]
    rng = np.random.default_rng(len(name))
    X, Z = rng.standard_normal((2, 2, *sizes)), rng.standard_normal((1, 2, *sizes))
    for found, expected in zip(kernels(network, X, Z), naive_kernels(network, X, Z), strict=True):
        assert relative_error(found, expected) < 1e-13
    gram = naive_kernels(network, X, X)
    for found, diagonal, expected in zip(
        kernels(network, X), diagonals(network, X), gram, strict=True
    ):
        assert relative_error(found, expected) < 1e-13
        assert relative_error(diagonal, expected.diagonal()) < 1e-13
