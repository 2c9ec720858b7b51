"""What the tree says of motions, against the recursion on a moved pair of images."""

from __future__ import annotations

import pytest
import torch

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    LayerNorm,
    Motion,
    Product,
    Serial,
    Shape,
    Sum,
    SumPool,
    asymmetry,
    demanded_positions,
    residual,
)
from ntk_sklearn.recursion import pair_state, propagate

SPATIAL = (4, 6)
SHAPE = Shape(2, SPATIAL)
FLIP = Motion(SPATIAL, (False, True), (0, 0))
ONE = Motion(SPATIAL, (False, False), (0, 1))
TWO = Motion(SPATIAL, (False, False), (0, 2))
MOTIONS = {"flip": FLIP, "by 1": ONE, "by 2": TWO}
ROUND = {"padding": "circular"}

# the layers in front of the head, and the motions that they follow
CASES = {
    "same": ([Conv(3)], {"flip"}),
    "even": ([Conv(2)], set()),
    "even, valid": ([Conv(2, padding="valid")], {"flip"}),
    "even, circular": ([Conv(2, **ROUND)], {"by 1", "by 2"}),
    "dilated": ([Conv(3, dilation=2)], {"flip"}),
    "single": ([Conv(1)], {"flip", "by 1", "by 2"}),
    "strided": ([Conv(3, strides=2)], set()),
    "strided, both ends": ([Conv(4, strides=2, padding=(1, 1))], {"flip"}),
    "strided, circular": ([Conv(3, strides=2, **ROUND)], {"by 2"}),
    "patches": ([Conv(2, strides=2, padding="valid")], {"flip", "by 2"}),
    "ragged": ([Conv(3, padding=(1, 1)), AvgPool((2, 4))], set()),
    "pooled": ([Conv(3, **ROUND), SumPool(2)], {"flip", "by 2"}),
    "circular": ([Conv(3, **ROUND)], {"flip", "by 1", "by 2"}),
    "tall": ([Conv((2, 3), padding=((0, 1), (1, 1)))], {"flip"}),
    "residual": ([Conv(3, **ROUND), residual(Serial(Activation(), Conv(3)))], {"flip"}),
    "two strides": ([Sum(Conv(1, strides=2), Conv(2, strides=2, padding="valid"))], {"by 2"}),
    "gates": ([Product(Conv(3), Conv(1)), Conv(3)], {"flip"}),
    "normalized": ([Conv(3), LayerNorm("all"), Activation(), Conv(3), Identity()], {"flip"}),
}
HEADS = {"pooled": GlobalAvgPool, "flat": Flatten}


def moved(x, motion):
    for axis in (0, 1):
        x = x.flip(axis + 2) if motion.reflected[axis] else x
        x = x.roll(motion.shifts[axis], axis + 2)
    return x


def ntk(network, x, z):
    state = pair_state(x, z, 2, demanded_positions(network), True)
    return propagate(network, state).ntk


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_kernels_stay_where_the_tree_says_so(case, head):
    layers, follows = case
    network = Serial(*layers, Activation("relu"), Conv(1), head(), Dense())
    x, z = torch.randn(2, 2, 2, *SPATIAL, generator=torch.manual_seed(0), dtype=torch.float64)
    K = ntk(network, x, z)
    for name, motion in MOTIONS.items():
        known = asymmetry(network, SHAPE, motion) is None
        assert known == (name in follows), name
        stays = torch.allclose(ntk(network, moved(x, motion), moved(z, motion)), K, rtol=1e-12)
        assert stays or not known, name
        assert stays == known or name == "flip", name  # the tree may not know of a flip


def test_flat_rows_may_be_permuted_at_will():
    assert asymmetry(Serial(Dense(), Activation(), Dense()), Shape(5), Motion()) is None


def test_unknown_layers_are_not_trusted():
    class Odd(Layer):
        """Nothing is known of it."""

    assert "nothing is known of Odd" in asymmetry(Serial(Dense(), Odd()), Shape(5), Motion())
    assert "not known to move positions" in asymmetry(Dense(), Shape(5), FLIP)


def test_reasons_name_the_layer():
    network = Serial(Conv(3), Activation(), Conv(2), GlobalAvgPool(), Dense())
    assert "layers.2: Conv treats the ends" in asymmetry(network, SHAPE, FLIP)
    assert "layers.0: Conv on 6 positions does not move" in asymmetry(network, SHAPE, ONE)
