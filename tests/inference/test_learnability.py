"""Scores of examples against training, projections and refits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm

from ntk_sklearn.inference import (
    filtered_targets,
    left_out_scores,
    mode_scores,
    residual_scores,
)

N = 9
rng = np.random.default_rng(0)
rows = rng.standard_normal((N, 4))
K = np.exp(-0.3 * ((rows[:, None] - rows) ** 2).sum(axis=-1))
Y, WEIGHT = rng.standard_normal((N, 2)), rng.uniform(0.5, 2.0, N)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("t", [0.0, 0.7, 20.0])
def test_residuals_of_the_flow(t, weight):
    left = expm(-t * K * (1.0 if weight is None else weight)) @ Y
    found = residual_scores(K, Y, t, weight)
    np.testing.assert_allclose(found, np.linalg.norm(left, axis=1), rtol=1e-10)
    np.testing.assert_allclose(
        residual_scores(K, Y[:, 0], t, weight), np.abs(left[:, 0]), rtol=1e-9
    )


def test_what_a_kernel_cannot_fit_remains():
    low = rows[:, :2] @ rows[:, :2].T
    expected = Y[:, 0] - rows[:, :2] @ np.linalg.lstsq(rows[:, :2], Y[:, 0])[0]
    np.testing.assert_allclose(residual_scores(low, Y[:, 0], np.inf), np.abs(expected), rtol=1e-10)


def test_what_the_leading_modes_leave():
    for weight in (None, WEIGHT):
        rest = Y - filtered_targets(K, Y, 0.4, weight)
        np.testing.assert_allclose(
            mode_scores(K, Y, 0.4, weight), np.linalg.norm(rest, axis=1), rtol=1e-12
        )
    np.testing.assert_allclose(mode_scores(K, Y, 0.0), np.linalg.norm(Y, axis=1), rtol=1e-12)
    assert mode_scores(K, Y[:, 0], 1.0).max() < 1e-12


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_left_out_by_refits(weight):
    w = np.ones(N) if weight is None else weight
    ridge = 0.1 * np.average(np.diag(K), weights=w)
    expected = []
    for i in range(N):
        others = np.delete(np.arange(N), i)
        A = K[np.ix_(others, others)] + np.diag(ridge / w[others])
        expected.append(np.linalg.norm(Y[i] - K[i, others] @ np.linalg.solve(A, Y[others])))
    np.testing.assert_allclose(left_out_scores(K, Y, 0.1, weight), expected, rtol=1e-9)


@pytest.mark.parametrize("t", [-1.0, np.nan, "late", True, None])
def test_bad_times(t):
    with pytest.raises(ValueError, match="t must be a number"):
        residual_scores(K, Y, t)


@pytest.mark.parametrize("alpha", [0.0, -1.0, np.inf, "some", True])
def test_bad_ridges(alpha):
    with pytest.raises(ValueError, match="alpha must be a finite number > 0"):
        left_out_scores(K, Y, alpha)


def test_bad_shares():
    with pytest.raises(ValueError, match="share must be a number"):
        mode_scores(K, Y, -0.1)
