"""The evidence and its slopes, against densities from scipy and central differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import LinAlgError
from scipy.stats import multivariate_normal

from ntk_sklearn.inference import equal_rows, evidence_slope, merge_targets

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(6, 2))
Y, NOISE = RNG.normal(size=(9, 3)), RNG.uniform(0.1, 1.0, (9, 2))
ROWS = {"distinct": [0, 1, 2, 3, 4, 5], "merged": [0, 1, 2, 0, 3, 4, 0, 5, 2], "one group": [1, 1]}
each = pytest.mark.parametrize("case", ROWS)


def kernel(a, b):
    return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / 2)


def problem(case):
    """Rows, and two outputs of one noise beside one of another."""
    X = POINTS[ROWS[case]]
    n, groups = len(X), equal_rows(X)
    parts = [
        merge_targets(Y[:n, :2], NOISE[:n, 0], groups),
        merge_targets(Y[:n, 2:], NOISE[:n, 1], groups),
    ]
    first = X[groups.first]
    return X, torch.from_numpy(kernel(first, first)), parts


@each
def test_value_is_the_density_of_all_rows(case):
    X, K, parts = problem(case)
    n, full = len(X), 1.7 * kernel(X, X)
    expected = 0.0
    for columns, noise in ((slice(2), NOISE[:n, 0]), (slice(2, 3), NOISE[:n, 1])):
        prior = multivariate_normal(np.zeros(n), full + 0.6 * np.diag(noise))
        expected += np.sum(prior.logpdf(Y[:n, columns].T))
    assert evidence_slope(K, parts, 1.7, 0.6).value == pytest.approx(expected, rel=1e-12)


@each
def test_slopes_are_central_differences(case):
    _, K, parts = problem(case)
    found, e = evidence_slope(K, parts, 1.7, 0.6), 1e-5

    def slope(value):
        return (value(e) - value(-e)) / (2 * e)

    by_scale = slope(lambda t: evidence_slope(K, parts, 1.7 * np.exp(t), 0.6).value)
    assert found.output_scale == pytest.approx(by_scale, rel=1e-7)
    by_noise = slope(lambda t: evidence_slope(K, parts, 1.7, 0.6 * np.exp(t)).value)
    assert found.noise == pytest.approx(by_noise, rel=1e-7)
    way = torch.from_numpy(RNG.normal(size=K.shape))
    way = 0.03 * (way + way.mT)
    by_matrix = slope(lambda t: evidence_slope(K + t * way, parts, 1.7, 0.6).value)
    assert float((found.matrix * way).sum()) == pytest.approx(by_matrix, rel=1e-7)


def test_merged_noise_is_that_of_weighted_means():
    y, noise = np.array([[1.0], [4.0], [2.0]]), np.array([1.0, 0.5, 3.0])
    found = merge_targets(y, noise, equal_rows(np.array([[0.0], [0.0], [1.0]])))
    np.testing.assert_allclose(found.mean, [[3.0], [2.0]])
    np.testing.assert_allclose(found.noise, [1.0 / 3.0, 3.0])


def test_rows_without_noise_overrule_equal_ones():
    groups = equal_rows(np.zeros((3, 1)))
    y, noise = np.array([[1.0], [3.0], [7.0]]), np.array([0.0, 0.0, 2.0])
    found = merge_targets(y, noise, groups, weight=np.array([1.0, 3.0, 5.0]))
    np.testing.assert_allclose(found.mean, [[2.5]])
    np.testing.assert_array_equal(found.noise, [0.0])
    # the noisy row is an observation of a known value
    expected = multivariate_normal(2.5, 2.0).logpdf(7.0)
    np.testing.assert_allclose(found.log_within(), expected)


def test_multiplied_noise_is_merged_alike():
    y, noise = Y[:5], NOISE[:5, 0]
    groups = equal_rows(POINTS[[0, 1, 0, 0, 1]])
    found, expected = (
        merge_targets(y, noise, groups).times(0.3),
        merge_targets(y, 0.3 * noise, groups),
    )
    np.testing.assert_allclose(found.noise, expected.noise)
    np.testing.assert_allclose(found.log_within(), expected.log_within(), rtol=1e-13)


@pytest.mark.parametrize("K", [np.ones((2, 2)), -np.eye(2), np.full((2, 2), np.nan)], ids=str)
def test_matrix_that_is_not_positive_definite_is_refused(K):
    parts = [merge_targets(Y[:2], np.zeros(2), equal_rows(POINTS[:2]))]
    with pytest.raises(LinAlgError):
        evidence_slope(torch.from_numpy(K), parts)
