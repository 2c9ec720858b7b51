"""Reading and replacing values by path."""

from __future__ import annotations

import pytest
import torch

from ntk_sklearn.architecture import (
    Activation,
    Concat,
    Conv,
    Dense,
    Flatten,
    Serial,
    replace,
    residual,
    scales,
)
from ntk_sklearn.duals import ABReLU, LeakyReLU, Polynomial

NETWORK = Serial(
    Conv(3, 1.4, 0.1),
    residual(Serial(Activation("relu"), Conv(3, 1.2))),
    Concat(Serial(Activation(LeakyReLU(0.3)), Conv(1, 0.9, 0.2)), Conv(1)),
    Flatten(),
    Dense(1.1, 0.3, lr_multiplier=0.5, bias_ntk=1.0),
)


def test_scales_in_the_order_of_the_layers():
    assert list(scales(NETWORK).items()) == [
        ("layers.0.w_std", 1.4),
        ("layers.0.b_std", 0.1),
        ("layers.1.branches.0.layers.1.w_std", 1.2),
        ("layers.1.branches.0.layers.1.b_std", 0.0),
        ("layers.2.branches.0.layers.1.w_std", 0.9),
        ("layers.2.branches.0.layers.1.b_std", 0.2),
        ("layers.2.branches.1.w_std", 1.0),
        ("layers.2.branches.1.b_std", 0.0),
        ("layers.4.w_std", 1.1),
        ("layers.4.b_std", 0.3),
    ]
    assert scales(Dense(2.0)) == {"w_std": 2.0, "b_std": 0.0}
    assert scales(Serial(Flatten())) == {}


def test_replacing_what_is_there_changes_nothing():
    assert replace(NETWORK, scales(NETWORK)) == NETWORK
    assert replace(NETWORK, {}) is NETWORK


@pytest.mark.parametrize("path", scales(NETWORK))
def test_replaced_scales(path):
    changed = replace(NETWORK, {path: 7.0})
    assert scales(changed) == scales(NETWORK) | {path: 7.0}
    assert changed != NETWORK
    assert scales(NETWORK)[path] != 7.0


def test_other_values():
    changed = replace(
        NETWORK,
        {
            "layers.4.lr_multiplier": 0.0,
            "layers.0.filter": [5, 3],
            "layers.2.branches.0.layers.0.function.a": 0.9,
            "layers.1.branches.0.layers.0": Activation("erf"),
        },
    )
    assert changed.layers[4] == Dense(1.1, 0.3, lr_multiplier=0.0, bias_ntk=1.0)
    assert changed.layers[0] == Conv((5, 3), 1.4, 0.1)
    assert changed.layers[2].branches[0].layers[0] == Activation(ABReLU(0.9, 1.0))
    assert changed.layers[1].branches[0].layers[0] == Activation("erf")


def test_entries_of_tuples():
    network = Activation(Polynomial((1.0, 2.0, 3.0)))
    changed = replace(network, {"function.coefficients.1": 5.0})
    assert changed == Activation(Polynomial((1.0, 5.0, 3.0)))


def test_tensors_stay_tensors():
    value = torch.tensor(1.3, requires_grad=True)
    changed = replace(NETWORK, {"layers.0.w_std": value})
    assert changed.layers[0].w_std is value
    assert "w_std=tensor(1.3" in repr(changed)


@pytest.mark.parametrize(
    "path, part",
    [
        ("layers.9.w_std", "9"),
        ("layers.0.width", "width"),
        ("layers.x.w_std", "x"),
        ("w_std", "w_std"),
        ("layers.0.w_std.value", "value"),
        ("layers.1.branches.0.layers.0.function.slope", "slope"),
        ("", ""),
    ],
)
def test_unknown_paths(path, part):
    with pytest.raises(ValueError, match=rf"no value at '{path}' \('{part}' is not in"):
        replace(NETWORK, {path: 1.0})


def test_replaced_values_are_checked():
    with pytest.raises(ValueError, match=r"Conv\.w_std must be finite"):
        replace(NETWORK, {"layers.0.w_std": -1.0})
    with pytest.raises(TypeError, match=r"Conv\.filter must be an int"):
        replace(NETWORK, {"layers.0.filter": 2.5})
