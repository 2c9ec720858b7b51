"""What every kernel of every network must satisfy."""

from __future__ import annotations

import drawn_networks
import numpy as np
import pytest
import torch
from drawn_networks import Drawn
from hypothesis import HealthCheck, given, settings
from reference_kernels import diagonals, kernels, relative_error

from ntk_sklearn.architecture import Activation, Dense, Positions, Serial, check_network
from ntk_sklearn.architecture import demanded_positions as demanded
from ntk_sklearn.recursion import pair_state, propagate

EPS = np.finfo(float).eps
few = settings(
    max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
drawn = given(drawn_networks.dense | drawn_networks.images)


@few
@drawn
def test_gram_is_symmetric_and_positive_semidefinite(case: Drawn):
    check_network(case.network)
    for K in kernels(*case):
        np.testing.assert_array_equal(K, K.T)
        eigenvalues = np.linalg.eigvalsh(K)
        assert eigenvalues[0] >= -len(K) * EPS * eigenvalues[-1]


@few
@drawn
def test_diagonal_of_the_gram(case: Drawn):
    for K, diagonal in zip(kernels(*case), diagonals(*case), strict=True):
        assert relative_error(diagonal, K.diagonal()) <= 1e-14


@few
@drawn
def test_diagonal_is_copied(case: Drawn):
    rank = case.X.ndim - 2
    positions = demanded(case.network) if rank else Positions.NONE
    x = torch.as_tensor(case.X)
    state = propagate(case.network, pair_state(x, x, rank, positions, True, on_diagonal=True))
    assert torch.equal(state.nngp.diagonal(), state.cov_x[:, 0])


@few
@drawn
def test_copies_of_the_inputs(case: Drawn):
    for K, block in zip(kernels(*case), kernels(*case, case.X.copy()), strict=True):
        assert relative_error(block, K) < 1e-12


@few
@drawn
def test_tiles_are_blocks(case: Drawn):
    network, X = case
    for K, tile in zip(kernels(*case), kernels(network, X[:3], X[3:]), strict=True):
        assert relative_error(tile, K[:3, 3:]) < 1e-12


@few
@drawn
def test_permuted_rows(case: Drawn):
    order = np.random.default_rng(0).permutation(len(case.X))
    for K, permuted in zip(kernels(*case), kernels(case.network, case.X[order]), strict=True):
        assert relative_error(permuted, K[np.ix_(order, order)]) < 1e-12


@few
@drawn
def test_transposed_blocks(case: Drawn):
    network, X = case
    forth, back = kernels(network, X[:3], X[2:]), kernels(network, X[2:], X[:3])
    for block, transposed in zip(forth, back, strict=True):
        assert relative_error(block, transposed.T) < 1e-12


@few
@given(drawn_networks.dense)
def test_rotated_features(case: Drawn):
    n_features = case.X.shape[1]
    Q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((n_features, n_features)))
    for K, rotated in zip(kernels(*case), kernels(case.network, case.X @ Q), strict=True):
        assert relative_error(rotated, K) < 1e-12


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "abs", "identity"])
def test_homogeneous_without_biases(activation):
    network = Serial(Dense(1.3), *[Activation(activation), Dense(1.3)] * 3)
    X, Z = np.random.default_rng(0).standard_normal((2, 4, 5))
    c = np.array([0.1, 1.0, 3.0, 700.0])
    for scaled, K in zip(kernels(network, c[:, None] * X, Z), kernels(network, X, Z), strict=True):
        np.testing.assert_allclose(scaled, c[:, None] * K, rtol=1e-12)
