"""Layers that mix positions against recorded kernels of neural-tangents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_networks import TABLES
from position_networks import networks, recorded
from reference_kernels import diagonals, kernels, relative_error

from ntk_sklearn.architecture import Shape, check_network, infer_shape

NETWORKS = networks()


@pytest.mark.parametrize("name", NETWORKS)
def test_recorded_kernels(name):
    network, data = NETWORKS[name], recorded(name)
    check_network(network)
    assert infer_shape(network, Shape(data["x1"].shape[1], data["x1"].shape[2:])) == Shape(None)
    found = [*kernels(network, data["x1"], data["x2"]), *kernels(network, data["x1"])]
    for value, table in zip(found, TABLES, strict=True):
        assert relative_error(value, data[table]) < 1e-13, table


@pytest.mark.parametrize("name", NETWORKS)
def test_diagonals_and_equal_rows(name):
    network, X = NETWORKS[name], recorded(name)["x1"]
    grams, copies = kernels(network, X), kernels(network, X, X.copy())
    for K, copied, diagonal in zip(grams, copies, diagonals(network, X), strict=True):
        assert relative_error(diagonal, K.diagonal()) <= 1e-13
        assert relative_error(copied, K) < 1e-12
        np.testing.assert_array_equal(K, K.T)
        assert np.linalg.eigvalsh(K)[0] > 0


@pytest.mark.parametrize("name", ["attention_softmax", "sqrt_beside_values", "own_graphs"])
def test_single_precision(name):
    data = recorded(name)
    found = kernels(NETWORKS[name], data["x1"], data["x2"], torch.float32)
    for value, table in zip(found, TABLES[:2], strict=True):
        assert relative_error(value, data[table]) < 2e-6, table
