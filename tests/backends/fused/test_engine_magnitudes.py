"""The fused engine at the ends of the range of numbers, and beyond them."""

from __future__ import annotations

import numpy as np
import pytest
from fused_cases import SQUARE, block, pictures, rows
from fused_dense import DENSE
from fused_images import IMAGES
from fused_kernels import DOUBLE, FUSED, REFERENCE, SINGLE, error, matrix, problem_of, single_errors
from reference_kernels import relative_error

from ntk_sklearn.architecture import AvgPool, Dense, Flatten, Serial

EXACT = 1e-12


@pytest.mark.parametrize("size", [1e-150, 1e-80, 1e80, 1e150])
@pytest.mark.parametrize("name", ["odd", "pool, flat", "no bias", "circular, ragged", "abs"])
def test_small_and_large_images(name, size):
    network, shape = IMAGES[name]
    problem, X = problem_of(network, shape), size * pictures(shape)
    found, expected = (matrix(evaluator, problem, X) for evaluator in (FUSED, REFERENCE))
    assert relative_error(found, expected) < EXACT


@pytest.mark.parametrize("size", [1e-150, 1e-80, 1e80, 1e150])
@pytest.mark.parametrize("name", ["depth 3", "depth 10, no bias", "abs", "leaky", "residual"])
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


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=["single", "double"])
@pytest.mark.parametrize("name", ["pool", "pool, flat", "circular", "erf", "layers behind a mean"])
@pytest.mark.parametrize("k", [0, 4, 8])
def test_what_is_not_a_number_stays_with_its_image(name, k, dtype):
    network, shape = IMAGES[name]
    problem, X = problem_of(network, shape, dtype), pictures(shape)
    expected = matrix(FUSED, problem, X, X)
    X[k].reshape(-1)[0] = np.nan
    with np.errstate(invalid="ignore"):
        found = matrix(FUSED, problem, X, X)
    others = np.arange(9) != k
    np.testing.assert_array_equal(found[:, others][:, :, others], expected[:, others][:, :, others])
    assert np.isnan(found[:, k]).all()
    assert np.isnan(found[:, :, k]).all()


@pytest.mark.parametrize("k", [0, 8])
def test_what_is_not_a_number_stays_with_its_row(k):
    problem, X = problem_of(DENSE["residual"], (40,)), rows(40)
    expected = matrix(FUSED, problem, X, X)
    X[k, 0] = np.nan
    found, others = matrix(FUSED, problem, X, X), np.arange(9) != k
    np.testing.assert_allclose(
        found[:, others][:, :, others], expected[:, others][:, :, others], rtol=1e-12, atol=1e-15
    )
