"""Random networks of two widths against the infinite-width limit, with error bars.

The mean of an empirical kernel over random networks is ``K + c / width + O(width^-2)``. The two
widths determine c: every mean must lie within four standard errors and ``|c| / width`` of the
limit, and the value extrapolated to infinite width within four of its standard errors.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    NetworkError,
    Positions,
    Serial,
    Sum,
    check_network,
    demanded_positions,
    residual,
)
from ntk_sklearn.finite import Networks
from ntk_sklearn.finite.empirical import gram
from ntk_sklearn.finite.signals import record
from ntk_sklearn.recursion import pair_state, propagate

RELU, ERF = Activation("relu"), Activation("erf")
WIDTHS = (32, 256)

# name: (tree, shape of one input)
TREES = {
    "dense": (Serial(Dense(1.4, 0.3), RELU, Dense(1.4, 0.3), ERF, Dense(1.0, 0.1)), (4,)),
    "tanh": (Serial(*[Dense(1.4, 0.3), Activation("tanh")] * 3, Dense(1.0, 0.1)), (4,)),
    "elu": (Serial(*[Dense(1.3, 0.2), Activation("elu")] * 2, Dense()), (4,)),
    "multipliers": (
        Serial(Dense(1.4, 0.3, lr_multiplier=0.0), RELU,
               Dense(1.4, lr_multiplier=2.0, bias_ntk=0.5), ERF, Dense()),
        (4,),
    ),
    "residual": (
        Serial(Dense(1.4, 0.1), residual(Serial(RELU, Dense(1.0, 0.1))), RELU, Dense()), (4,),
    ),
    "concat": (
        Serial(Dense(1.4, 0.1), Concat(RELU, Serial(ERF, Dense(), RELU), shares=(1, 3)), Dense()),
        (4,),
    ),
    "conv_pool": (
        Serial(Conv(3, 1.4, 0.2), RELU, AvgPool(2), Conv(2, 1.4, 0.2), RELU, GlobalAvgPool(),
               Dense()),
        (2, 4, 4),
    ),
    "strided": (
        Serial(Conv(2, 1.4, 0.2, strides=3), RELU, Conv(4, 1.4, 0.2, strides=2), ERF, Flatten(),
               Dense()),
        (2, 13),
    ),
    "circular_dilated": (
        Serial(Conv(3, 1.4, 0.2, dilation=2, padding="circular"), RELU,
               Conv(2, padding=((2, 1), (0, 0))), GlobalAvgPool()),
        (2, 5, 3),
    ),
    "three_axes": (
        Serial(Conv((2, 1, 2), 1.4, 0.2), RELU, Conv(2, strides=2), Flatten()), (1, 3, 2, 3),
    ),
    "residual_conv": (
        Serial(
            Conv(3, 1.4, 0.1),
            residual(Serial(RELU, Conv(3, strides=2), RELU, Conv(3)), Conv(1, strides=2)),
            RELU, GlobalAvgPool(), Dense(),
        ),
        (2, 6),
    ),
}  # fmt: skip


class Sample(NamedTuple):
    """Mean over the draws of the stacked (nngp, ntk) and its standard error."""

    mean: Tensor
    error: Tensor


def sample(tree: Layer, x: Tensor, width: int, n_networks: int) -> Sample:
    found = []
    for module in Networks(tree, x.shape[1:], width, n_networks, random_state=width):
        signals = record(module, x, ntk=True)
        found.append(torch.stack([gram(signals, "nngp"), gram(signals, "ntk")]))
    draws = torch.stack(found)
    return Sample(draws.mean(0), draws.std(0) / n_networks**0.5)


def limit(tree: Layer, x: Tensor) -> Tensor:
    rank = x.ndim - 2
    positions = demanded_positions(tree) if rank else Positions.NONE
    state = propagate(tree, pair_state(x, x, rank, positions, True, True))
    assert state.ntk is not None
    return torch.stack([state.nngp, state.ntk])


def extrapolated(narrow: Sample, wide: Sample) -> Sample:
    """The value at infinite width of the line in 1 / width."""
    a, b = (n / (WIDTHS[1] - WIDTHS[0]) for n in WIDTHS)
    error = ((a * narrow.error) ** 2 + (b * wide.error) ** 2).sqrt()
    return Sample(b * wide.mean - a * narrow.mean, error)


def inputs(shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, *shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", TREES)
def test_finite_networks_converge_to_the_kernel(name: str) -> None:
    tree, shape = TREES[name]
    x, ratio = inputs(shape), WIDTHS[0] / WIDTHS[1]
    want = limit(tree, x)
    narrow, wide = (sample(tree, x, width, n_networks=200) for width in WIDTHS)
    end = extrapolated(narrow, wide)
    assert ((end.mean - want).abs() <= 4 * end.error).all()
    for width, found in zip(WIDTHS, (narrow, wide), strict=True):
        slope = (narrow.mean - end.mean).abs() * WIDTHS[0]
        assert ((found.mean - want).abs() <= 4 * found.error + slope / width).all()
    noise = 4 * (wide.error.norm() + ratio * narrow.error.norm())
    assert (wide.mean - want).norm() <= ratio * (narrow.mean - want).norm() + noise
    # single networks fluctuate by 1 / sqrt(width)
    assert narrow.error.norm() / wide.error.norm() == pytest.approx(ratio**-0.5, rel=0.3)
    # the error bars are short enough to see an error of a few percent
    assert end.error.max() <= 0.03 * want.diagonal(dim1=1, dim2=2).max()


# Trees for which the recursion computes another kernel than that of the network, what
# check_network says of them, and the shape of one input.
MALFORMED = {
    "active shortcut": (
        Serial(Dense(1.4), RELU, residual(Dense(0.3)), RELU, Dense()), "not Gaussian", (4,),
    ),
    "twice the same": (
        Serial(Dense(1.4), Sum(Identity(), Identity()), RELU, Dense()), "correlated", (4,),
    ),
    "nested identities": (
        Serial(Dense(), residual(residual(Serial(RELU, Dense()))), RELU, Dense()), "correlated",
        (4,),
    ),
    "identity and pooling": (
        Serial(Conv(), residual(AvgPool(2, strides=1, padding="same")), RELU, GlobalAvgPool(),
               Dense()),
        "correlated", (2, 5),
    ),
    "mixture of branches": (
        Serial(Dense(), RELU, Concat(Dense(3.0), Dense(0.3)), ERF, Dense()), "mixture", (4,),
    ),
    "mixture of positions": (Serial(Conv(1, 4.0), Flatten(), ERF, Dense()), "mixture", (1, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_refused_trees_have_another_limit(name: str) -> None:
    """The recursion, run in spite of the check, is wrong by far more than the error bars."""
    tree, why, shape = MALFORMED[name]
    with pytest.raises(NetworkError, match=why):
        check_network(tree)
    x = inputs(shape)
    claimed = limit(tree, x)
    found = extrapolated(*(sample(tree, x, width, n_networks=100) for width in WIDTHS))
    off = (found.mean - claimed).abs()
    assert ((off / found.error).amax((1, 2)) > 10).all()
    assert (off.amax((1, 2)) > 0.05 * claimed.amax((1, 2))).all()
