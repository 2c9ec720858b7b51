"""Targets shown mode by mode: against training on changing targets, step by step."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ntk_sklearn.inference import (
    ModeCurriculum,
    Schedule,
    TrainingPath,
    filtered_targets,
    training_modes,
)
from ntk_sklearn.inference.curriculum import leading_modes
from ntk_sklearn.inference.training import remaining

N = 10
rng = np.random.default_rng(0)
Q = np.linalg.qr(rng.standard_normal((N, N)))[0]
VALUES = np.geomspace(0.02, 2.0, N)
THETA = (Q * VALUES) @ Q.T
THETA = (THETA + THETA.T) / 2
Y, INITIAL = rng.standard_normal((2, N, 3))
WEIGHT = rng.uniform(0.5, 2.0, N)
STAGES = ModeCurriculum(starts=(0, 2, 7), shares=(0.2, 0.5, 1.0))


def path(schedule=None, ridge=0.0, curriculum=STAGES, weight=WEIGHT, theta=THETA):
    modes = training_modes(theta, weight)
    schedule = schedule or Schedule()
    return TrainingPath(modes, schedule, ridge, Y, INITIAL, curriculum=curriculum)


def shown(t, curriculum=STAGES, weight=WEIGHT):
    """The targets at a time: what is hidden is the initial function."""
    share = curriculum.shares[np.searchsorted(curriculum.starts, t, side="right") - 1]
    return INITIAL + filtered_targets(THETA, Y - INITIAL, share, weight)


@pytest.mark.parametrize("ridge", [0.0, 0.4])
def test_flow_is_training_on_the_targets_of_each_stage(ridge):
    coefficients, times = np.zeros((N, 3)), (0.0, 2.0, 7.0, 11.0)

    def slope(_, c, y):
        c = c.reshape(N, 3)
        return ((y - INITIAL - THETA @ c) * WEIGHT[:, np.newaxis] - ridge * c).ravel()

    for start, end in pairwise(times):
        run = solve_ivp(
            slope, (start, end), coefficients.ravel(), args=(shown(start),), rtol=1e-10, atol=1e-12
        )
        coefficients = run.y[:, -1].reshape(N, 3)
        found = path(ridge=ridge).coefficients([end])[0]
        np.testing.assert_allclose(found, coefficients, rtol=1e-7, atol=1e-8)
        loss = 0.5 * (WEIGHT[:, np.newaxis] * (INITIAL + THETA @ found - Y) ** 2).sum()
        assert path(ridge=ridge).squared_losses([end])[0] == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_steps_are_steps_on_the_targets_of_each_stage(momentum):
    schedule = Schedule(0.3, momentum)
    c, velocity = np.zeros((2, N, 3))
    for step in range(12):
        if step in (1, 2, 3, 7, 9):
            found = path(schedule).coefficients([step])[0]
            np.testing.assert_allclose(found, c, rtol=1e-9, atol=1e-12)
        gradient = WEIGHT[:, np.newaxis] * (INITIAL + THETA @ c - shown(step))
        velocity = momentum * velocity + gradient
        c = c - 0.3 * velocity


def test_all_modes_are_shown_at_the_end():
    for ridge in (0.0, 0.4):
        found = path(ridge=ridge).coefficients([math.inf])
        np.testing.assert_array_equal(
            found, path(ridge=ridge, curriculum=None).coefficients([math.inf])
        )


def test_one_stage_is_no_curriculum():
    one = ModeCurriculum((0,), (1,))
    for t in (0.0, 0.3, 5.0):
        found = path(curriculum=one).coefficients([t])
        np.testing.assert_array_equal(found, path(curriculum=None).coefficients([t]))


@pytest.mark.parametrize("schedule", [Schedule(), Schedule(0.9)], ids=["flow", "steps"])
def test_a_curriculum_of_modes_makes_no_loss_smaller(schedule):
    times = np.arange(40.0)
    late = path(schedule, weight=None).squared_losses(times)
    at_once = path(schedule, weight=None, curriculum=None).squared_losses(times)
    assert (late[1:] > at_once[1:]).all()
    # and what a late mode has at t, it would have had at t minus its delay
    hidden = ModeCurriculum((0, 5), (0, 1))
    delayed = path(schedule, weight=None, curriculum=hidden).squared_losses(times)
    np.testing.assert_allclose(delayed[5:], at_once[:-5], rtol=1e-12)
    np.testing.assert_allclose(delayed[:5], at_once[0], rtol=1e-12)


def test_momentum_can_be_overtaken_by_a_delay():
    """The rests of momentum change their sign: being late can be being near."""
    times, fast = np.arange(40.0), Schedule(0.5, 0.9)
    late = path(fast, curriculum=ModeCurriculum((0, 3), (0, 1))).squared_losses(times)
    assert (late < path(fast, curriculum=None).squared_losses(times)).any()


def test_a_late_last_stage_is_a_hard_cutoff():
    cut = ModeCurriculum((0, 1e6), (0.3, 1))
    c = path(curriculum=cut, weight=None).coefficients([1e5])[0]
    V = Q[:, -3:]
    np.testing.assert_allclose(c, V @ (V.T @ (Y - INITIAL) / VALUES[-3:, None]), rtol=1e-8)


def test_filtered_targets_are_projections():
    V = Q[:, -4:]
    np.testing.assert_allclose(filtered_targets(THETA, Y, 0.4), V @ V.T @ Y, atol=1e-12)
    for share in (0.0, 0.3, 1.0):
        once = filtered_targets(THETA, Y, share, WEIGHT)
        np.testing.assert_allclose(filtered_targets(THETA, once, share, WEIGHT), once, atol=1e-12)
        rest = Y - once  # orthogonal in the norm of the loss
        assert np.abs((WEIGHT[:, np.newaxis] * once * rest).sum(axis=0)).max() < 1e-12
    assert (filtered_targets(THETA, Y, 0.0) == 0).all()
    np.testing.assert_allclose(filtered_targets(THETA, Y[:, 0], 1.0), Y[:, 0], rtol=1e-12)


def test_equal_eigenvalues_come_together():
    values = np.array([0.0, 1.0, 1.0 + 1e-9, 1.0 + 2e-9, 3.0, 4.0])
    counts = [leading_modes(values, share).sum() for share in (0, 0.1, 0.4, 0.5, 0.6, 0.8, 0.99, 1)]
    assert counts == [0, 1, 2, 5, 5, 5, 5, 6]
    np.testing.assert_array_equal(STAGES.shown_from(values), [7, 2, 2, 2, 2, 0])


def test_the_choice_of_a_basis_does_not_matter():
    """Sine and cosine have one eigenvalue on the circle, and no share parts them."""
    angles = 2 * np.pi * np.arange(8) / 8
    K = sum(0.5**k * np.cos(k * (angles[:, None] - angles)) for k in range(1, 4))
    y = rng.standard_normal(8)
    for share in (0.1, 0.3):  # of six modes one and two, which are the first pair
        pair = np.stack([np.cos(angles), np.sin(angles)]) / 2.0
        np.testing.assert_allclose(filtered_targets(K, y, share), pair.T @ pair @ y, atol=1e-12)


BAD = {
    "ascending": {"starts": (0, 2, 1)},
    "starts must begin with 0": {"starts": (1, 2, 3)},
    "belong together": {"starts": (0, 1)},
    "starts must be finite": {"starts": (0, 1, math.inf)},
    "starts must be a sequence": {"starts": 3},
    "shares must be finite and ascending": {"shares": (0.5, 0.5, 1)},
    "shares must lie in": {"shares": (0.1, 0.5, 0.9)},
    "shares must be a sequence": {"shares": ("few", "more", "all")},
    "starts must be finite and ascending numbers": {"starts": ()},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_stages(message):
    with pytest.raises((ValueError, TypeError), match=message):
        ModeCurriculum(**{"starts": (0, 1, 2), "shares": (0.1, 0.5, 1)} | BAD[message])


@pytest.mark.parametrize(
    "message, change",
    [
        ("share must be", {"share": 1.5}),
        ("share must be", {"share": "half"}),
        ("K must be a square", {"K": np.ones((3, 4))}),
        ("K must be finite and symmetric", {"K": np.triu(np.ones((3, 3)))}),
        ("K must be positive semidefinite", {"K": np.diag([2.0, 1.0, -1.0])}),
        ("y must be", {"y": np.ones(4)}),
        ("y must be", {"y": np.array([1.0, np.nan, 0.0])}),
        ("weight must be", {"weight": [1.0, 0.0, 1.0]}),
        ("weight must be", {"weight": [1.0]}),
    ],
)
def test_bad_problems(message, change):
    given = {"K": np.eye(3), "y": np.ones(3), "share": 0.5} | change
    with pytest.raises(ValueError, match=message):
        filtered_targets(**given)


def test_with_a_ridge_large_steps_may_gain_from_a_delay():
    """One mode v = 1 with ridge 1/2 and h (v + ridge) = 3/2: 0 is left of it after one step."""
    late, steps = ModeCurriculum((0, 1), (0, 1)), Schedule(learning_rate=1.0)
    value, ridge = np.ones(1), 0.5
    at_once = remaining(value, steps.learned(2), ridge)
    delayed = remaining(value, late.learned(value, steps, 2), ridge)
    np.testing.assert_allclose([at_once[0], delayed[0]], [0.5, 0.0], atol=1e-15)
