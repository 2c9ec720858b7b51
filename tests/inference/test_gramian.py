"""Observability Gramians against equations they solve, quadrature, and training step by step."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad_vec, solve_ivp
from scipy.linalg import expm, null_space

from ntk_sklearn.inference import (
    Schedule,
    TrainingPath,
    observability_gramian,
    observed_modes,
    training_modes,
)

N = 12
rng = np.random.default_rng(0)
Q = np.linalg.qr(rng.standard_normal((N, N)))[0]
OBSERVED = {
    "all": None,
    "a subset": np.eye(N)[[1, 4, 7]],
    "outputs": rng.standard_normal((5, N)),
    "one output": rng.standard_normal((1, N)),
}
each_c = pytest.mark.parametrize("C", OBSERVED.values(), ids=OBSERVED.keys())


def kernel(condition=30.0):
    """Symmetric positive definite, with eigenvalues evenly spread in the logarithm up to 2."""
    K = (Q * np.geomspace(2.0 / condition, 2.0, N)) @ Q.T
    return (K + K.T) / 2


TURN = 0.05 * rng.standard_normal((N, N))
SKEWED = kernel() + TURN - TURN.T  # not symmetric, and still stable
UNSTABLE = kernel() - 0.5 * np.eye(N)
SINGULAR = (Q * np.r_[0.0, 0.0, np.geomspace(0.1, 2.0, N - 2)]) @ Q.T
MATRICES = {"symmetric": kernel(), "skewed": SKEWED, "unstable": UNSTABLE, "singular": SINGULAR}
each_k = pytest.mark.parametrize("K", MATRICES.values(), ids=MATRICES.keys())


def squared(C):
    return np.eye(N) if C is None else C.T @ C


def assert_close(found, expected, tolerance):
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("condition", [1e1, 1e2, 1e3, 1e4])
def test_identities_in_continuous_time(condition):
    K = kernel(condition)
    W = observability_gramian(K)
    assert_close(W, np.linalg.inv(2.0 * K), 1e-12)
    assert_close(K @ W + W @ K, np.eye(N), 1e-12)
    for horizon in (1e-3, 1.0, 30.0):
        W = observability_gramian(K, horizon=horizon)
        assert np.abs(2.0 * K @ W - (np.eye(N) - expm(-2.0 * K * horizon))).max() <= 1e-12


@pytest.mark.parametrize("condition", [1e1, 1e2, 1e3, 1e4])
def test_identities_in_steps(condition):
    K, rate = kernel(condition), 0.7
    W = observability_gramian(K, learning_rate=rate)
    assert_close(W, np.linalg.inv(2.0 * rate * K - rate**2 * K @ K), 1e-12)
    A = np.eye(N) - rate * K
    assert_close(W - A @ W @ A, np.eye(N), 1e-12)


@each_c
@pytest.mark.parametrize("condition", [1e4, 1e5, 1e7])
def test_residuals(condition, C):
    K = kernel(condition)
    W = observability_gramian(K, C)
    # rounding of the eigensystem, N eps |K|, times what it is multiplied by
    tolerance = N * np.finfo(float).eps * np.abs(K).max() * np.abs(W).max()
    assert np.abs(K @ W + W @ K - squared(C)).max() <= max(1e-12, tolerance)


@each_c
@pytest.mark.parametrize("K", [kernel(), SKEWED], ids=["symmetric", "skewed"])
def test_lyapunov_equations(K, C):
    W = observability_gramian(K, C)
    assert_close(K.T @ W + W @ K, squared(C), 1e-12)
    A = np.eye(N) - 0.2 * K
    W = observability_gramian(K, C, learning_rate=0.2)
    assert_close(W - A.T @ W @ A, squared(C), 1e-12)


@each_c
@each_k
@pytest.mark.parametrize("horizon", [0.0, 0.05, 3.0, 17.0])
def test_finite_horizons_against_quadrature(K, C, horizon):
    def integrand(t):
        return expm(-K * t).T @ squared(C) @ expm(-K * t)

    expected = quad_vec(integrand, 0.0, horizon, epsabs=1e-12, epsrel=1e-11)[0]
    found = observability_gramian(K, C, horizon)
    assert np.abs(found - expected).max() <= 1e-10 * max(np.abs(expected).max(), 1e-12)


@each_c
@each_k
@pytest.mark.parametrize("rate", [0.1, 0.9, 1.1])  # 1.1 is beyond 2 / v: the largest mode grows
def test_steps_against_their_sum(K, C, rate):
    expected, power = np.zeros((N, N)), np.eye(N)
    for steps in range(65):
        if steps in (0, 1, 2, 3, 13, 64):
            assert_close(observability_gramian(K, C, steps, rate), expected, 1e-12)
        expected += power.T @ squared(C) @ power
        power = power - rate * K @ power


def test_many_steps_become_all_of_them():
    many = observability_gramian(kernel(), horizon=10**6, learning_rate=0.5)
    assert_close(many, observability_gramian(kernel(), learning_rate=0.5), 1e-12)


def test_small_steps_become_the_flow():
    gaps = []
    for rate in (1e-3, 1e-4):
        W = rate * observability_gramian(kernel(), OBSERVED["outputs"], learning_rate=rate)
        gaps.append(np.abs(W - observability_gramian(kernel(), OBSERVED["outputs"])).max())
    assert gaps[1] == pytest.approx(gaps[0] / 10, rel=1e-2)  # of first order in the rate


def test_short_horizons_count_the_time():
    for horizon in (1e-6, 1e-9):
        assert_close(observability_gramian(kernel(), horizon=horizon), horizon * np.eye(N), 3e-6)


def ratio_of_forms(W, K):
    """How far W K is from a multiple of the identity."""
    product = W @ K
    return np.abs(product - np.trace(product) / N * np.eye(N)).max() / np.abs(product).max()


def test_only_watching_everything_for_ever_inverts_the_kernel():
    K = kernel()
    assert ratio_of_forms(observability_gramian(K), K) < 1e-12
    assert ratio_of_forms(observability_gramian(K, 3.0 * Q), K) < 1e-12  # C^T C = 9
    for C in ("a subset", "outputs", "one output"):
        assert ratio_of_forms(observability_gramian(K, OBSERVED[C]), K) > 0.1
    assert ratio_of_forms(observability_gramian(K, horizon=1.0), K) > 0.1
    assert ratio_of_forms(observability_gramian(K, learning_rate=0.5), K) > 0.1
    assert ratio_of_forms(observability_gramian(SKEWED), SKEWED) > 0.1


@each_c
def test_cost_identity_against_an_ode_solver(C):
    K, start = kernel(), rng.standard_normal(N)
    watch = np.eye(N) if C is None else C

    def moved(t, state):
        return np.r_[-K @ state[:N], ((watch @ state[:N]) ** 2).sum()]

    run = solve_ivp(moved, (0, 5.0), np.r_[start, 0.0], rtol=1e-11, atol=1e-13, method="DOP853")
    cost = start @ observability_gramian(K, C, 5.0) @ start
    assert run.y[-1, -1] == pytest.approx(cost, rel=1e-9)


@each_c
def test_cost_identity_against_gradient_descent(C):
    K, error, watch = kernel(), rng.standard_normal(N), np.eye(N) if C is None else C
    start, cost, costs = error, 0.0, []
    for _ in range(3000):
        cost += ((watch @ error) ** 2).sum()
        error = error - 0.5 * K @ error
        costs.append(cost)
    for steps in (1, 10, 3000):
        W = observability_gramian(K, C, steps, 0.5)
        assert start @ W @ start == pytest.approx(costs[steps - 1], rel=1e-12)
    W = observability_gramian(K, C, learning_rate=0.5)
    assert start @ W @ start == pytest.approx(cost, rel=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_weights_and_ridges_change_the_dynamics(alpha):
    theta, y, weight = kernel(), rng.standard_normal((N, 2)), np.arange(1.0, N + 1)
    path = TrainingPath(training_modes(theta, weight), Schedule(), alpha, y, np.zeros((N, 2)))
    limit = theta @ path.coefficients([math.inf])[0]

    def seen(t):
        return ((theta @ path.coefficients([t])[0] - limit)[[0, 3]] ** 2).sum()

    W = observability_gramian(theta * weight + alpha * np.eye(N), np.eye(N)[[0, 3]], 2.0)
    cost = np.einsum("ik,ij,jk->", limit, W, limit)
    assert quad_vec(seen, 0.0, 2.0)[0] == pytest.approx(cost, rel=1e-9)


def test_costs_of_modes():
    K, error = kernel(), rng.standard_normal((N, 2))
    modes = observed_modes(K)
    parts = ((modes.vectors.T @ error) ** 2).sum(axis=1)
    np.testing.assert_allclose(modes.costs(error), parts / (2.0 * modes.values), rtol=1e-12)
    total = np.einsum("ik,ij,jk->", error, observability_gramian(K), error)
    assert modes.costs(error).sum() == pytest.approx(total, rel=1e-12)
    np.testing.assert_array_equal(modes.ranking, np.arange(N))  # slow modes first


def test_modes_interfere_in_what_is_seen_of_them():
    K, C = kernel(), OBSERVED["one output"]
    modes, W = observed_modes(K, C, 4.0), observability_gramian(K, C, 4.0)
    V, error = modes.vectors, rng.standard_normal(N)
    np.testing.assert_allclose(modes.energies, np.diag(V.T @ W @ V), rtol=1e-11)
    assert np.abs(modes.costs(error).sum() / (error @ W @ error) - 1) > 0.05
    assert not np.array_equal(modes.ranking, np.arange(N))


UNSEEN = null_space(null_space(SINGULAR).T).T  # sees all but the null space


@pytest.mark.parametrize("rate", [None, 0.5])
@pytest.mark.parametrize("lost", ["null space", "growing modes"])
def test_modes_that_nothing_is_seen_of_may_last(rate, lost):
    K, C = SINGULAR, UNSEEN
    if lost == "growing modes":
        values, V = np.linalg.eigh(UNSTABLE)
        K, C = UNSTABLE, V[:, values > 0].T
    W = observability_gramian(K, C, learning_rate=rate)
    inner = C @ K @ C.T
    expected = C.T @ observability_gramian((inner + inner.T) / 2, learning_rate=rate) @ C
    assert_close(W, expected, 1e-12)
    assert np.isfinite(observed_modes(K, C, learning_rate=rate).energies).all()
    assert (observability_gramian(0.0 * K, 0.0 * C, learning_rate=rate) == 0).all()


@pytest.mark.parametrize("K", [SINGULAR, UNSTABLE, -SKEWED], ids=["singular", "unstable", "skewed"])
@pytest.mark.parametrize("rate", [None, 0.5])
def test_infinite_gramians_are_refused(K, rate):
    with pytest.raises(ValueError, match=r"modes of K never decay.*give a finite horizon"):
        observability_gramian(K, learning_rate=rate)
    if K is not SINGULAR:
        return
    with pytest.raises(ValueError, match="2 observed modes of K never decay"):
        observed_modes(K, learning_rate=rate)


@pytest.mark.parametrize("K", [kernel(), SKEWED], ids=["symmetric", "skewed"])
def test_rates_that_diverge_are_refused(K):
    bound = 2.0 / np.abs(np.linalg.eigvals(K)).max()
    with pytest.raises(ValueError, match=r"learning_rate=.* must be below 2 (/ \(largest|re)"):
        observability_gramian(K, learning_rate=1.01 * bound)
    assert np.isfinite(observability_gramian(K, None, 50, 1.01 * bound)).all()
    if K is not SKEWED:
        assert np.isfinite(observability_gramian(K, learning_rate=0.99 * bound)).all()


BAD = {
    "K must be": {"K": np.ones((3, 4))},
    "K must be a finite": {"K": np.full((3, 3), np.nan)},
    "K must be a finite square": {"K": np.ones(3)},
    "C must be": {"C": np.ones(3)},
    "C must be a finite matrix": {"C": np.ones((2, 4))},
    "horizon must be": {"horizon": -1.0},
    "horizon must be a number": {"horizon": "long"},
    "learning_rate must be": {"learning_rate": 0.0},
    "learning_rate must be None or": {"learning_rate": "fast"},
    "horizon counts steps": {"horizon": 1.5, "learning_rate": 0.1},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input(message):
    for function in (observability_gramian, observed_modes):
        with pytest.raises((ValueError, TypeError), match=message):
            function(**{"K": np.eye(3)} | BAD[message])


def test_modes_need_symmetry():
    with pytest.raises(ValueError, match="K must be symmetric"):
        observed_modes(SKEWED)


ROTATING = np.array(
    [[1.0, 5.0], [-5.0, 1.0]]
)  # eigenvalues 1 +- 5i, decaying for rates below 2 / 26


def test_the_bound_of_modes_that_rotate():
    assert np.isfinite(observability_gramian(ROTATING, learning_rate=0.0769)).all()
    with pytest.raises(ValueError, match=r"^2 modes .* 2 re\(v\) .* = 0\.0769231; or give"):
        observability_gramian(ROTATING, learning_rate=0.077)


def test_no_rate_helps_modes_that_grow():
    with pytest.raises(ValueError, match=r"give a finite horizon, or add a ridge to K$"):
        observability_gramian(np.diag([1.0, -0.1]), learning_rate=0.1)


def test_the_longest_horizon_is_no_overflow():
    K = 100.0 * (np.eye(5) + 0.1 * np.triu(np.ones((5, 5))))
    longest = observability_gramian(K, horizon=1.7e308)
    np.testing.assert_allclose(longest, observability_gramian(K), rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("error", [np.ones(2), np.full(3, np.nan)])
def test_costs_of_errors_that_are_none(error):
    with pytest.raises(ValueError, match="error must be finite"):
        observed_modes(np.eye(3)).costs(error)
