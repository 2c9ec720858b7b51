"""Recorded kernels of neural-tangents for further layers, see tests/golden/README.md."""

from __future__ import annotations

import numpy as np
import pytest
from fused_kernels import FUSED, matrix
from fused_kernels import problem_of as problem_of_shape
from golden_networks import TABLES, network, recorded, specifications
from reference_kernels import diagonals, kernels, relative_error

from ntk_sklearn.architecture import Product, check_network, contains

CASES = tuple(specifications("layers"))


@pytest.mark.parametrize("name", CASES)
def test_recorded_kernels(name):
    tree, data = network(name, "layers"), recorded(name, "layers")
    check_network(tree)
    blocks = kernels(tree, data["x1"], data["x2"]), kernels(tree, data["x1"])
    for table, found in zip(TABLES, [*blocks[0], *blocks[1]], strict=True):
        assert relative_error(found, data[table]) < 1e-13, table
    for gram, diagonal in zip(blocks[1], diagonals(tree, data["x1"]), strict=True):
        np.testing.assert_allclose(diagonal, np.diagonal(gram), rtol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_recorded_kernels_in_the_engine(name):
    tree, data = network(name, "layers"), recorded(name, "layers")
    problem = problem_of_shape(tree, data["x1"].shape[1:])
    if data["x1"].ndim > 2 and contains(tree, Product):
        assert FUSED.why_not(problem) == ["it does not cover the layer Product"]
        return
    blocks = [matrix(FUSED, problem, data["x1"], z) for z in (data["x2"], None)]
    for table, found in zip(TABLES, [*blocks[0], *blocks[1]], strict=True):
        assert relative_error(found, data[table]) < 1e-13, table
