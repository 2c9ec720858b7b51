"""Limits of deep kernels, against the kernels of deep networks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ntk_sklearn.kernels.network_kernel import NetworkKernel
from ntk_sklearn.networks import (
    Activation,
    Conv,
    Convolutional,
    Dense,
    FullyConnected,
    GlobalAvgPool,
    Myrtle,
    ResNet,
    Serial,
    depth_limits,
    network_phase,
    phase,
)

ROWS = math.sqrt(2.0) * np.array([[1.0, 0.0], [0.3, math.sqrt(0.91)]])
# Two images of 3 channels and 5 positions, as rows, of mean square 1
IMAGES = np.random.default_rng(0).standard_normal((2, 15))
IMAGES *= np.sqrt(15) / np.linalg.norm(IMAGES, axis=1, keepdims=True)


def kernels(network, X=ROWS) -> list[tuple[float, float]]:
    """NNGP and NTK of an input with itself, and of two."""
    shape = None if X is ROWS else (3, 5)
    kernel = NetworkKernel(network, ("nngp", "ntk"), shape, backend="reference")
    return [(K[0, 0], K[0, 1]) for K in kernel.matrix(X)]


SCALES = {
    "ordered": {"activation": "erf", "w_std": 1.0, "b_std": 0.3, "readout_b_std": 0.2},
    "ordered relu": {"w_std": 1.2, "b_std": 0.3, "readout_w_std": 1.3},
    "chaotic": {"activation": "erf", "w_std": 3.0, "b_std": 0.1, "readout_w_std": 0.7},
    "chaotic sin": {"activation": "sin", "w_std": 2.0, "b_std": 0.3},
    "vanishing": {"w_std": 1.2, "b_std": 0.0, "readout_b_std": 0.5},
}


def convolutional(name: str, depth: int, head: str = "flatten") -> Convolutional:
    return Convolutional(depth, 3, padding="circular", head=head, **SCALES[name])


@pytest.mark.parametrize("name", SCALES)
def test_deep_networks(name):
    found = depth_limits(FullyConnected(2, **SCALES[name]))
    nngp, ntk = kernels(FullyConnected(120, **SCALES[name]))
    assert nngp == pytest.approx(found.nngp, rel=1e-9, abs=1e-9)
    assert ntk[1] == pytest.approx(found.ntk[1], rel=1e-9, abs=1e-7)
    if found.phase.name == "ordered":
        assert ntk[0] == pytest.approx(found.ntk[0], rel=1e-9, abs=1e-7)
        return
    assert found.ntk[0] == math.inf
    deeper = kernels(FullyConnected(121, **SCALES[name]))[1]
    assert deeper[0] / ntk[0] == pytest.approx(found.phase.chi_1, rel=1e-9)


CRITICAL = pytest.mark.parametrize(
    "activation, b_std, share", [("relu", 0.0, 0.25), ("erf", 0.2, 1 / 3)]
)


@CRITICAL
@pytest.mark.parametrize("depth", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_critical_layers(activation, b_std, share, depth):
    network = FullyConnected(depth, activation=activation, w_std="critical", b_std=b_std)
    found = depth_limits(network, start=2.0)  # relu keeps the variance of these rows
    assert found.phase.name == "critical"
    assert found.phase.ntk_correlation == pytest.approx(share)
    nngp, ntk = kernels(network)
    assert nngp[0] == pytest.approx(found.nngp[0], rel=1e-9)
    assert 0 < 1 - nngp[1] / nngp[0] < 8 / depth
    assert ntk[1] / ntk[0] == pytest.approx(share, abs=5 / depth)


# Convolutions with circular padding have the limits of dense layers at every pair of positions


@pytest.mark.parametrize("name", SCALES)
def test_deep_convolutions(name):
    found = depth_limits(convolutional(name, 2))
    assert found == depth_limits(FullyConnected(2, **SCALES[name]))
    nngp, ntk = kernels(convolutional(name, 120), IMAGES)
    assert nngp == pytest.approx(found.nngp, rel=1e-9, abs=1e-9)
    assert ntk[1] == pytest.approx(found.ntk[1], rel=1e-9, abs=1e-7)


@pytest.mark.parametrize("name", ["ordered", "chaotic"])
def test_pairs_of_positions_of_one_image_are_like_two_inputs(name):
    same, different = depth_limits(convolutional(name, 2)).nngp
    nngp, _ = kernels(convolutional(name, 120, "global_avg_pool"), IMAGES)
    # 5 of the 25 pairs of positions of an image are a position with itself
    assert nngp == pytest.approx((0.2 * same + 0.8 * different, different), rel=1e-9)


def test_critical_convolutions():
    network = Convolutional(300, padding="circular", head="flatten", w_std="critical", b_std=0.0)
    nngp, ntk = kernels(network, IMAGES)
    assert ntk[0] / nngp[0] == pytest.approx(301, rel=0.02)  # 301 where variances are equal
    assert ntk[1] / ntk[0] == pytest.approx(0.25, abs=0.02)


# What phases are of

TREES = [
    FullyConnected(1, activation="erf", w_std=1.5, b_std=0.2),
    Serial(Dense(7.0), Activation("erf"), Serial(Dense(1.5, 0.2), Activation("erf")), Dense()),
    Serial(
        Conv(1, 3.0, padding="circular"), Activation("erf"),
        Conv((3, 2), 1.5, 0.2, padding="circular"), Activation("erf"), GlobalAvgPool(), Dense(),
    ),
]  # fmt: skip


@pytest.mark.parametrize("network", TREES, ids=str)
def test_networks_of_equal_layers(network):
    assert network_phase(network) == phase("erf", 1.5, 0.2)


ERF, CIRCULAR = Activation("erf"), Conv(padding="circular")
UNLIKE = [
    (FullyConnected(0), "no sequence of affine layers"),
    (ResNet(filter=None), "no sequence of affine layers"),
    (Myrtle(), "no sequence of affine layers"),
    (Convolutional(), "at the border.*circular"),
    (Convolutional(padding="circular", strides=2), "strides=1"),
    (Serial(CIRCULAR, ERF, Dense(), ERF, Dense()), "several kinds"),
    (Serial(Dense(), ERF, Dense(lr_multiplier=0.0)), "lr_multiplier"),
    (Serial(Dense(), ERF, Dense(bias_ntk=1.0)), "bias_ntk"),
    (FullyConnected(2, width=16), "infinite width"),
    (Serial(Dense(), ERF, Dense(1.5), ERF, Dense(1.4), ERF, Dense()), "different scales"),
    (Serial(Dense(), ERF, Dense(), Activation("sin"), Dense()), "different scales or activations"),
]


@pytest.mark.parametrize("network, told", UNLIKE, ids=str)
def test_other_networks_have_no_phase(network, told):
    with pytest.raises(ValueError, match=told):
        network_phase(network)


@pytest.mark.parametrize(
    "network, told",
    [
        (convolutional("ordered", 3, "global_avg_pool"), "behind Flatten"),
        (Serial(Dense(), ERF), "dense layer"),
    ],
    ids=str,
)
def test_limits_are_of_flat_readouts(network, told):
    with pytest.raises(ValueError, match=told):
        depth_limits(network)
