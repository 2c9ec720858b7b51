"""The networks of docs/published.md, against slow loops from the papers' formulas."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import slow_loops
from markdown_pages import ROOT, run

from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import GlobalAvgPool, Serial

IMAGES = np.random.default_rng(1).standard_normal((2, 2, 3, 4))
SLOW = pytest.mark.slow
ROWS = np.array([[1.0, 0.0], [0.3, math.sqrt(0.91)], [-0.6, 0.8]])  # of length one


@pytest.fixture(scope="module")
def docs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "published", None)
        yield run(ROOT / "docs" / "published.md", "published")


def correlation(K: np.ndarray) -> float:
    return K[0, 1] / math.sqrt(K[0, 0] * K[1, 1])


@pytest.mark.parametrize("depth, c, gamma", [(1, 1, 0.0), (2, 0, 0.7), (2, 1, 0.7), (3, 2, 0.3)])
def test_enhanced_cntk(docs, depth, c, gamma):
    expected = [[slow_loops.enhanced_cntk(x, z, depth, c, gamma) for z in IMAGES] for x in IMAGES]
    found = NTK(docs.enhanced_cntk((2, 3, 4), depth, c, gamma))(IMAGES)
    np.testing.assert_allclose(found, expected, rtol=1e-7)  # the loops take an arccos


def test_no_blur_is_the_vanilla_cntk(docs):
    found = NTK(docs.enhanced_cntk((2, 3, 4), depth=2, c=0))(IMAGES)[0, 1]
    expected = slow_loops.cntk(*IMAGES, depth=3, pooled=False)
    assert found == pytest.approx(expected, rel=1e-7)


def test_windows_over_the_whole_image_are_global_pooling(docs):
    network = docs.enhanced_cntk((2, 3, 4), depth=2, c=4)
    *convolutions, _, _, readout = network.layers
    pooled = NTK(Serial(*convolutions, GlobalAvgPool(), readout))(IMAGES)
    assert correlation(NTK(network)(IMAGES)) == pytest.approx(correlation(pooled), rel=1e-12)


def test_normalized_enhanced_cntk(docs):
    images = np.random.default_rng(2).standard_normal((3, 3, 8, 8))
    K = NTK(docs.enhanced_cntk((3, 8, 8), depth=3, c=2))(images)
    root = np.sqrt(np.diag(K))
    found = NTK(docs.kernel)(images)
    np.testing.assert_allclose(found, K / root[:, None] / root, rtol=1e-12)
    np.testing.assert_array_equal(np.diag(found), 1.0)


def test_inputs_of_deep_gaussian_processes_have_unit_variance(docs):
    X = np.random.default_rng(3).normal(3.0, 2.0, (6, 40))
    rows = docs.model[0].transform(X)
    np.testing.assert_allclose(rows.mean(1), 0, atol=1e-14)
    first = NNGP(docs.deep_gaussian_process(0, 1.7, 0.4)).diag(rows)
    np.testing.assert_allclose(first, 1.7 + 0.4, rtol=1e-14)


def test_variance_of_a_deep_gaussian_process(docs):
    deep = NNGP(docs.deep_gaussian_process(400, 1.9, 0.2)).diag(ROWS)
    np.testing.assert_allclose(deep, 0.2 / (1 - 1.9 / 2), rtol=1e-8)  # the fixed point, 4


@pytest.mark.parametrize(
    "depth, alpha, w, v", [(1, 1.0, 1.0, 1.0), (5, 0.1, 1.3, 0.7), (9, 1, 1, 1)]
)
def test_residual_networks_of_tirer(docs, depth, alpha, w, v):
    expected = [[slow_loops.tirer(x, z, depth, alpha, w, v) for z in ROWS] for x in ROWS]
    found = NTK(docs.tirer(depth, alpha, w, v))(ROWS)
    np.testing.assert_allclose(found, expected, rtol=1e-7)


@pytest.mark.parametrize("depth, gamma", [(1, 1.0), (10, 1.0), (100, 0.5), (30, 0.25)])
def test_residual_networks_of_huang(docs, depth, gamma):
    alpha = depth**-gamma
    expected = [[slow_loops.huang(x, z, depth, alpha) for z in ROWS] for x in ROWS]
    found = NTK(docs.huang(2, depth, gamma))(ROWS)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


# By gamma, for depths 10, 100, 1000 and 10000.
HUANG = {
    1.0: (0.33028, 0.33085, 0.33091, 0.33092),
    0.75: (0.32911, 0.33020, 0.33068, 0.33084),
    0.5: (0.32684, 0.32548, 0.32533, 0.32531),
    0.25: (0.32527, 0.30914),
}


@pytest.mark.parametrize("gamma", HUANG)
def test_recorded_depths_of_huang(docs, gamma):
    found = correlation(NTK(docs.huang(2, 10, gamma))(ROWS))
    assert found == pytest.approx(HUANG[gamma][0], abs=6e-6)


@pytest.mark.parametrize("gamma", HUANG)
def test_recorded_limits_of_huang(gamma):
    """By the loops, which the networks are held to at all depths above."""
    depths = (10, 100, 1000, 10_000)[: len(HUANG[gamma])]
    found = [
        slow_loops.huang(ROWS[0], ROWS[1], depth, depth**-gamma)
        / slow_loops.huang(ROWS[0], ROWS[0], depth, depth**-gamma)
        for depth in depths
    ]
    np.testing.assert_allclose(found, HUANG[gamma], atol=6e-6)


@pytest.mark.parametrize(
    "depth, unscaled, scaled",
    [
        (5, 0.3406, 0.3262),
        pytest.param(50, 0.3037, 0.3270, marks=SLOW),
        pytest.param(500, 0.2593, 0.3271, marks=SLOW),
    ],
)
def test_scaled_branches_keep_angles_and_unscaled_ones_do_not(docs, depth, unscaled, scaled):
    # branches of variance 1 times alpha^2, all layers trained
    networks = [docs.tirer(depth, alpha, v_std=math.sqrt(2)) for alpha in (1.0, depth**-0.5)]
    found = [correlation(NTK(network)(ROWS)) for network in networks]
    np.testing.assert_allclose(found, [unscaled, scaled], atol=6e-5)
    growth = [NNGP(network).diag(ROWS)[0] * 2 for network in networks]  # rows of two features
    np.testing.assert_allclose(growth, [2.0**depth, (1 + 1 / depth) ** depth], rtol=1e-10)


@SLOW
def test_untrained_ends_decide_the_limit_of_depth(docs):
    one_layer = 0.33092  # the NTK of one hidden layer at the cosine 0.3
    assert correlation(NTK(docs.huang(2, 1000, 1.0))(ROWS)) == pytest.approx(one_layer, abs=1e-4)
    assert correlation(NTK(docs.tirer(1000, 1e-3))(ROWS)) == pytest.approx(0.3, abs=1e-3)
