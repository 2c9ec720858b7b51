"""What the comparison with neural-tangents counts and sends to it, without running it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ntk_sklearn.networks import Activation, AvgPool, Conv, Dense, Flatten, Serial, residual

CONV = ["conv", {"filter_shape": [3, 3], "strides": [1, 1], "padding": "SAME"}]


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")


@pytest.mark.parametrize(
    "name, expected",
    [
        ("cnn-8", 5 * 64**2),
        ("cnn-32", 5 * 1024**2),
        ("cnn-flatten-32", 5 * 1024),
        ("myrtle-5", 2 * 1024**2 + 256**2 + 64**2),
        ("myrtle-10", 3 * (1024**2 + 256**2 + 64**2)),
        ("resnet-4", 9 * 256**2),
        # From the head: all of 8x8, then displacements that are multiples of 2, then of 4.
        ("resnet-strided", 4 * 64**2 + 4 * 128**2 + 5 * 256**2),
        ("dense-20", 20),
    ],
)
def test_entries_of_the_table(name, expected):
    from peers.entries import entry_layers
    from peers.work import WORKS

    work = WORKS[name]
    assert entry_layers(work.network, () if work.size is None else (work.size,) * 2) == expected


def test_entries_below_a_pooled_image_that_is_flattened():
    from peers.entries import entry_layers

    network = Serial(Conv(3), Activation(), AvgPool(2), Flatten(), Dense())
    # Displacements -1, 0, 1 of 6 positions: 5 + 6 + 5 pairs per axis.
    assert entry_layers(network, (6, 6)) == 16**2


def test_description_is_plain_data():
    from peers.description import describe

    scales = {"W_std": 1.5, "b_std": 0.5}
    block = residual(Serial(Activation("relu"), Conv(3, 1.5, 0.5)))
    network = Serial(Conv(3, 1.5, 0.5), block, AvgPool(2), Flatten(), Dense(1.5, 0.5))
    conv = [CONV[0], {**CONV[1], **scales}]
    pool = ["avg_pool", {"window_shape": [2, 2], "strides": [2, 2], "padding": "VALID"}]
    parts = [conv, ["sum", ["serial", ["relu"], conv], ["identity"]], pool, ["flatten"]]
    found = describe(network)
    assert found == json.loads(json.dumps(found)) == ["serial", *parts, ["dense", scales]]


def test_layers_that_neural_tangents_lacks_are_refused():
    from peers.description import describe

    with pytest.raises(NotImplementedError, match="lr_multiplier=0"):
        describe(Serial(Dense(lr_multiplier=0)))


def test_images_from_a_file(tmp_path):
    from peers.work import WORKS, inputs

    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", X=pixels)
    found = inputs(WORKS["cnn-8"], 4, tmp_path / "images.npz")
    means = pixels[:4].reshape(4, 8, 4, 8, 4, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(
        found[1, 2], ((means - means.mean((0, 1, 2))) / means.std((0, 1, 2)))[1, :, :, 2]
    )
