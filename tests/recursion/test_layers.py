"""Layers beyond the plain ones against loops over pairs of positions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from naive_recursion import naive_kernels
from reference_kernels import diagonals, kernels, relative_error

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    LayerNorm,
    LocalAvgPool,
    Positions,
    Product,
    Serial,
    check_network,
    replace,
    scales,
)
from ntk_sklearn.recursion import pair_state, propagate

RELU = Activation("relu")
AVERAGE, FLAT = (GlobalAvgPool(), Dense(1.0, 0.1)), (Flatten(), Dense(1.0, 0.1))


def conv(filter=3, **settings) -> Conv:
    return Conv(filter, 1.3, 0.2, **settings)


def up(filter, strides, padding="same") -> ConvTranspose:
    return ConvTranspose(filter, 1.3, 0.2, strides, padding)


def local(filter=3, **settings) -> ConvLocal:
    return ConvLocal(filter, 1.3, 0.2, **settings)


def edges(window, strides=None, padding="same") -> AvgPool:
    return AvgPool(window, strides, padding, normalize_edges=True)


# The spatial sizes of the images (none for rows), and the network.
CASES = {
    "transposed": ((3,), Serial(conv(), RELU, up(3, 2), RELU, conv(), *AVERAGE)),
    "transposed_even": ((2, 3), Serial(conv(2), RELU, up((2, 4), (2, 1)), RELU, *AVERAGE)),
    "transposed_flat": ((2, 3), Serial(conv(2), RELU, up((3, 2), (2, 3)), RELU, *FLAT)),
    "transposed_valid": ((3, 2), Serial(up((3, 1), (1, 2), "valid"), RELU, *AVERAGE)),
    "transposed_circular": ((4,), Serial(conv(), RELU, up(5, 2, "circular"), RELU, *AVERAGE)),
    "transposed_circular_even": ((3, 2), Serial(up((4, 2), (3, 1), "circular"), RELU, *AVERAGE)),
    "transposed_explicit": ((4,), Serial(up(3, 2, (2, 1)), RELU, up(2, 3, (0, 1)), *AVERAGE)),
    "transposed_three_axes": ((2, 1, 2), Serial(up((2, 3, 1), (1, 2, 2)), RELU, *FLAT)),
    "local": ((4,), Serial(conv(), RELU, local(), RELU, conv(), RELU, *AVERAGE)),
    "local_flat": ((3, 4), Serial(local((2, 3)), RELU, local(2, strides=2), RELU, *FLAT)),
    "local_dilated": ((5,), Serial(local(2, dilation=2), RELU, AvgPool(2), conv(), *AVERAGE)),
    "local_circular": ((4,), Serial(local(2, strides=2, padding="circular"), RELU, *AVERAGE)),
    "edges": ((3, 2), Serial(conv(), RELU, edges((2, 3), 1), conv(), RELU, *AVERAGE)),
    "edges_strided": ((5,), Serial(conv(), edges(3, 2), RELU, conv(), *FLAT)),
    "edges_padded": ((3,), Serial(conv(), RELU, edges(2, 1, (3, 2)), conv(), RELU, *FLAT)),
    "blur": ((4,), Serial(conv(), RELU, LocalAvgPool(1), conv(), RELU, *AVERAGE)),
    "blur_beyond": ((2, 3), Serial(conv(), RELU, LocalAvgPool((4, 0)), *FLAT)),
    "norm_channels": ((3, 2), Serial(conv(), LayerNorm(), RELU, conv(), LayerNorm(), *AVERAGE)),
    "norm_all": (
        (3, 2),
        Serial(conv(), LayerNorm("all", 0.3), RELU, conv(), LayerNorm("all"), RELU, *AVERAGE),
    ),
    "norm_all_flat": ((4,), Serial(conv(), LayerNorm("all", 0.3), RELU, conv(), RELU, *FLAT)),
    "norm_rows": ((), Serial(Dense(1.3, 0.2), LayerNorm(eps=0.1), RELU, Dense())),
    "dropout": ((3, 2), Serial(conv(), RELU, Dropout(0.3), conv(), RELU, Dropout(0.6), *AVERAGE)),
    "dropout_flat": ((4,), Serial(conv(), RELU, Dropout(0.3), conv(), RELU, Dropout(0.6), *FLAT)),
    "dropout_pooled": ((4,), Serial(conv(), Dropout(0.3), AvgPool(2), conv(), RELU, *AVERAGE)),
    "dropout_rows": ((), Serial(Dense(1.3, 0.2), RELU, Dropout(0.4), Dense(), RELU, Dense())),
    "product": (
        (3, 2),
        Serial(
            conv(),
            Product(Serial(RELU, conv(2)), Serial(RELU, conv(), RELU), conv(1)),
            conv(),
            RELU,
            *AVERAGE,
        ),
    ),
    "product_flat": ((4,), Serial(conv(), Product(Identity(), Serial(RELU, conv())), *FLAT)),
    "product_rows": (
        (),
        Serial(
            Dense(1.3, 0.2),
            Product(Identity(), Serial(RELU, Dense(0.7)), Dense(1.1, 0.2)),
            Dense(1.2, 0.3),
            RELU,
            Dense(),
        ),
    ),
}
each_case = pytest.mark.parametrize("sizes, network", CASES.values(), ids=list(CASES))


@each_case
def test_matches_loops(sizes, network):
    check_network(network)
    rng = np.random.default_rng(len(sizes))
    X, Z = rng.standard_normal((3, 2, *sizes)), rng.standard_normal((2, 2, *sizes))
    X[2] = -0.7 * X[1]
    for found, expected in zip(kernels(network, X, Z), naive_kernels(network, X, Z), strict=True):
        assert relative_error(found, expected) < 1e-13
    gram = naive_kernels(network, X, X)
    for found, diagonal, expected in zip(
        kernels(network, X), diagonals(network, X), gram, strict=True
    ):
        assert relative_error(found, expected) < 1e-13
        assert relative_error(diagonal, expected.diagonal()) < 1e-13


@each_case
def test_gradients_are_finite_and_right(sizes, network):
    """Of all scales and of the inputs, with zeros, copies and opposites among them."""
    X = np.random.default_rng(0).standard_normal((4, 2, *sizes))
    X[1], X[2], X[3] = X[0], -X[0], 0.0
    x = torch.tensor(X, requires_grad=True)
    values = {
        p: torch.tensor(v, dtype=x.dtype).requires_grad_() for p, v in scales(network).items()
    }
    end = _ends(replace(network, values), x, sizes)
    found = torch.autograd.grad(end, [x, *values.values()], materialize_grads=True)
    assert all(part.isfinite().all() for part in found)
    generic = torch.randn(3, 2, *sizes, dtype=x.dtype, generator=torch.manual_seed(0))
    path, value = next(iter(values.items()))
    (slope,) = torch.autograd.grad(_ends(replace(network, values), generic, sizes), value)
    around = [value.item() + h for h in (-1e-6, 1e-6)]
    ends = [float(_ends(replace(network, {path: v}), generic, sizes)) for v in around]
    assert float(slope) == pytest.approx((ends[1] - ends[0]) / 2e-6, rel=1e-6)


def _ends(network, x, sizes) -> torch.Tensor:
    positions = Positions.ALL if sizes else Positions.NONE
    end = propagate(network, pair_state(x, x, len(sizes), positions, True, True))
    return (end.nngp + 0.3 * end.ntk).sum()


def test_locally_connected_layers_before_flatten_are_convolutions():
    X = np.random.default_rng(0).standard_normal((3, 2, 4, 3))
    pairs = [(local((2, 3), strides=2), conv((2, 3), strides=2)), (local(), conv())]
    for own, shared in pairs:
        for found, expected in zip(
            kernels(Serial(own, RELU, own, RELU, *FLAT), X),
            kernels(Serial(shared, RELU, shared, RELU, *FLAT), X),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)


def test_blurs_over_whole_images_are_global_pooling():
    X = np.random.default_rng(0).standard_normal((3, 2, 4, 3))
    stem = (conv(), RELU, conv(), RELU)
    for radius in (3, 5):
        blurred = kernels(Serial(*stem, LocalAvgPool(radius), Flatten()), X)
        pooled = kernels(Serial(*stem, GlobalAvgPool()), X)
        share = (12 / (2 * radius + 1) ** 2) ** 2  # windows count in full
        for found, expected in zip(blurred, pooled, strict=True):
            np.testing.assert_allclose(found, share * expected, rtol=1e-12)


def test_a_normalization_of_rows_takes_their_lengths_away():
    X = np.random.default_rng(0).standard_normal((4, 5))
    network = Serial(Dense(1.3), LayerNorm(eps=0.0), RELU, Dense(2**0.5))
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    plain = Serial(Dense(5**0.5), RELU, Dense(2**0.5))
    for found, expected in zip(kernels(network, X), kernels(plain, X / lengths), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
