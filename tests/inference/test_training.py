"""Training in function space against tables recorded from neural-tangents, and its own laws.

Time is divided by samples times outputs there (the loss is a mean), and `reg` is relative to the
mean diagonal; see tests/golden/README.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ntk_sklearn.inference.ensemble import ensemble_covariance, readout_covariance
from ntk_sklearn.inference.filters import gradient_descent, gradient_flow, momentum_flow
from ntk_sklearn.inference.schedule import max_learning_rate
from ntk_sklearn.inference.training import mean_loss_scale, training_modes

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "predictions.npz")
Y = GOLDEN["y_train"]
N, K = Y.shape
TIMES = [0.5, 5.0, 50.0, 5000.0, None]


def assert_close(found, recorded, tolerance=1e-11):
    assert np.abs(found - recorded).max() <= tolerance * np.abs(recorded).max()


def flow(t):
    """The learned fractions at a recorded time."""
    return lambda v: gradient_flow(v, np.inf if t is None else t / (N * K))


def modes_and_ridge(kind, reg):
    kernel = GOLDEN[f"{kind}_train_train"]
    return training_modes(kernel), reg * np.trace(kernel) / N


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
@pytest.mark.parametrize("reg", [0.0, 0.001])
@pytest.mark.parametrize("t", TIMES)
def test_mean_of_an_ensemble(kind, reg, t):
    modes, ridge = modes_and_ridge(kind, reg)
    found = GOLDEN[f"{kind}_test_train"] @ modes.coefficients(Y, flow(t), ridge)
    assert_close(found, GOLDEN[f"ensemble/{kind}/reg={reg}/t={t}/mean"])


@pytest.mark.parametrize("reg", [0.0, 0.001])
@pytest.mark.parametrize("t", TIMES)
def test_covariance_of_an_ensemble(reg, t):
    modes, ridge = modes_and_ridge("ntk", reg)
    blocks = ("ntk_test_train", "nngp_train_train", "nngp_test_train", "nngp_test_test")
    found = ensemble_covariance(modes, flow(t), ridge, *(GOLDEN[name] for name in blocks))
    assert_close(found, GOLDEN[f"ensemble/ntk/reg={reg}/t={t}/cov"])


@pytest.mark.parametrize("reg", [0.0, 0.001])
@pytest.mark.parametrize("t", TIMES)
def test_covariance_of_readout_training(reg, t):
    modes, ridge = modes_and_ridge("nngp", reg)
    time = np.inf if t is None else t / (N * K)
    blocks = GOLDEN["nngp_test_train"], GOLDEN["nngp_test_test"]
    found = readout_covariance(modes, time, *blocks, ridge)
    assert_close(found, GOLDEN[f"ensemble/nngp/reg={reg}/t={t}/cov"])


@pytest.mark.parametrize("points", ["train", "test"])
@pytest.mark.parametrize(
    "name, t, learned, tolerance",
    [(f"flow_mse/t={t}", t, flow(t), 1e-11) for t in TIMES]
    + [("flow_mse_lr=0.3/t=5.0", 5.0, flow(0.3 * 5.0), 1e-11)]
    + [  # recorded by an ODE solver of that accuracy
        (f"momentum=0.9_lr=0.3/t={t}", t, None, 1e-6) for t in (0.5, 5.0, 50.0)
    ],
)
def test_one_network_from_given_initial_outputs(points, name, t, learned, tolerance):
    def with_momentum(v):
        return momentum_flow(v / (N * K), t, 0.9, 0.3)

    modes, _ = modes_and_ridge("ntk", 0.0)
    coefficients = modes.coefficients(Y - GOLDEN["f0_train"], learned or with_momentum)
    found = GOLDEN[f"f0_{points}"] + GOLDEN[f"ntk_{points}_train"] @ coefficients
    assert_close(found, GOLDEN[f"{name}/{points}"], tolerance)


@pytest.mark.parametrize("momentum, name", [(0.0, ""), (0.9, "_momentum0.9")])
def test_largest_learning_rate(momentum, name):
    modes, _ = modes_and_ridge("ntk", 0.0)
    found = max_learning_rate(modes, K, momentum, loss_scale="mean")
    # recorded for 2 values of y instead of N K
    assert found == pytest.approx(GOLDEN[f"max_learning_rate_ntk{name}"] * N * K / 2, rel=1e-11)
    assert found == max_learning_rate(modes, K, momentum) * mean_loss_scale(np.ones(N), K)


def test_descent_is_the_product_of_its_steps():
    modes, _ = modes_and_ridge("ntk", 0.0)
    theta, f = GOLDEN["ntk_train_train"], np.zeros_like(Y)
    for rate in (0.3, 0.99):
        step, f = rate * max_learning_rate(modes), np.zeros_like(Y)
        for _ in range(7):
            f = f - step * theta @ (f - Y)
        found = theta @ modes.coefficients(Y, lambda v, s=step: gradient_descent(v, 7, s))
        np.testing.assert_allclose(found, f, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("learned", [gradient_flow, lambda v, t: gradient_descent(v, 40 * t, 0.01)])
def test_loss_falls_and_is_the_loss_of_the_outputs(learned):
    modes, _ = modes_and_ridge("ntk", 0.0)
    losses = []
    for t in (0.0, 0.1, 1.0, 10.0, np.inf):
        f = GOLDEN["ntk_train_train"] @ modes.coefficients(Y, lambda v, t=t: learned(v, t))
        losses.append(modes.loss(Y, lambda v, t=t: learned(v, t)))
        assert losses[-1] == pytest.approx(0.5 * ((f - Y) ** 2).sum(), rel=1e-9, abs=1e-20)
    assert np.all(np.diff(losses) < 0)


def test_weights_are_repetitions():
    theta, counts = GOLDEN["ntk_train_train"][:5, :5], np.array([1, 3, 2, 1, 1])
    rows = np.repeat(np.arange(5), counts)
    for t, ridge in ((0.7, 0.0), (0.7, 0.1), (np.inf, 0.1)):
        weighted = training_modes(theta, counts).coefficients(
            Y[:5], lambda v, t=t: gradient_flow(v, t), ridge
        )
        repeated = training_modes(theta[np.ix_(rows, rows)]).coefficients(
            Y[rows], lambda v, t=t: gradient_flow(v, t), ridge
        )
        np.testing.assert_allclose(
            theta @ weighted, theta[:, rows] @ repeated, rtol=1e-10, atol=1e-12
        )


def test_critical_damping_is_the_limit_of_its_neighbours():
    damping, t = (0.9 - 1.0) / np.sqrt(0.3), 4.0
    v = damping**2 / 4.0
    at, below, above = momentum_flow(np.array([v, v * (1 - 1e-7), v * (1 + 1e-7)]), t, 0.9, 0.3)
    assert below < at < above
    assert above - below < 1e-6
