"""Equal and zero patches, which are the rule in images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from reference_kernels import kernels, relative_error

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Positions,
    Serial,
)
from ntk_sklearn.recursion import KernelState, pair_state, propagate

RELU = Activation("relu")
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
each_layout = pytest.mark.parametrize("positions", [Positions.SAME, Positions.ALL])
each_depth = pytest.mark.parametrize("n_channels", [1, 3, 64])


def prefix(n_layers: int, b_std: float) -> Serial:
    layers = [Conv(3, 2**0.5, b_std, padding="valid"), RELU] * n_layers
    return Serial(*layers[:-1])


def behind(network: Serial, x, z, positions: Positions) -> KernelState:
    return propagate(network, pair_state(x, z, 2, positions, True))


def angles(state: KernelState) -> torch.Tensor:
    """Angles of the pairs at equal positions, (n, m, *S)."""
    angle = state.pair().angle
    if state.positions is Positions.SAME:
        return angle
    sizes = angle.shape[-2:]
    square = angle.flatten(-2).flatten(-3, -2)
    return square.diagonal(dim1=-2, dim2=-1).unflatten(-1, sizes)


def drawn(n_channels: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.manual_seed(0)
    return torch.randn(2, n_channels, 9, 12, dtype=dtype, generator=generator)


@each_depth
@each_layout
@each_dtype
@pytest.mark.parametrize("b_std", [0.0, 0.1])
def test_equal_patches_have_angle_zero(dtype, positions, n_channels, b_std):
    x = drawn(n_channels, dtype)
    z = x.flip(0).clone()
    z[0, ..., :9] = x[0, ..., :9]
    # three layers of 3 x 3 see 7 columns, so the first three positions see equal patches
    found = angles(behind(prefix(3, b_std), x, z, positions))
    assert (found[0, 0, :, :3] == 0).all()
    assert (found[0, 0, :, 5:] > 0).all()


@each_layout
@each_dtype
def test_opposite_patches_have_angle_pi(dtype, positions):
    x = drawn(3, dtype)
    z = torch.cat([-x, 2.7 * x, -0.3 * x])
    found = angles(behind(prefix(1, 0.0), x, z, positions))
    expected = torch.tensor(math.pi, dtype=dtype)  # as atan2 gives it
    for image in (0, 1):
        assert (found[image, image] == expected).all()
        assert (found[image, 2 + image] == 0).all()
        assert (found[image, 4 + image] == expected).all()


@each_layout
@each_dtype
def test_zero_patches_stay_zero(dtype, positions):
    x = drawn(3, dtype)
    x[..., :9] = 0.0
    state = behind(prefix(3, 0.0), x, x.flip(0).clone(), positions)
    for value in (state.nngp, state.ntk, state.cov_x, state.cov_z):
        assert value.isfinite().all()
        assert (value[..., :3] == 0).all()
        assert (value[..., 5:] != 0).any()


@pytest.mark.parametrize("b_std", [0.0, 0.1])
@pytest.mark.parametrize("activation", ["relu", "abs", "erf"])
@pytest.mark.parametrize("dtype, bound", [(torch.float32, 2e-6), (torch.float64, 1e-14)])
def test_copies_of_images_with_background(dtype, bound, activation, b_std):
    X = drawn(3, dtype).numpy()[..., :8, :8].copy()
    X[0, :, :4], X[1, ..., 3:] = 0.0, X[1, ..., :1]
    layers = [Conv(3, 2**0.5, b_std), Activation(activation)] * 2
    heads = (
        (GlobalAvgPool(), Dense(1.0, b_std), Activation(activation), Dense()),
        (Flatten(), Dense()),
    )
    for head in heads:
        network = Serial(*layers, AvgPool(2), *layers, AvgPool(3, 2, "same"), *layers, *head)
        found = zip(
            kernels(network, X, dtype=dtype), kernels(network, X, X.copy(), dtype), strict=True
        )
        for gram, block in found:
            assert relative_error(block, gram) < bound


def test_dense_networks_of_images_flatten_them():
    X = np.random.default_rng(0).standard_normal((3, 2, 4, 5))
    tree = Serial(Dense(1.3, 0.2), RELU, Dense())
    for images, flat in zip(
        kernels(Serial(Flatten(), tree), X), kernels(tree, X.reshape(3, -1)), strict=True
    ):
        np.testing.assert_allclose(images, flat, rtol=1e-13)
