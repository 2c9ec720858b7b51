"""From trees to modules and back."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from drawn_networks import any_images, dense, images
from hypothesis import assume, given
from torch import nn
from torch_from_trees import as_torch, normal_form

from ntk_sklearn.finite import to_module
from ntk_sklearn.networks import (
    Dense,
    Layer,
    NetworkError,
    Serial,
    Shape,
    ShapeError,
    check_network,
    from_module,
)

anything = st.one_of(dense, images, any_images)


def has_limit(tree: Layer) -> bool:
    try:
        check_network(tree)
    except NetworkError:
        return False
    return True


@given(anything)
def test_finite_networks_remember_their_tree(drawn: Any) -> None:
    assume(has_limit(drawn.network))
    shape = drawn.X.shape[1:]
    try:
        module = to_module(drawn.network, shape, 30, 1, 0)
    except ShapeError:  # no numbers of channels fit the shares
        assume(False)
    assert from_module(module) == drawn.network
    assert from_module(nn.Sequential(nn.Identity(), module), shape) == drawn.network


def test_finite_networks_within_others() -> None:
    inner = Serial(Dense(), Dense(1.5))
    module = nn.Sequential(to_module(inner, (3,), 5, n_outputs=4), nn.ReLU(), nn.Linear(4, 1))
    found = from_module(module)
    assert found.layers[0] == inner
    assert found.layers[2].lr_multiplier * found.layers[2].w_std ** 2 == 4


@given(anything)
def test_modules_written_from_a_tree_are_read_as_that_tree(drawn: Any) -> None:
    shape = Shape(drawn.X.shape[1], drawn.X.shape[2:])
    try:
        module, scales, written = as_torch(drawn.network, shape)
    except ShapeError:  # torch's padding leaves other sizes
        assume(False)
    assume(has_limit(written))
    found = from_module(module, shape, parametrization="ntk", scales=scales)
    assert normal_form(found) == normal_form(written)
