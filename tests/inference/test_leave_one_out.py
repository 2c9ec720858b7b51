"""Leave-one-out and merging in closed form, against deletion of rows."""

from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn.inference import condition, merged_log_evidence
from ntk_sklearn.inference.leave_one_out import inverse_diagonal, leave_one_out
from ntk_sklearn.inference.merging import equal_rows

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(6, 2))
Y, NOISE = RNG.normal(size=(9, 2)), RNG.uniform(0.1, 1.0, 9)
ROWS = {"distinct": [0, 1, 2, 3, 4, 5], "merged": [0, 1, 2, 0, 3, 4, 0, 5, 2], "one group": [1, 1]}


def kernel(a, b):
    return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / 2)


def fitted(case):
    X = POINTS[ROWS[case]]
    y, noise, groups = Y[: len(X)], NOISE[: len(X)], equal_rows(X)
    merged = 1.0 / groups.total(1.0 / noise)
    K = kernel(X[groups.first], X[groups.first])
    posterior = condition(K, groups.mean(y, 1.0 / noise), merged)
    inverse = np.diag(np.linalg.inv(K + np.diag(merged)))
    return X, y, noise, groups, posterior, inverse


@pytest.mark.parametrize("case", ROWS)
def test_against_deletion(case):
    X, y, noise, groups, posterior, inverse = fitted(case)
    found = leave_one_out(y, noise, groups, posterior.coefficients, inverse)
    for i in range(len(X)):
        others = np.arange(len(X)) != i
        refit = condition(kernel(X[others], X[others]), y[others], noise[others])
        cross = kernel(X[i : i + 1], X[others])
        variance = refit.variance(cross, np.ones(1)) + noise[i]
        np.testing.assert_allclose(found.mean[i], refit.mean(cross)[0], atol=1e-13)
        np.testing.assert_allclose(found.variance[i], variance[0], rtol=1e-13)
        density = -0.5 * ((y[i] - refit.mean(cross)[0]) ** 2 / variance)
        density -= 0.5 * np.log(2 * np.pi * variance)
        np.testing.assert_allclose(found.log_density[i], density, rtol=1e-12)


@pytest.mark.parametrize("case", ROWS)
def test_evidence_of_merged_rows(case):
    X, y, noise, groups, posterior, _ = fitted(case)
    found = merged_log_evidence(y, noise, groups, posterior.log_evidence)
    np.testing.assert_allclose(found, condition(kernel(X, X), y, noise).log_evidence, rtol=1e-12)


def test_groups_keep_the_order_of_first_appearance():
    groups = equal_rows(np.array([[2.0], [1.0], [2.0], [0.0], [-0.0]]))
    np.testing.assert_array_equal(groups.first, [0, 1, 3])
    np.testing.assert_array_equal(groups.of_row, [0, 1, 0, 2, 2])
    assert not groups.trivial


def test_distinct_rows_need_no_noise():
    K = kernel(POINTS, POINTS)
    posterior = condition(K, Y[:6], np.zeros(6))
    inverse = inverse_diagonal(posterior.factorization)
    groups = equal_rows(POINTS)
    found = leave_one_out(Y[:6], np.zeros(6), groups, posterior.coefficients, inverse)
    for i in range(6):
        others = np.arange(6) != i
        refit = condition(K[np.ix_(others, others)], Y[:6][others], np.zeros(5))
        cross = K[i : i + 1, others]
        np.testing.assert_allclose(found.mean[i], refit.mean(cross)[0], atol=1e-12)
        np.testing.assert_allclose(found.variance[i], refit.variance(cross, np.ones(1))[0], 1e-10)


def test_equal_rows_without_noise_are_refused():
    groups = equal_rows(POINTS[[0, 1, 0]])
    with pytest.raises(ValueError, match="positive ridge or noise where rows are equal"):
        leave_one_out(Y[:3], np.array([0.0, 0.0, 1.0]), groups, Y[:2], np.ones(2))


def test_inverse_diagonal():
    A = kernel(POINTS, POINTS) + np.eye(6)
    found = inverse_diagonal(condition(A, Y[:6], np.zeros(6)).factorization)
    np.testing.assert_allclose(found, np.diag(np.linalg.inv(A)), rtol=1e-13)
