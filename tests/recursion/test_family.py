"""Many networks in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    Positions,
    Serial,
    demanded_positions,
    residual,
)
from ntk_sklearn.recursion import KernelState, pair_state, propagate, propagate_all, unrolled

RELU, ERF = Activation("relu"), Activation("erf")
HIDDEN = (Dense(1.4, 0.1), RELU)
DENSE = [Serial(*HIDDEN * depth, Dense()) for depth in (1, 2, 3, 1)]
DENSE += [Serial(Serial(*HIDDEN), Serial(Dense(1.1), ERF), Dense()), Dense(0.7)]
CONV = (Conv(3, 1.4, 0.1), RELU)
IMAGES = [
    Serial(*CONV, Flatten(), Dense()),
    Serial(*CONV, *CONV, Flatten(), Dense()),
    Serial(*CONV, AvgPool(2), *CONV, GlobalAvgPool(), Dense()),
    Serial(Conv(3), residual(Serial(RELU, Conv(3))), GlobalAvgPool(), Dense()),
]


@dataclass(frozen=True, repr=False)
class Counting(Layer):
    """Passes on what it gets and counts its calls."""

    calls: tuple[list[int], ...] = ()

    def __hash__(self) -> int:
        return 0


@propagate.register
def _(layer: Counting, state: KernelState) -> KernelState:
    layer.calls[0].append(1)
    return state


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.manual_seed(0))


@pytest.mark.parametrize("networks", [DENSE, DENSE[::-1], DENSE[:1], []])
def test_each_as_if_alone(networks):
    x = drawn(5, 3)
    state = pair_state(x, x, 0, Positions.NONE, True, on_diagonal=True)
    for found, network in zip(propagate_all(networks, state), networks, strict=True):
        alone = propagate(network, state)
        assert torch.equal(found.nngp, alone.nngp)
        assert torch.equal(found.ntk, alone.ntk)


def test_networks_that_need_different_positions():
    x, z = drawn(3, 2, 4, 4), drawn(5, 2, 4, 4)[2:]
    together = propagate_all(IMAGES, pair_state(x, z, 2, Positions.ALL, True))
    for found, network in zip(together, IMAGES, strict=True):
        alone = propagate(network, pair_state(x, z, 2, demanded_positions(network), True))
        torch.testing.assert_close(found.nngp, alone.nngp, rtol=1e-13, atol=1e-14)
        torch.testing.assert_close(found.ntk, alone.ntk, rtol=1e-13, atol=1e-14)


def test_common_layers_are_computed_once():
    x = drawn(5, 3)
    shared = Counting(([],))
    family = [Serial(Dense(), shared, Serial(*HIDDEN * k), Dense()) for k in range(4)]
    propagate_all(family, pair_state(x, x, 0, Positions.NONE, False))
    assert len(shared.calls[0]) == 1


def test_unrolled():
    a, b, c = Dense(1.0), Dense(2.0), Dense(3.0)
    assert unrolled(Serial(a, Serial(Serial(b), Serial()), c)) == (a, b, c)
    assert unrolled(a) == (a,)
    assert unrolled(Serial()) == ()


def test_unknown_layers_are_named():
    @dataclass(frozen=True, repr=False)
    class Unknown(Layer):
        pass

    x = drawn(5, 3)
    with pytest.raises(NotImplementedError, match="Unknown"):
        propagate(Unknown(), pair_state(x, x, 0, Positions.NONE, False))
