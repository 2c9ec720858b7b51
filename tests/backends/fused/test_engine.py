"""The fused engine against the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fused_cases import LINE, ODD, RELU, SQUARE, block, conv, near_rows, pictures, rows
from fused_dense import DENSE
from fused_images import IMAGES
from fused_kernels import FUSED, REFERENCE, diagonal, error, matrix, problem_of, single_errors

from ntk_sklearn.architecture import (
    Activation,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Serial,
)

EXACT, NEAR = 1e-12, 1e-7
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
    found, bound = single_errors(network, [pictures(shape, seed) for seed in range(3)])
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
    assert error(problem, near_rows(n_features)) < EXACT


@each_dense
def test_rows_in_single_precision(network):
    found, bound = single_errors(network, [rows(40, seed) for seed in range(4)])
    assert (found <= bound).all(), found / bound


@pytest.mark.parametrize("name", DENSE)
def test_near_rows_in_single_precision(name):
    found, bound = single_errors(DENSE[name], [near_rows(40, seed) for seed in range(4)])
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
        [Serial(block(), conv(), head, *last)
         for head in (GlobalAvgPool(), Flatten(), GlobalSumPool())
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
    np.testing.assert_array_equal(matrix(FUSED, asked, X), matrix(FUSED, together, X)[order])


def test_activations_by_name():
    X = pictures(SQUARE)
    found = [
        matrix(FUSED, problem_of(Serial(conv(), Activation(f), Flatten()), SQUARE), X)
        for f in ("relu", RELU.function)
    ]
    np.testing.assert_array_equal(*found)
