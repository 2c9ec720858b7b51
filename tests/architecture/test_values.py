"""Numbers that layers refuse, by name."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from ntk_sklearn.architecture import AvgPool, Concat, Conv, Dense, SumPool

SCALES = [
    (layer, name)
    for layer in (Dense, Conv)
    for name in ("w_std", "b_std", "lr_multiplier", "bias_ntk")
]
AXES = [(Conv, "filter"), (Conv, "strides"), (Conv, "dilation")]
AXES += [(pool, name) for pool in (AvgPool, SumPool) for name in ("window", "strides")]
PADDED = (Conv, AvgPool, SumPool)
each_scale = pytest.mark.parametrize("layer, name", SCALES)
each_axis = pytest.mark.parametrize("layer, name", AXES)


@each_scale
@pytest.mark.parametrize("value", [True, "1", 1j, [1.0], np.bool_(True), np.ones(2)])
def test_scales_are_numbers(layer, name, value):
    with pytest.raises(TypeError, match=rf"{layer.__name__}\.{name} must be a number"):
        layer(**{name: value})


@each_scale
@pytest.mark.parametrize("value", [-1.0, -1e-300, math.nan, math.inf, -math.inf, np.float32("nan")])
def test_scales_are_finite_and_not_negative(layer, name, value):
    with pytest.raises(ValueError, match=rf"{layer.__name__}\.{name} must be finite and not neg"):
        layer(**{name: value})


@each_scale
@pytest.mark.parametrize("value", [0, 0.0, 3, np.float32(0.5), np.int64(2), Fraction(1, 3)])
def test_any_real_number_is_a_scale(layer, name, value):
    assert getattr(layer(**{name: value}), name) == value


def test_none_is_a_scale_of_nothing_but_bias_ntk():
    assert Dense(bias_ntk=None).bias_ntk is None
    with pytest.raises(TypeError, match=r"Dense\.w_std must be a number, got None"):
        Dense(None)


def test_tensors_pass():
    assert Dense(torch.tensor(-1.0)).w_std == -1.0


@each_axis
@pytest.mark.parametrize("value", [True, 2.0, "3", (2, 2.0), (2, None), np.float64(3)])
def test_axes_are_integers(layer, name, value):
    with pytest.raises(TypeError, match=rf"{layer.__name__}\.{name} must be an int or a tuple"):
        layer(**{name: value})


@each_axis
@pytest.mark.parametrize("value", [0, -1, (2, 0)])
def test_axes_are_positive(layer, name, value):
    with pytest.raises(ValueError, match=rf"{layer.__name__}\.{name} must be at least 1"):
        layer(**{name: value})


BAD_PADDING = (
    "SAME",
    "reflect",
    1,
    (),
    (1,),
    (1, 2, 3),
    (-1, 0),
    (True, 0),
    (1.0, 1),
    ((1, 1), (1,)),
)


@pytest.mark.parametrize("layer", PADDED)
@pytest.mark.parametrize("value", BAD_PADDING)
def test_padding(layer, value):
    with pytest.raises(ValueError, match=rf"{layer.__name__}\.padding must be one of .*same"):
        layer(2, padding=value)


@pytest.mark.parametrize(
    "shares", [(1.0,), (1.0, 0.0), (1.0, -1.0), (math.nan, 1.0), (math.inf, 1.0)]
)
def test_shares(shares):
    with pytest.raises(ValueError, match=r"Concat\.shares must be one positive number per branch"):
        Concat(Dense(), Dense(), shares=shares)
