"""Layers that mix positions against loops, in both layouts, and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from naive_recursion import naive_kernels
from reference_kernels import diagonals, kernels, relative_error

from ntk_sklearn.architecture import (
    Activation,
    Aggregate,
    ConcatPositions,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Positions,
    Resize,
    SelfAttention,
    Serial,
    Slice,
    check_network,
    demanded_positions,
    replace,
    scales,
)
from ntk_sklearn.recursion import diagonal_state, pair_state, propagate

RELU = Activation("relu")
AVERAGE, FLAT = (GlobalAvgPool(), Dense(1.0, 0.1)), (Flatten(), Dense(1.0, 0.1))
LAPLACIAN = ((2, -1, 0, 0), (-1, 2, -1, 0), (0, -1, 1.5, -0.5))


def conv(filter=3, **settings) -> Conv:
    return Conv(filter, 1.3, 0.2, **settings)


def around(layer, *head) -> Serial:
    return Serial(conv(), RELU, layer, conv(2), RELU, *head)


def attention(**settings) -> SelfAttention:
    return SelfAttention(1.1, 0.9, 1.2, 1.3, 0.1, **settings)


# The spatial sizes of the images, and the network.
CASES = {
    "nearest": ((4, 3), around(Resize((3, 5)), *AVERAGE)),
    "nearest, equal positions": ((4, 3), around(Resize((3, 5)), *FLAT)),
    "linear, one axis": ((4,), around(Resize(7, "linear"), *AVERAGE)),
    "linear, shrinking": ((5, 3), around(Resize((2, 2), "linear"), *FLAT)),
    "linear, three axes": (
        (2, 3, 2),
        around(Resize((3, 2, 2), "linear", antialias=False), *AVERAGE),
    ),
    "slice": ((4, 3), around(Slice((1, None), (None, None, -2)), *AVERAGE)),
    "slice, equal positions": ((4, 3), around(Slice((1, None), (None, None, -2)), *FLAT)),
    "first": ((5,), Serial(conv(), RELU, conv(2), RELU, Slice((0, 1)), *FLAT)),
    "graph": ((4,), around(Aggregate(LAPLACIAN), *FLAT)),
    "graph, second axis": ((2, 4), around(Aggregate(LAPLACIAN, axis=1), *AVERAGE)),
    "softmax": ((4,), around(attention(), *AVERAGE)),
    "relu": ((2, 2), around(attention(weights="relu"), *FLAT)),
    "beside": (
        (4,),
        Serial(
            conv(),
            ConcatPositions(Serial(RELU, conv(2, strides=2)), Identity(), Serial(RELU, conv(1))),
            RELU,
            *AVERAGE,
        ),
    ),
    "beside, equal positions": (
        (3, 2),
        around(ConcatPositions(conv(1), Serial(conv(2), Slice((1, 2), (0, 2)))), *FLAT),
    ),
    "beside, second axis": (
        (2, 3),
        around(ConcatPositions(conv(1, strides=(1, 2)), Serial(conv(2), RELU), axis=1), *AVERAGE),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_matches_loops(name):
    sizes, network = CASES[name]
    check_network(network)
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


@pytest.mark.parametrize(
    "name", ["nearest, equal positions", "slice, equal positions", "beside, equal positions"]
)
def test_equal_positions_are_enough(name):
    sizes, network = CASES[name]
    assert demanded_positions(network) is Positions.SAME
    x = torch.randn(3, 2, *sizes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    few, all_pairs = (
        propagate(network, pair_state(x, x, len(sizes), p, True, on_diagonal=True))
        for p in (Positions.SAME, Positions.ALL)
    )
    for quantity in ("nngp", "ntk"):
        found, want = getattr(few, quantity), getattr(all_pairs, quantity)
        assert relative_error(found.numpy(), want.numpy()) < 1e-14
    single = propagate(network, diagonal_state(x, len(sizes), Positions.SAME, True))
    assert relative_error(single.ntk.numpy(), few.ntk.diagonal().numpy()) < 1e-14


LEARNED = {
    "linear": attention(w_position_std=0.7, weights="softmax"),
    "beside": attention(w_position_std=0.7, position_share=0.3, embedded_values=True),
    "sqrt": attention(w_position_std=0.7, weights="identity", scaling="sqrt"),
}


@pytest.mark.parametrize("name", LEARNED)
def test_gradients_flow_to_all_scales(name):
    network = Serial(Conv(2, 1.2, 0.1), Activation("erf"), LEARNED[name], *AVERAGE)
    names = [n for n in scales(network) if n.startswith("layers.2.")]
    assert [n.removeprefix("layers.2.") for n in names] == [
        "w_query_std", "w_key_std", "w_value_std", "w_out_std", "b_std", "w_position_std",
    ]  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    x, z = (torch.randn(n, 2, 3, generator=generator, dtype=torch.float64) for n in (2, 1))

    def kernel(*values):
        tree = replace(network, dict(zip(names, values, strict=True)))
        state = propagate(tree, pair_state(x, z, 1, Positions.ALL, True))
        return state.nngp, state.ntk

    values = [torch.tensor(scales(network)[n], dtype=torch.float64) for n in names]
    assert torch.autograd.gradcheck(kernel, [v.requires_grad_() for v in values])


def test_what_is_no_covariance_of_positions_is_refused():
    layer = attention(w_position_std=1.0, position_decay=_no_covariance)
    network = Serial(Conv(1), layer, GlobalSumPool())
    with pytest.raises(ValueError, match="position_decay does not give a positive semidefinite"):
        kernels(network, np.ones((1, 2, 3)))


def _no_covariance(distance: float) -> float:
    return 1.0 + distance
