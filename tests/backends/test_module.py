"""The evaluator of given modules: tiles of all pairs of outputs, refusals, the module untouched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from modules_as_networks import blocks, dense

from ntk_sklearn.architecture import Shape
from ntk_sklearn.backends import (
    EmpiricalEvaluator,
    FusedEvaluator,
    GivenParameters,
    ModuleEvaluator,
    Output,
    Problem,
    ReferenceEvaluator,
)
from ntk_sklearn.finite.linearized import GivenModule
from ntk_sklearn.networks import Dense

EVALUATOR, K = ModuleEvaluator(), 3
MODULE = dense(K)
rng = np.random.default_rng(0)
X, Z = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))


def problem(full=True, **kind):
    output = Output(GivenModule(MODULE, None, K, full), "ntk")
    return Problem((output,), Shape(3), finite=GivenParameters(), **kind)


def tile(p, x, r, z, c, on_diagonal):
    out = np.full((1, r.stop - r.start, c.stop - c.start), np.nan, dtype=p.numpy_dtype)
    EVALUATOR.tile(p, x, r, z, c, on_diagonal, out)
    return out[0]


@pytest.mark.parametrize("r", [slice(0, 15), slice(0, 1), slice(2, 7), slice(5, 6), slice(8, 15)])
@pytest.mark.parametrize("c", [slice(0, 12), slice(3, 6), slice(4, 11), slice(11, 12)])
def test_tiles_may_begin_and_end_within_the_outputs_of_a_row(r, c):
    p = problem()
    x, z = (EVALUATOR.prepare(p, torch.from_numpy(rows)) for rows in (X, Z))
    expected = blocks(MODULE, X, Z).reshape(15, 12)[r, c]
    np.testing.assert_allclose(tile(p, x, r, z, c, False), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("r", [slice(0, 15), slice(2, 7), slice(14, 15)])
def test_tiles_on_the_diagonal_and_diagonals(r):
    p = problem()
    x = EVALUATOR.prepare(p, torch.from_numpy(X))
    gram = tile(p, x, r, x, r, True)
    expected = blocks(MODULE, X, X).reshape(15, 15)[r, r]
    np.testing.assert_allclose(gram, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(gram, gram.T)
    own = np.empty((1, r.stop - r.start))
    EVALUATOR.diagonal(p, x, r, own)
    np.testing.assert_allclose(own[0], expected.diagonal(), rtol=1e-12)


def test_the_mean_over_outputs():
    p = problem(full=False)
    assert p.per_row == 1
    assert problem().per_row == K
    x, z = (EVALUATOR.prepare(p, torch.from_numpy(rows)) for rows in (X, Z))
    expected = np.einsum("nama->nm", blocks(MODULE, X, Z)) / K
    found = tile(p, x, slice(0, 5), z, slice(0, 4), False)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_modules_are_for_this_evaluator_alone():
    for other in (FusedEvaluator(), ReferenceEvaluator(), EmpiricalEvaluator()):
        assert "given parameters" in other.why_not(problem())[0]
    tree = Problem((Output(Dense(), "ntk"),), Shape(3))
    assert "torch modules" in EVALUATOR.why_not(tree)[0]


def test_parameters_are_copied_when_rows_are_prepared():
    p = problem()
    x = EVALUATOR.prepare(p, torch.from_numpy(X))
    whole = slice(0, 15)
    before = tile(p, x, whole, x, whole, True)
    with torch.no_grad():
        MODULE[0].weight.mul_(2.0)
    try:
        np.testing.assert_array_equal(tile(p, x, whole, x, whole, True), before)
    finally:
        with torch.no_grad():
            MODULE[0].weight.mul_(0.5)
