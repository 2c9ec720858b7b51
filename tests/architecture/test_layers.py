"""Layers are data: frozen, hashable, comparable, picklable, readable."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    LayerNorm,
    LocalAvgPool,
    Product,
    Serial,
    Sum,
    SumPool,
    residual,
)
from ntk_sklearn.duals import ABReLU, LeakyReLU

LAYERS = {
    "Dense()": Dense(),
    "Dense(w_std=1.5, b_std=0.1, lr_multiplier=0.0, bias_ntk=1.0)": Dense(
        1.5, 0.1, lr_multiplier=0.0, bias_ntk=1.0
    ),
    "Conv()": Conv(),
    "Conv(filter=(3, 1), w_std=1.5, strides=2, dilation=(1, 2), padding=((0, 1), (1, 1)))": Conv(
        [3, 1], 1.5, strides=2, dilation=(1, 2), padding=[[0, 1], [1, 1]]
    ),
    "Activation('relu')": Activation(),
    "Activation('erf')": Activation("erf"),
    "Activation(ABReLU(a=0.2, b=1.0))": Activation(LeakyReLU(0.2)),
    "AvgPool(window=3, strides=1, padding='same')": AvgPool(3, 1, "same"),
    "AvgPool(window=(3, 1), strides=(1, 1), padding=((1, 1), (0, 0)))": LocalAvgPool((1, 0)),
    "AvgPool(window=5, strides=1, padding=(2, 2))": LocalAvgPool(2),
    "AvgPool(strides=2, normalize_edges=True)": AvgPool(normalize_edges=True),
    "SumPool(window=(2, 1), strides=(2, 1))": SumPool((2, 1)),
    "ConvTranspose()": ConvTranspose(),
    "ConvTranspose(filter=(3, 1), w_std=1.5, strides=2, padding=(1, 0))": ConvTranspose(
        [3, 1], 1.5, strides=2, padding=[1, 0]
    ),
    "ConvLocal()": ConvLocal(),
    "ConvLocal(filter=2, b_std=0.1, dilation=(1, 2), bias_ntk=0.0)": ConvLocal(
        2, b_std=0.1, dilation=[1, 2], bias_ntk=0.0
    ),
    "LayerNorm()": LayerNorm(),
    "LayerNorm(axes='all', eps=0.1)": LayerNorm("all", 0.1),
    "Dropout(p=0.3)": Dropout(0.3),
    "Product(Dense(), Identity())": Product(Dense(), Identity()),
    "GlobalAvgPool()": GlobalAvgPool(),
    "GlobalSumPool()": GlobalSumPool(),
    "Flatten()": Flatten(),
    "Identity()": Identity(),
    "Serial(Dense(), Activation('relu'))": Serial(Dense(), Activation()),
    "Serial()": Serial(),
    "Sum(Dense(), Identity())": residual(Dense()),
    "Concat(Dense(), Conv())": Concat(Dense(), Conv()),
    "Concat(Dense(), Conv(), shares=(0.25, 0.75))": Concat(Dense(), Conv(), shares=(1, 3)),
}
each_layer = pytest.mark.parametrize("text, layer", LAYERS.items())


@each_layer
def test_repr_reads_as_code(text, layer):
    assert repr(layer) == text
    assert eval(text) == layer


@each_layer
def test_equal_copies(text, layer):
    for other in (copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other == layer
        assert hash(other) == hash(layer)
        assert type(other) is type(layer)


def test_all_different():
    assert len(set(LAYERS.values())) == len(LAYERS)
    assert AvgPool(2) != SumPool(2)
    assert Serial(Dense()) != Sum(Dense())


@each_layer
def test_frozen(text, layer):
    for name in (*(f.name for f in fields(layer)), "comment"):
        with pytest.raises(FrozenInstanceError):
            setattr(layer, name, 2)


def test_numbers_are_normalized():
    assert Conv(np.int64(3), strides=[np.int32(1), 2]) == Conv(3, strides=(1, 2))
    assert type(Conv(np.int64(3)).filter) is int
    assert AvgPool(3).strides == 3
    assert AvgPool((2, 3), 1).strides == 1
    assert Concat(Dense(), Dense(), shares=(2, 6)).shares == (0.25, 0.75)


def test_residual_has_an_identity_shortcut_unless_given():
    assert residual(Dense()) == Sum(Dense(), Identity())
    assert residual(Dense(), Dense(0.5)) == Sum(Dense(), Dense(0.5))


def test_what_is_not_a_layer_is_refused():
    with pytest.raises(TypeError, match=r"Serial takes layers, got 'relu'"):
        Serial(Dense(), "relu")
    with pytest.raises(TypeError, match=r"side by side, not in a list"):
        Serial([Dense(), Activation()])
    with pytest.raises(TypeError, match=r"Concat takes layers, got ABReLU"):
        Concat(Dense(), ABReLU())
    with pytest.raises(ValueError, match=r"Sum needs at least 1 branch"):
        Sum()


@pytest.mark.parametrize("kind", [Dense, Conv])
def test_rates_are_named(kind):
    """stax.Dense(512, 1.5, 0.1) begins with a width: as Dense(...) it must not pass."""
    with pytest.raises(TypeError, match="positional"):
        kind(*range(1, 10))


@pytest.mark.parametrize("wrong", ["relu", ABReLU()])
def test_activations_are_layers(wrong):
    with pytest.raises(TypeError, match=r"an activation is a layer as Activation\("):
        Serial(Dense(), wrong)
