"""The fused engine against the reference, the golden tables and the definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fused_cases import DENSE, IMAGES, LINE, ODD, RELU, SQUARE, block, conv, near_rows, pictures, rows
from fused_kernels import FUSED, REFERENCE, SINGLE, diagonal, error, matrix, problem_of, single_errors
from golden_networks import network as golden
from golden_networks import recorded, specifications
from naive_recursion import naive_kernels
from reference_kernels import relative_error

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Serial,
)
from ntk_sklearn.networks import Convolutional, FullyConnected, Myrtle, ResNet

EXACT, NEAR = 1e-12, 1e-7
# Positionless networks in which an activation with a kink follows one that forgets angles.
FORGETFUL = ("residual, erf", "concat", "kinks")
each_image = pytest.mark.parametrize("network, shape", IMAGES.values(), ids=list(IMAGES))
each_dense = pytest.mark.parametrize("network", DENSE.values(), ids=list(DENSE))


@each_image
def test_images(network, shape):
    X, Z = pictures(shape), pictures(shape, 1)
    Z[1], Z[2] = X[7], X[0]
    problem = problem_of(network, shape)
    assert FUSED.why_not(problem) == []
    assert error(problem, X) < EXACT
    assert error(problem, X, Z) < EXACT


@each_image
def test_images_in_single_precision(network, shape):
    found, bound = single_errors(network, [pictures(shape, seed) for seed in range(4)])
    assert (found <= bound).all(), found / bound


@each_image
def test_images_with_themselves(network, shape):
    problem, X = problem_of(network, shape), pictures(shape)
    found, expected = (diagonal(evaluator, problem, X) for evaluator in (FUSED, REFERENCE))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-300)


@each_dense
@pytest.mark.parametrize("n_features", [1, 2, 40])
def test_rows(network, n_features):
    X, Z = rows(n_features), rows(n_features, 1)
    Z[1], Z[2] = X[7], X[0]
    problem = problem_of(network, (n_features,))
    assert FUSED.why_not(problem) == []
    assert error(problem, X) < EXACT
    assert error(problem, X, Z) < EXACT
    found, expected = (diagonal(evaluator, problem, X) for evaluator in (FUSED, REFERENCE))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-300)


@each_dense
@pytest.mark.parametrize("n_features", [2, 40])
def test_near_rows(network, n_features):
    problem = problem_of(network, (n_features,))
    bound = NEAR if any(network is DENSE[name] for name in FORGETFUL) else EXACT
    assert error(problem, near_rows(n_features)) < bound


@each_dense
def test_rows_in_single_precision(network):
    found, bound = single_errors(network, [rows(40, seed) for seed in range(4)])
    assert (found <= bound).all(), found / bound


@each_dense
def test_near_rows_in_single_precision(network):
    found, bound = single_errors(network, [near_rows(40, seed) for seed in range(4)])
    assert (found <= bound).all(), found / bound


@pytest.mark.parametrize("size", [1e-9, 1e-8, 1e-7, 1e-6, 1e-4, 1e-3])
@pytest.mark.parametrize("name", ["odd", "pool", "circular", "residual, flat", "abs", "erf"])
def test_near_images(name, size):
    network, shape = IMAGES[name]
    draws = np.random.default_rng(0).standard_normal((2, 4, *shape))
    X = np.concatenate([1 + size * draws[0], draws[1, :1] + size * draws[0]])
    assert error(problem_of(network, shape), X) < NEAR


def test_all_rows_equal():
    X = np.repeat(rows(30)[:1], 5, axis=0)
    found = matrix(FUSED, problem_of(DENSE["depth 3"], (30,)), X)
    np.testing.assert_allclose(found, found[:, :1, :1].repeat(5, 1).repeat(5, 2), rtol=1e-15)


# Several networks at once.


def _depths(most: int, affine, *head) -> list[Serial]:
    return [Serial(*[affine, RELU] * depth, *head, Dense()) for depth in range(most + 1)]


FAMILIES = {
    "depths": (_depths(6, Dense(1.4, 0.1)), (11,)),
    "depths of images": (_depths(4, conv(), GlobalAvgPool()), SQUARE),
    "heads": (
        [Serial(block(), conv(), head, *last) for head in (GlobalAvgPool(), Flatten(), GlobalSumPool())
         for last in ((), (Dense(),), (Dense(), RELU, Dense(0.7, 0.1)))],
        ODD,
    ),
    "all dense": (list(DENSE.values()), (5,)),
    "all images of a shape": ([n for n, shape in IMAGES.values() if shape == ODD], ODD),
    "all lines": ([n for n, shape in IMAGES.values() if shape == LINE], LINE),
}  # fmt: skip


@pytest.mark.parametrize("networks, shape", FAMILIES.values(), ids=list(FAMILIES))
def test_several_networks(networks, shape):
    X = pictures(shape) if len(shape) > 1 else rows(*shape)
    assert error(problem_of(networks, shape), X) < EXACT


def test_outputs_in_any_order_and_twice():
    networks, shape = FAMILIES["heads"]
    together, X = problem_of(networks, shape), pictures(shape)
    order = np.random.default_rng(0).permutation(len(together.outputs) * 2) % len(together.outputs)
    asked = replace(together, outputs=tuple(together.outputs[k] for k in order))
    np.testing.assert_array_equal(
        matrix(FUSED, asked, X), matrix(FUSED, together, X)[order]
    )


# Against what was not written here.

COVERED = sorted(name for name in specifications())


@pytest.mark.parametrize("name", COVERED)
def test_golden(name):
    tables = recorded(name)
    x1, x2 = tables["x1"], tables["x2"]
    problem = problem_of(golden(name), x1.shape[1:])
    assert FUSED.why_not(problem) == []
    found = [*matrix(FUSED, problem, x1, x2), *matrix(FUSED, problem, x1)]
    for value, table in zip(found, ("nngp", "ntk", "nngp_train", "ntk_train"), strict=True):
        # some recorded NTK entries of coincident images are low by 2e-9
        low = name in ("cnn3_flatten", "resnet_flatten") and table.startswith("ntk")
        assert relative_error(value, tables[table]) < (5e-9 if low else 1e-10)


@pytest.mark.parametrize("name", COVERED)
def test_golden_inputs(name):
    x1 = recorded(name)["x1"]
    assert error(problem_of(golden(name), x1.shape[1:]), x1) < EXACT
    found, bound = single_errors(golden(name), [x1])
    assert (found <= bound).all(), found / bound


NAIVE = ("even", "far in a plane", "dilation, strides", "circular, ragged", "pool, circular",
         "pool, padded", "mixed", "beside pool", "long strides", "residual, projected")  # fmt: skip


@pytest.mark.parametrize("name", NAIVE)
def test_definition(name):
    network, shape = IMAGES[name]
    X = pictures((shape[0], *(min(n, 4) for n in shape[1:])))[[0, 3, 5, 6, 7]]
    found = matrix(FUSED, problem_of(network, X.shape[1:]), X, X[1:])
    assert relative_error(found, naive_kernels(network, X, X[1:])) < 2e-8  # arccos near 1


PRESETS = {
    "dense": (FullyConnected(), (6,)),
    "convolutional": (Convolutional(), (3, 6, 5)),
    "flat": (Convolutional(head="flatten", padding="circular"), (3, 6, 5)),
    "sum": (Convolutional(head="global_sum_pool", strides=2, depth=3), (1, 9)),
    "myrtle 5": (Myrtle(), (3, 8, 8)),
    "myrtle 7": (Myrtle(7), (1, 10, 8)),
    "myrtle 10": (Myrtle(10), (3, 8, 8)),
    "resnet": (ResNet(), (3, 8, 7)),
    "resnet of three stages": (ResNet((1, 2, 1), head="flatten"), (3, 9, 8)),
    "resnet, circular": (ResNet((2, 1), padding="circular"), (3, 6, 5)),
    "dense resnet": (ResNet((2, 2), filter=None), (6,)),
}


@pytest.mark.parametrize("preset, shape", PRESETS.values(), ids=list(PRESETS))
def test_presets(preset, shape):
    network = preset.build()
    X = pictures(shape) if len(shape) > 1 else rows(*shape)
    assert error(problem_of(network, shape), X) < EXACT
    found, bound = single_errors(network, [X])
    assert (found <= bound).all(), found / bound


# Magnitudes.


@pytest.mark.parametrize("size", [1e-150, 1e-80, 1e80, 1e150])
@pytest.mark.parametrize("name", ["odd", "pool, flat", "no bias", "circular, ragged", "abs"])
def test_small_and_large_images(name, size):
    network, shape = IMAGES[name]
    problem, X = problem_of(network, shape), size * pictures(shape)
    found, expected = (matrix(evaluator, problem, X) for evaluator in (FUSED, REFERENCE))
    assert relative_error(found, expected) < EXACT


@pytest.mark.parametrize("size", [1e-150, 1e-80, 1e80, 1e150])
@pytest.mark.parametrize("name", ["depth 3", "depth 10, no bias", "abs", "kinks", "residual"])
def test_small_and_large_rows(name, size):
    problem, X = problem_of(DENSE[name], (40,)), size * rows(40)
    found, expected = (matrix(evaluator, problem, X) for evaluator in (FUSED, REFERENCE))
    assert relative_error(found, expected) < EXACT


@pytest.mark.parametrize("size", [1e-18, 1e-12, 1e12, 1e16])
def test_small_and_large_in_single_precision(size):
    network = Serial(*[block(b_std=0.0), AvgPool(2, 1)] * 2, Flatten(), Dense())
    found, bound = single_errors(network, [size * pictures(SQUARE, seed) for seed in range(4)])
    assert (found <= bound).all(), found / bound
    found, bound = single_errors(DENSE["depth 10, no bias"], [size * rows(40)])
    assert (found <= bound).all(), found / bound


def test_rows_of_different_magnitudes():
    network, shape = IMAGES["no bias"]
    X = pictures(shape) * np.geomspace(1e-60, 1e60, 9)[:, None, None, None]
    assert error(problem_of(network, shape), X) < EXACT
    X = rows(40) * np.geomspace(1e-60, 1e60, 9)[:, None]
    assert error(problem_of(DENSE["residual, no bias"], (40,)), X) < EXACT


@pytest.mark.parametrize("dtype", [SINGLE, problem_of(RELU, (1,)).dtype])
@pytest.mark.parametrize("name", ["pool", "pool, flat", "circular", "erf", "layers behind a mean"])
def test_what_is_not_a_number_stays_with_its_image(name, dtype):
    network, shape = IMAGES[name]
    problem, X = problem_of(network, shape, dtype), pictures(shape)
    expected = matrix(FUSED, problem, X, X)
    X[7].reshape(-1)[3] = np.nan
    with np.errstate(invalid="ignore"):
        found = matrix(FUSED, problem, X, X)
    others = np.arange(9) != 7
    np.testing.assert_array_equal(found[:, others][:, :, others], expected[:, others][:, :, others])
    assert np.isnan(found[:, 7]).all()
    assert np.isnan(found[:, :, 7]).all()


def test_activations_by_name():
    X = pictures(SQUARE)
    found = [
        matrix(FUSED, problem_of(Serial(conv(), Activation(f), Flatten()), SQUARE), X)
        for f in ("relu", RELU.function)
    ]
    np.testing.assert_array_equal(*found)
