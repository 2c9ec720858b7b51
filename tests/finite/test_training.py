"""Trained networks of finite width against the predictions for infinite width.

A network of a given width differs from the limit because its tangent kernel does: at
initialization by O(1 / sqrt(width)), and during training by another O(1 / width). The constant of
the first is measured without training anything, on linearized networks of another width.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from trained_networks import (
    Run,
    Stage,
    draw,
    flow_stages,
    in_the_limit,
    linearized,
    problem,
    rms,
    train,
    train_in_batches,
)

from ntk_sklearn import NTKRegressor
from ntk_sklearn.inference import Schedule
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import Activation, Dense, FullyConnected, Serial

NETWORKS = {
    "erf": FullyConnected(2, activation="erf", w_std=1.5, b_std=0.1),
    "relu": FullyConnected(2, b_std=0.1),
}
PROBLEM = problem(n=10, d=5, m=20)
TIMES = (0.05, 0.15, 0.5, 1.5, 5.0)
FLOW = Schedule()


@cache
def constant(name: str, schedule: Schedule = FLOW, at: tuple[float, ...] = TIMES) -> np.ndarray:
    """Error times sqrt(width) of 32 networks of width 256 that move linearly, for every time."""
    networks = draw(NETWORKS[name].build(), PROBLEM, width=256, n_networks=32, random_state=256)
    run = train(networks, PROBLEM, stages=[])
    return 256**0.5 * rms(
        linearized(networks, PROBLEM, run, schedule, at)
        - in_the_limit(model(name, schedule), PROBLEM, run, at)
    )


def model(name: str, schedule: Schedule = FLOW) -> NTKRegressor:
    steps = {"learning_rate": schedule.learning_rate, "momentum": schedule.momentum}
    return NTKRegressor(NETWORKS[name], **steps)


def trained(name: str, width: int, n_networks: int) -> Run:
    """Along the flow."""
    batch = n_networks if width < 512 else 1
    stages = flow_stages(TIMES)
    return train_in_batches(NETWORKS[name].build(), PROBLEM, width, n_networks, stages, batch)


def errors(name: str, run: Run, pace: float = 1.0) -> np.ndarray:
    """For every time; `pace` predicts for other times than those of the training."""
    times = [pace * t for t in TIMES]
    return rms(run.outputs[1:] - in_the_limit(model(name), PROBLEM, run, times))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_follows_the_flow(name):
    run = trained(name, width=2048, n_networks=1)
    bound = 3 * constant(name) / 2048**0.5  # three standard deviations of an error
    assert (errors(name, run) < bound).all()
    for wrong in (0.5, 2.0):
        assert (errors(name, run, pace=wrong)[:3] > bound[:3]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_error_of_wide_networks(name):
    """It is what the width says within a factor of two; times a tenth too late are worse."""
    for width, n_networks in ((2048, 8), (8192, 3)):
        run = trained(name, width, n_networks)
        ratio = errors(name, run) * width**0.5 / constant(name)
        assert ((ratio > 0.5) & (ratio < 2.0)).all()
    late = errors(name, run, pace=1.1) * width**0.5 / constant(name)
    assert (late[:2] > 2.0).all()


def stages_of(steps: tuple[int, ...], rate: float) -> list[Stage]:
    return [Stage(end - start, rate) for start, end in pairwise((0, *steps))]


def rate_of(name: str, fraction: float) -> float:
    """A learning rate in units of 1 / (largest eigenvalue); steps of 2 diverge."""
    return fraction / float(np.linalg.eigvalsh(NTK(NETWORKS[name])(PROBLEM.X))[-1])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("fraction, momentum", [(1.8, 0.0), (0.5, 0.9)])
def test_a_network_follows_the_steps(name, fraction, momentum):
    rate, steps = rate_of(name, fraction), (1, 2, 4, 8, 16)
    schedule = Schedule(learning_rate=rate, momentum=momentum)
    networks = draw(NETWORKS[name].build(), PROBLEM, width=2048, n_networks=1)
    run = train(networks, PROBLEM, stages_of(steps, rate), momentum)
    bound = 3 * constant(name, schedule, steps) / 2048**0.5
    found, late = (
        rms(run.outputs[1:] - in_the_limit(model(name, schedule), PROBLEM, run, at))
        for at in (steps, [k + 1 for k in steps])
    )
    assert (found < bound).all()
    assert (late > bound).any()


@pytest.mark.parametrize("name", NETWORKS)
def test_error_falls_with_the_width(name):
    """What remains against a network's own tangent kernel is its movement during training.

    That is of order 1 / width, or width^-3/4 with a kink: training moves a share 1 / sqrt(width)
    of the units over it, and their effects have random signs.
    """
    rate, steps = rate_of(name, 0.5), (3, 30)
    schedule = Schedule(learning_rate=rate)
    found = []
    for width in (128, 512):
        networks = draw(NETWORKS[name].build(), PROBLEM, width, n_networks=16)
        run = train(networks, PROBLEM, stages_of(steps, rate))
        for predicted in (
            in_the_limit(model(name, schedule), PROBLEM, run, steps),
            linearized(networks, PROBLEM, run, schedule, steps),
        ):
            squares = ((run.outputs[1:] - predicted) ** 2).mean(axis=(0, 2))
            found.append(np.exp(0.5 * np.log(squares).mean()))
    first, rest = found[0] / found[2], found[1] / found[3]
    assert first == pytest.approx(2.0, rel=0.25)
    assert first < rest < 5.0


# Ensembles

FEW = problem(n=6, d=4, m=5)
ERF = Activation("erf")
HIDDEN, FROZEN = Dense(1.5, 0.1), Dense(1.5, 0.1, lr_multiplier=0.0)
TREES = {
    "erf": Serial(HIDDEN, ERF, HIDDEN, ERF, Dense()),
    "relu": NETWORKS["relu"].build(),
    "readout": Serial(FROZEN, ERF, FROZEN, ERF, Dense()),
}
STEPS = (0, 2, 8, 50)  # by the last 99 % of the slowest mode are learned (readout alone: 80 %)
LIMIT = 4.0  # standard errors; of 80 normal numbers one is beyond with probability 0.005


def scores(found: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Sample mean and covariance of rows (networks, m) in standard errors, (m + m^2 + 1,).

    Outputs are made standard normal by the predicted moments; the last score is their chi-square.
    """
    n, m = found.shape
    normal = np.linalg.solve(np.linalg.cholesky(covariance), (found - mean).T)
    mean_score = normal.mean(axis=1) * n**0.5
    unit = np.eye(m)
    covariance_score = (normal @ normal.T / n - unit) * (n / (1 + unit)) ** 0.5
    total = (np.mean(normal**2) - 1) * (n * m / 2) ** 0.5
    return np.concatenate([mean_score, covariance_score.ravel(), [total]])


