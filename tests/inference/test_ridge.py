from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import LinAlgWarning

from ntk_sklearn.inference import solve_ridge
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import FullyConnected

rng = np.random.default_rng(0)
X = rng.normal(size=(12, 3))
K = NTK(FullyConnected(1))(X)
Y = rng.normal(size=(12, 2))
ONES = np.ones(12)


@pytest.mark.parametrize("alpha", [0.0, 1e-4, 0.1, 10.0])
def test_coefficients_solve_the_regularized_system(alpha):
    found = solve_ridge(K, Y, ONES, alpha)
    assert found.ridge == pytest.approx(alpha * np.trace(K) / 12)
    expected = np.linalg.solve(K + found.ridge * np.eye(12), Y)
    np.testing.assert_allclose(found.coefficients, expected, rtol=1e-9)
    assert found.factorization.jitter == 0.0


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_ridge_is_relative_to_the_kernel(scale):
    found = solve_ridge(scale * K, Y, ONES, 0.1)
    expected = solve_ridge(K, Y, ONES, 0.1)
    np.testing.assert_allclose(found.coefficients * scale, expected.coefficients, rtol=1e-12)


def test_integer_weights_are_repetitions():
    weight = np.arange(12) % 3 + 1
    index = np.repeat(np.arange(12), weight)
    found = solve_ridge(K, Y, weight.astype(float), 0.1)
    repeated = solve_ridge(K[np.ix_(index, index)], Y[index], np.ones(len(index)), 0.1)
    assert found.ridge == pytest.approx(repeated.ridge, rel=1e-14)
    np.testing.assert_allclose(K @ found.coefficients, K[:, index] @ repeated.coefficients)


def test_ridge_is_the_penalty_on_the_distance_travelled():
    """The stationary point of 1/2 sum w (f - y)^2 + ridge/2 |theta|^2 in the features of K."""
    weight = np.linspace(0.5, 2.0, 12)
    features = np.linalg.cholesky(K)
    found = solve_ridge(K, Y, weight, 0.3)
    theta = features.T @ found.coefficients
    slope = features.T @ (weight[:, None] * (features @ theta - Y)) + found.ridge * theta
    np.testing.assert_allclose(slope, 0.0, atol=1e-12 * np.abs(Y).max() * np.abs(K).max())


def test_without_ridge_it_is_the_end_of_gradient_flow():
    """Integrates df/dt = -K (f - y) on the training rows and at new ones."""
    new = NTK(FullyConnected(1))(X[:3] + 0.5, X)

    def flow(_, f):
        return -np.vstack([K, new]) @ (f[:12] - Y[:, 0])

    rates = np.linalg.eigvalsh(K)
    end = solve_ivp(flow, (0, 40 / rates[0]), np.zeros(15), "LSODA", rtol=1e-10, atol=1e-12)
    expected = new @ solve_ridge(K, Y, ONES, 0.0).coefficients
    np.testing.assert_allclose(end.y[12:, -1], expected[:, 0], atol=1e-6)


def test_coincident_rows_without_ridge_need_jitter():
    index = [0, 0, 1, 2]
    with pytest.warns(LinAlgWarning, match="singular to working precision"):
        found = solve_ridge(K[np.ix_(index, index)], Y[index], np.ones(4), 0.0)
    assert 0.0 < found.factorization.jitter < 1e-12
    np.testing.assert_allclose(K[np.ix_(index, index)] @ found.coefficients, Y[index], atol=1e-9)


def test_matrix_is_left_as_it_is():
    before = K.copy()
    solve_ridge(K, Y, ONES, 0.1)
    np.testing.assert_array_equal(K, before)
