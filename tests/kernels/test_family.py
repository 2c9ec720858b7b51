"""Several networks in one pass."""

from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn.kernels import NetworkKernel
from ntk_sklearn.kernels.family import NetworkFamily
from ntk_sklearn.networks import FullyConnected

X = np.random.default_rng(0).standard_normal((12, 3))


@pytest.mark.parametrize("width", [np.inf, 8])
def test_equals_one_network_at_a_time(width):
    networks = [FullyConnected(depth, width=width, n_networks=2) for depth in (3, 1, 1)]
    kernels = tuple(NetworkKernel(network, ("ntk", "nngp")) for network in networks)
    expected = np.concatenate([kernel.matrix(X) for kernel in kernels])
    np.testing.assert_allclose(NetworkFamily(kernels).matrix(X), expected, rtol=1e-13)


@pytest.mark.parametrize(
    "other",
    [
        NetworkKernel(FullyConnected(1, width=8)),
        NetworkKernel(FullyConnected(1), dtype="float32"),
    ],
)
def test_networks_must_read_rows_alike(other):
    with pytest.raises(ValueError, match="one pass"):
        NetworkFamily((NetworkKernel(FullyConnected(1)), other)).matrix(X)


def test_all_matrices_count_for_the_memory_budget():
    kernels = tuple(
        NetworkKernel(FullyConnected(depth), memory_budget="2MB") for depth in (1, 2, 3)
    )
    rows = np.zeros((400, 2))  # 1.2 MB for a matrix
    assert kernels[0].matrix(rows).shape == (1, 400, 400)
    with pytest.raises(MemoryError, match="3 x 400 x 400"):
        NetworkFamily(kernels).matrix(rows)