@pytest.mark.parametrize(
    "name, width, n_networks",
    [
        ("erf", 256, 200),
        ("readout", 256, 200),
        pytest.param("erf", 512, 400, marks=[pytest.mark.slow, pytest.mark.smoke]),
        pytest.param("relu", 512, 400, marks=pytest.mark.slow),
    ],
)
def test_an_ensemble_has_the_predicted_moments(name, width, n_networks):
    tree = TREES[name]
    rate = 0.5 / float(np.linalg.eigvalsh(NTK(tree)(FEW.X))[-1])
    stages = stages_of(STEPS[1:], rate)
    run = train_in_batches(tree, FEW, width, n_networks, stages, batch=20)
    limit = NTKRegressor(tree, alpha=0, learning_rate=rate, normalize_y=False).fit(FEW.X, FEW.y)
    predicted = [limit.predict(FEW.Z, t=k, return_cov=True) for k in STEPS]
    for found, moments in zip(run.outputs, predicted, strict=True):
        assert (np.abs(scores(found, *moments)) < LIMIT).all()
    (mean, covariance), (late_mean, late_covariance) = predicted[1:3]
    for wrong in ((late_mean, covariance), (mean, late_covariance)):
        assert (np.abs(scores(run.outputs[1], *wrong)) > LIMIT).any()
