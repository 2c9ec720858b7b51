"""The fused engine against the reference: layers beyond the plain ones."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fused_cases import ODD, RELU, block, conv, near_rows, pictures, pooled, rows
from fused_kernels import (
    FUSED,
    REFERENCE,
    diagonal,
    error,
    matrix,
    prepared,
    problem_of,
    single_errors,
)
from fused_layers import LAYERS, ROWS

from ntk_sklearn.architecture import AvgPool, Dropout, Flatten, Product, Serial

EXACT = 1e-12
SINGLE = (
    "transposed: flat",
    "transposed: circular, wide",
    "local: circular",
    "pooling: edges, twice",
    "pooling: blur",
    "pooling: circular strides",
    "rescaled: all",
    "rescaled: dropout, circular",
)
each_image = pytest.mark.parametrize("network, shape", LAYERS.values(), ids=list(LAYERS))
each_dense = pytest.mark.parametrize("network", ROWS.values(), ids=list(ROWS))


@each_image
def test_images(network, shape):
    X, Z = pictures(shape), pictures(shape, 1)
    Z[1], Z[2] = X[7], X[0]
    problem = problem_of(network, shape)
    assert FUSED.why_not(problem) == []
    assert error(problem, X) < EXACT
    assert error(problem, X, Z) < EXACT
    found, expected = (diagonal(evaluator, problem, X) for evaluator in (FUSED, REFERENCE))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("name", SINGLE)
def test_images_in_single_precision(name):
    network, shape = LAYERS[name]
    found, bound = single_errors(network, [pictures(shape, seed) for seed in range(2)])
    assert (found <= bound).all(), found / bound


@each_dense
@pytest.mark.parametrize("n_features", [2, 40])
def test_rows(network, n_features):
    X, Z = rows(n_features), rows(n_features, 1)
    Z[1], Z[2] = X[7], X[0]
    problem = problem_of(network, (n_features,))
    assert FUSED.why_not(problem) == []
    assert error(problem, X) < EXACT
    assert error(problem, X, Z) < EXACT
    assert error(problem, near_rows(n_features)) < EXACT
    found, expected = (diagonal(evaluator, problem, X) for evaluator in (FUSED, REFERENCE))
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@each_dense
def test_rows_in_single_precision(network):
    found, bound = single_errors(network, [rows(40, seed) for seed in range(4)])
    assert (found <= bound).all(), found / bound


@pytest.mark.parametrize("name", ["transposed: grows", "pooling: blur", "rescaled: dropout"])
def test_tiles_are_blocks(name):
    """More images than there are lanes, in pieces of any size."""
    network, shape = LAYERS[name]
    problem = problem_of(network, shape)
    X = np.concatenate([pictures(shape, seed) for seed in range(3)])
    whole, x = matrix(FUSED, problem, X), prepared(FUSED, problem, X)
    for rows_, cols in ((slice(0, 5), slice(5, 27)), (slice(17, 27), slice(17, 27))):
        alike = rows_ == cols
        out = np.empty((2, rows_.stop - rows_.start, cols.stop - cols.start))
        FUSED.tile(problem, x, rows_, x, cols, alike, out)
        np.testing.assert_allclose(out, whole[:, rows_, cols], rtol=1e-12, atol=1e-15)


def test_networks_of_one_pooled_stem():
    """What stands behind a pooling decides whether it gets a stage; all may be asked together."""
    stem = (block(), AvgPool(2))
    ends = [(Flatten(),), (conv(), Flatten()), (conv(), RELU, Flatten()), (RELU, Flatten())]
    networks = [Serial(*stem[:1], conv(), *stem[1:], *end) for end in ends]
    networks += [pooled(block(), conv(), AvgPool(2)), pooled(block(), conv())]
    assert error(problem_of(networks, ODD), pictures(ODD)) < EXACT


def test_products_of_images_are_refused_by_name():
    network = pooled(conv(), Product(Serial(RELU, conv()), Serial(RELU, conv())))
    (reason,) = FUSED.why_not(problem_of(network, ODD))
    assert re.search("it does not cover the layer Product", reason)


def test_copies_of_images_have_masks_of_their_own():
    network = pooled(block(), Dropout(0.3), conv(), RELU)
    problem, X = problem_of(network, ODD), pictures(ODD)
    gram, block_ = matrix(FUSED, problem, X), matrix(FUSED, problem, X, X.copy())
    off = ~np.eye(len(X), dtype=bool)
    np.testing.assert_allclose(block_[:, off], gram[:, off], rtol=1e-12)
    diagonals = np.diagonal(gram, 0, 1, 2), np.diagonal(block_, 0, 1, 2)
    assert (diagonals[0][:, :4] > 1.01 * diagonals[1][:, :4]).all()
