"""Factorization and solving, on matrices of known spectrum and by residuals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.linalg import LinAlgError, LinAlgWarning

from ntk_sklearn.solvers import Factorization, factorize, solve_checked

EPS = np.finfo(float).eps


def rotation(n, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]


def with_spectrum(values, seed=0):
    """A symmetric matrix of the given eigenvalues, and its eigenvectors."""
    Q = rotation(len(values), seed)
    A = (Q * np.asarray(values)) @ Q.T
    return (A + A.T) / 2.0, Q


B = np.random.default_rng(1).normal(size=(30, 4))


@pytest.mark.parametrize("condition", [1e0, 1e6, 1e12])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_factor_multiplies_to_the_matrix(condition, scale):
    A, _ = with_spectrum(scale * np.geomspace(1.0, condition, 30))
    found = factorize(A)
    assert found.jitter == 0.0
    assert np.array_equal(found.lower, np.tril(found.lower))
    error = np.abs(found.lower @ found.lower.T - A).max()
    assert error < 30 * EPS * np.abs(A).max()


@pytest.mark.parametrize("condition", [1e0, 1e6, 1e12])
@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
def test_solution_has_a_residual_of_rounding(condition, scale):
    A, _ = with_spectrum(scale * np.geomspace(1.0, condition, 30))
    X = solve_checked(A, factorize(A), B)
    assert np.abs(A @ X - B).max() < 30 * EPS * (
        np.abs(A).sum(axis=1).max() * np.abs(X).max() + np.abs(B).max()
    )


def test_solution_by_the_spectrum():
    values = np.geomspace(1.0, 1e4, 30)
    A, Q = with_spectrum(values)
    expected = Q @ ((Q.T @ B) / values[:, np.newaxis])
    X = solve_checked(A, factorize(A), B)
    np.testing.assert_allclose(X, expected, atol=1e4 * 30 * EPS)


def test_half_solve_and_determinant():
    values = np.geomspace(0.1, 1e3, 30)
    A, _ = with_spectrum(values)
    found = factorize(A)
    half = found.half_solve(B)
    np.testing.assert_allclose(half.T @ half, B.T @ found.solve(B), rtol=1e-10, atol=1e-10)
    assert found.log_determinant == pytest.approx(np.log(values).sum(), rel=1e-12)


def test_matrix_is_left_as_it_is():
    A, _ = with_spectrum(np.geomspace(1.0, 10.0, 30))
    A.flags.writeable = False
    before = A.copy()
    solve_checked(A, factorize(A), B)
    np.testing.assert_array_equal(A, before)


def test_single_precision_is_solved_in_double():
    A, _ = with_spectrum(np.geomspace(1.0, 1e3, 30))
    single = A.astype(np.float32)
    np.testing.assert_array_equal(factorize(single).lower, factorize(single.astype(float)).lower)


def test_a_row_suffices():
    X = solve_checked(np.array([[4.0]]), factorize(np.array([[4.0]])), np.array([[2.0]]))
    assert X == [[0.5]]


# Singular and indefinite matrices


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
def test_singular_matrix_gets_the_least_jitter_that_helps_and_says_so(scale):
    A, _ = with_spectrum(scale * np.append(np.full(20, 1.0), np.zeros(10)))
    with pytest.warns(LinAlgWarning, match="singular to working precision.*larger ridge or noise"):
        found = factorize(A)
    mean_diagonal = scale * 20 / 30
    assert 0.0 < found.jitter < 1e-12 * mean_diagonal
    error = np.abs(found.lower @ found.lower.T - A - found.jitter * np.eye(30)).max()
    assert error < 30 * EPS * scale


@pytest.mark.parametrize("n", [2, 5, 30])
@pytest.mark.parametrize("seed", range(20))
def test_matrix_that_rounding_keeps_from_failing_is_singular_all_the_same(n, seed):
    # coincident rows: whether the last pivot rounds above or below zero is chance
    half = np.random.default_rng(seed).normal(size=(n, 2 * n))
    half = np.vstack([half, half[:1]])
    with pytest.warns(LinAlgWarning, match="singular to working precision"):
        found = factorize(half @ half.T)
    assert found.jitter > 0.0


def test_bad_scaling_alone_is_not_singular():
    A, _ = with_spectrum(np.geomspace(1.0, 10.0, 30))
    scale = np.geomspace(1e-12, 1e12, 30)
    found = factorize(A * scale * scale[:, np.newaxis])
    assert found.jitter == 0.0
    np.testing.assert_allclose(found.lower / scale[:, np.newaxis], factorize(A).lower, atol=1e-14)


def test_jitter_belongs_to_the_solution():
    A = np.ones((2, 2))
    with pytest.warns(LinAlgWarning, match="singular"):
        found = factorize(A)
    X = solve_checked(A, found, np.ones((2, 1)))  # no second warning: the jitter is accounted for
    np.testing.assert_allclose(X, 0.5, rtol=1e-1)


def test_indefinite_within_the_last_jitter_is_repaired():
    A, _ = with_spectrum(np.append(np.ones(29), -3e-8))
    with pytest.warns(LinAlgWarning, match="1e-07"):
        assert factorize(A).jitter == pytest.approx(1e-7, rel=0.1)


@pytest.mark.parametrize("least", [-1e-4, -1.0])
def test_indefinite_matrix_is_refused(least):
    A, _ = with_spectrum(np.append(np.ones(29), least))
    with pytest.raises(LinAlgError, match="not positive definite even with"):
        factorize(A)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_undefined_entries_are_refused(value):
    A = np.eye(3)
    A[2, 1] = value
    with pytest.raises(LinAlgError, match=r"infinite or undefined.*scale X down"):
        factorize(A)


def test_factorization_of_another_matrix_is_noticed_by_the_residual():
    A, _ = with_spectrum(np.geomspace(1.0, 10.0, 30))
    other = factorize(A + 1e-10 * np.eye(30))
    with pytest.warns(LinAlgWarning, match="the residual of the solve is .*not to be trusted"):
        solve_checked(A, other, B)


def test_result_is_data():
    found = factorize(np.eye(2))
    assert isinstance(found, Factorization)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.jitter = 1.0
