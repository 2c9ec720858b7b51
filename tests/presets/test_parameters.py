from __future__ import annotations

import math

import numpy as np
import pytest

from ntk_sklearn.networks import (
    Activation,
    Convolutional,
    FullyConnected,
    Myrtle,
    ResNet,
    Shape,
    ShapeError,
    infer_shape,
)

ALL = [FullyConnected, Convolutional, ResNet, Myrtle]
NOT_INTEGERS = [2.5, "3", None, True, [3]]
each = pytest.mark.parametrize("kind", ALL)


@pytest.mark.parametrize("kind", [FullyConnected, Convolutional, Myrtle])
@pytest.mark.parametrize("depth", NOT_INTEGERS)
def test_depth_is_an_integer(kind, depth):
    preset = kind(depth=depth)  # checked when the network is built, not on assignment
    with pytest.raises(TypeError, match="depth"):
        preset.build()


@pytest.mark.parametrize("kind", [FullyConnected, Convolutional, Myrtle])
@pytest.mark.parametrize("depth", [-1, np.int64(-1)])
def test_depth_is_not_negative(kind, depth):
    with pytest.raises(ValueError, match="depth"):
        kind(depth=depth).build()


@pytest.mark.parametrize("depth", [0, 3, 4, 6])
def test_myrtle_has_three_depths(depth):
    with pytest.raises(ValueError, match="5, 7 or 10"):
        Myrtle(depth).build()


@pytest.mark.parametrize("kind", [FullyConnected, Convolutional, Myrtle])
def test_numpy_integers_are_integers(kind):
    assert kind(depth=np.int64(5)).build() == kind(depth=5).build()


@each
@pytest.mark.parametrize("width", [2.5, "64", None, True, math.nan])
def test_width_is_an_integer_or_inf(kind, width):
    with pytest.raises(TypeError, match="width"):
        kind(width=width).build()


@each
@pytest.mark.parametrize("width", [0, -3, -math.inf])
def test_width_is_positive(kind, width):
    with pytest.raises((ValueError, TypeError), match="width"):
        kind(width=width).build()


@each
@pytest.mark.parametrize("width", [np.int64(4), np.float64(math.inf)])
def test_numpy_widths_are_accepted(kind, width):
    assert kind(width=width).build() == kind().build()


@each
@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0), np.random.default_rng()])
def test_random_networks_are_named_by_an_integer(kind, random_state):
    with pytest.raises(TypeError, match="random_state"):
        kind(width=4, random_state=random_state).build()


@each
def test_random_state_means_nothing_for_infinite_width(kind):
    assert kind(random_state=None).build() == kind().build()


@each
@pytest.mark.parametrize("n_networks", [0, None, 1.5])
def test_number_of_networks_is_positive(kind, n_networks):
    with pytest.raises((ValueError, TypeError), match="n_networks"):
        kind(width=4, n_networks=n_networks).build()


@each
@pytest.mark.parametrize("activation", ["rleu", None, 3, Activation("relu")])
def test_unknown_activation_is_refused(kind, activation):
    with pytest.raises((ValueError, TypeError), match="activation"):
        kind(activation=activation).build()


@pytest.mark.parametrize("kind", [Convolutional, ResNet])
@pytest.mark.parametrize("head", ["mean", None, 1])
def test_unknown_head_is_refused_with_the_choices(kind, head):
    with pytest.raises(ValueError, match=r"head must be one of .*global_avg_pool"):
        kind(head=head).build()


@pytest.mark.parametrize("kind", [Convolutional, ResNet])
@pytest.mark.parametrize("padding", ["full", None, 1, (-1, 0), (0.5, 1)])
def test_unknown_padding_is_refused(kind, padding):
    with pytest.raises((ValueError, TypeError), match="padding"):
        kind(padding=padding).build()


@pytest.mark.parametrize("kind", [Convolutional, ResNet])
@pytest.mark.parametrize("name, value", [("filter", 0), ("filter", 2.5), ("strides", 0)])
def test_filters_and_strides_are_positive_integers(kind, name, value):
    with pytest.raises((ValueError, TypeError), match=name):
        kind(**{name: value}).build()


@each
@pytest.mark.parametrize("name", ["w_std", "b_std", "readout_w_std", "readout_b_std"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, "1", None])
def test_scales_are_finite_numbers(kind, name, value):
    with pytest.raises((ValueError, TypeError), match=name.removeprefix("readout_")):
        kind(**{name: value}).build()


@pytest.mark.parametrize("blocks", [(), 3, None, (2, 0), (2, -1), (1.5,), "22"])
def test_blocks_are_positive_integers(blocks):
    with pytest.raises((ValueError, TypeError), match="blocks"):
        ResNet(blocks).build()


@pytest.mark.parametrize("scale", [-1.0, math.nan, "critical", None])
def test_branch_scale_is_a_number_or_auto(scale):
    with pytest.raises((ValueError, TypeError), match="branch_scale"):
        ResNet(branch_scale=scale).build()


def test_layer_that_does_not_fit_the_image_is_named():
    network = Convolutional(3, filter=4, padding="valid").build()
    with pytest.raises(ShapeError, match=r"layers\.2: Conv"):
        infer_shape(network, Shape(1, (5, 5)))
