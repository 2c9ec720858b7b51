"""Presets as scikit-learn objects: parameters, copies, equality, scales."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
from layer_walk import walk
from sklearn.base import clone

from ntk_sklearn.duals import LeakyReLU
from ntk_sklearn.networks import Convolutional, FullyConnected, Myrtle, ResNet

PRESETS = [
    FullyConnected(2, width=8, activation=LeakyReLU(0.2), random_state=5),
    Convolutional(1, (3, 5), padding=((1, 0), (0, 1)), head="flatten"),
    ResNet((1, 2), filter=None, branch_scale=0.5),
    Myrtle(7, b_std=0.1, n_networks=3),
]
each = pytest.mark.parametrize("preset", PRESETS, ids=lambda p: type(p).__name__)


@each
@pytest.mark.parametrize("copied", [clone, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_are_equal_and_their_own(preset, copied):
    twin = copied(preset)
    assert twin is not preset
    assert twin == preset
    assert twin.build() == preset.build()
    assert twin.set_params(w_std=9.0) != preset


@each
def test_parameters_are_stored_untouched_and_can_be_set(preset):
    params = preset.get_params()
    twin = type(preset)().set_params(**params)
    assert all(getattr(twin, name) is value for name, value in params.items())


@each
def test_unknown_parameter_is_refused(preset):
    with pytest.raises(ValueError, match="depht"):
        clone(preset).set_params(depht=3)


def test_presets_of_other_types_are_unequal():
    assert FullyConnected() != Convolutional()
    assert FullyConnected() != 3
    assert FullyConnected(3, math.inf) == FullyConnected()


def test_mutable_objects_have_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(FullyConnected())


def test_repr_shows_what_is_not_default():
    assert repr(FullyConnected(depth=2, b_std=0.1)) == "FullyConnected(b_std=0.1, depth=2)"


@each
def test_scales_are_the_four_standard_deviations(preset):
    names = ["w_std", "b_std", "readout_w_std", "readout_b_std"]
    assert preset.scales == {name: getattr(preset, name) for name in names}


@each
def test_with_scales_leaves_the_preset_as_it_is(preset):
    before = clone(preset)
    assert preset.with_scales({"w_std": 0.7}).scales["w_std"] == 0.7
    assert preset == before


@each
def test_scales_may_be_tensors_that_reach_every_layer(preset):
    value = torch.tensor(1.25, requires_grad=True)
    affine = [layer for layer in walk(preset.with_scales({"b_std": value}).build())
              if isinstance(getattr(layer, "b_std", None), torch.Tensor)]  # fmt: skip
    plain = [layer for layer in walk(preset.with_scales({"b_std": 1.25}).build())
             if getattr(layer, "b_std", 0.0)]  # fmt: skip
    assert [float(layer.b_std.detach()) for layer in affine] == [layer.b_std for layer in plain]
    assert all(layer.b_std.requires_grad for layer in affine)


@each
def test_unknown_scale_is_refused_with_the_choices(preset):
    with pytest.raises(ValueError, match=r"no scale 'depth'.*readout_b_std"):
        preset.with_scales({"depth": 2})
