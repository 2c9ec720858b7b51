from __future__ import annotations

import math

import numpy as np
import pytest
from layer_walk import leaves

from ntk_sklearn.kernels import NNGP
from ntk_sklearn.networks import (
    Activation,
    AvgPool,
    Conv,
    Convolutional,
    Dense,
    Flatten,
    FullyConnected,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Myrtle,
    ResNet,
    Serial,
    Shape,
    Sum,
    check_network,
    infer_shape,
)

DENSE, IMAGE = Shape(7), Shape(3, (32, 32))
PRESETS = [
    (FullyConnected(), DENSE),
    (FullyConnected(0), DENSE),
    (Convolutional(), IMAGE),
    (Convolutional(2, filter=(3, 5), strides=2, padding="circular", head="flatten"), IMAGE),
    (Convolutional(0, head="global_sum_pool"), IMAGE),
    (Convolutional(2, padding=(2, 1)), Shape(1, (9,))),
    (Convolutional(1, padding="valid"), Shape(2, (4, 5, 6))),
    (ResNet(), IMAGE),
    (ResNet((1, 2, 1), strides=3, padding="circular", head="flatten"), IMAGE),
    (ResNet(filter=None), DENSE),
    (Myrtle(5), IMAGE),
    (Myrtle(7), IMAGE),
    (Myrtle(10), IMAGE),
]


@pytest.mark.parametrize("preset, shape", PRESETS, ids=str)
def test_tree_has_a_limit_and_one_output_position(preset, shape):
    network = preset.build()
    check_network(network)
    assert infer_shape(network, shape) == Shape(None)


@pytest.mark.parametrize("preset, shape", PRESETS, ids=str)
def test_readout_has_scales_of_its_own(preset, shape):
    changed = preset.with_scales({"readout_w_std": 0.6, "readout_b_std": 0.7}).build()
    assert changed.layers[-1] == Dense(0.6, 0.7)


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_dense_depth_counts_activations(depth):
    network = FullyConnected(depth, activation="erf", w_std=1.3, b_std=0.2).build()
    assert leaves(network, Activation) == [Activation("erf")] * depth
    assert leaves(network, Dense) == [Dense(1.3, 0.2)] * depth + [Dense(1.0, 0.0)]


@pytest.mark.parametrize(
    "head, kind",
    [
        ("global_avg_pool", GlobalAvgPool),
        ("global_sum_pool", GlobalSumPool),
        ("flatten", Flatten),
    ],
)
def test_convolutional_is_convolutions_head_and_readout(head, kind):
    preset = Convolutional(2, 5, strides=2, padding="valid", head=head, w_std=1.1, b_std=0.3)
    hidden = (Conv(5, 1.1, 0.3, strides=2, padding="valid"), Activation("relu"))
    assert preset.build() == Serial(*hidden * 2, kind(), Dense(1.0, 0.0))


@pytest.mark.parametrize("name, n_activations", [(5, 4), (7, 6), (10, 9)])
def test_myrtle_counts_pooling_and_readout(name, n_activations):
    network = Myrtle(name).build()
    assert leaves(network, Conv) == [Conv(3, math.sqrt(2), 0.0)] * n_activations
    assert leaves(network, Activation) == [Activation("relu")] * n_activations
    assert leaves(network, AvgPool) == [AvgPool(2)] * 2
    assert network.layers[-2:] == (GlobalAvgPool(), Dense())


def blocks_of(network):
    return [layer for layer in network.layers if isinstance(layer, Sum)]


def test_resnet_has_a_stem_blocks_and_an_activation_before_the_head():
    network = ResNet((2, 3)).build()
    assert isinstance(network.layers[0], Conv)
    assert len(blocks_of(network)) == 5
    assert network.layers[-3:] == (Activation("relu"), GlobalAvgPool(), Dense())
    assert len(leaves(network, Activation)) == 2 * 5 + 1


def test_resnet_strides_and_projects_at_the_beginning_of_later_stages():
    blocks = blocks_of(ResNet((2, 2), strides=(1, 2), padding="circular").build())
    assert [leaves(block, Conv)[0].strides for block in blocks] == [1, 1, (1, 2), 1]
    projection = Conv(1, 1.0, 0.0, strides=(1, 2), padding="circular")
    shortcuts = [block.branches[1] for block in blocks]
    assert shortcuts == [Identity(), Identity(), projection, Identity()]


def test_dense_resnet_has_neither_strides_nor_projections():
    network = ResNet((1, 2), filter=None).build()
    assert not leaves(network, Conv)
    assert [block.branches[1] for block in blocks_of(network)] == [Identity()] * 3
    assert len(leaves(network, Dense)) == 1 + 2 * 3 + 1


@pytest.mark.parametrize("scale, factor", [("auto", 0.5), (0.3, 0.3), (1, 1.0)])
def test_resnet_scales_the_last_layer_of_each_branch(scale, factor):
    network = ResNet((2, 2), filter=None, branch_scale=scale, w_std=1.2, b_std=0.4).build()
    expected = [Dense(1.2, 0.4), Dense(1.2 * factor, 0.4 * factor)]
    assert [leaves(block, Dense) for block in blocks_of(network)] == [expected] * 4


@pytest.mark.parametrize("scale, low, high", [("auto", 0.5, 4.0), (1, 2.0**15, 2.0**17)])
def test_resnet_diagonal_is_bounded_by_the_automatic_branch_scale(scale, low, high):
    preset = ResNet((16,), filter=None, branch_scale=scale, b_std=0.0)
    x = np.ones((1, 5))  # without blocks: 2 after the stem, 1 at the readout
    assert low < NNGP(preset).diag(x)[0] < high
