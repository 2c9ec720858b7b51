"""Largest eigenpairs by Lanczos against dense ones, and transport between the two sides."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fisher_cases import LOSSES, module_and_inputs
from scipy.sparse.linalg import aslinearoperator, eigsh

from ntk_sklearn.finite import (
    EmpiricalFisher,
    FisherOperator,
    GaussNewton,
    SoftmaxCrossEntropy,
    SquaredLoss,
)
from ntk_sklearn.finite.fisher import eigenpairs
from ntk_sklearn.finite.fisher.operators import Dual, Normal


def operator(kind, name="softmax", of=GaussNewton):
    module, inputs = module_and_inputs(kind)
    return of(module, inputs, *LOSSES[name][:2])


SIDES = {"dense": "dual", "few parameters": "parameters"}


@pytest.fixture
def forbid_dense(monkeypatch):
    for side in (Normal, Dual):
        monkeypatch.setattr(side, "dense", lambda self: pytest.fail("a matrix was formed"))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", SIDES)
def test_lanczos_finds_the_dense_eigenpairs(kind, name, request):
    F = operator(kind, name)
    values, vectors = np.linalg.eigh(F.dense())
    assert values[-4] > 1.05 * values[-5]
    assert (F.dual.shape[0] < F.shape[0]) == (SIDES[kind] == "dual")
    request.getfixturevalue("forbid_dense")
    found = F.top_eigenpairs(4)
    np.testing.assert_allclose(found.values, values[::-1][:4], rtol=1e-10)
    # projections: two eigenvalues of the squared loss with few parameters are equal
    top = vectors[:, ::-1][:, :4]
    np.testing.assert_allclose(found.parameters @ found.parameters.T, top @ top.T, atol=1e-8)
    assert found.residuals.max() < 1e-12


@pytest.mark.parametrize("of", [GaussNewton, EmpiricalFisher])
@pytest.mark.parametrize("kind", SIDES)
def test_both_sides_are_unit_singular_vectors_of_one_factor(kind, of):
    F = operator(kind, of=of)
    found = F.top_eigenpairs(3)
    for side, vectors in [(F, found.parameters), (F.dual, found.dual)]:
        np.testing.assert_allclose(side @ vectors, vectors * found.values, atol=1e-12)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-10)
    there = F.to_dual(found.parameters, found.values)
    np.testing.assert_allclose(there, found.dual, atol=1e-10)
    np.testing.assert_allclose(F.to_parameters(there, found.values), found.parameters, atol=1e-10)


def test_more_than_half_of_the_spectrum_comes_from_the_matrix():
    F = operator("dense")
    found = F.top_eigenpairs(12)  # all n (k - 1)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(F.dense())[::-1][:12], rtol=1e-9)


@pytest.mark.parametrize("n_outputs", [2, 7])
def test_all_copies_of_multiple_eigenvalues_are_found(n_outputs):
    # F = (X, 1)^T (X, 1) / n once for each output
    torch.manual_seed(0)
    module, X = torch.nn.Linear(9, n_outputs).double(), torch.randn(40, 9).double()
    F = FisherOperator(module, X, SquaredLoss())
    features = np.c_[X, np.ones(40)]
    once = np.linalg.eigvalsh(features.T @ features / 40)[::-1]
    expected = np.repeat(once, n_outputs)[:9]
    np.testing.assert_allclose(F.top_eigenpairs(9).values, expected, rtol=1e-10)


class SameFirst:
    """Generator whose first vector is one of ones, which sees one copy of equal eigenvalues."""

    def __init__(self):
        self.rng, self.first = np.random.default_rng(0), True

    def standard_normal(self, n):
        first, self.first = self.first, False
        return np.ones(n) if first else self.rng.standard_normal(n)


def test_copies_that_the_starting_vector_does_not_see_are_looked_for():
    eigenvalues = np.r_[5.0, 5, 5, 4, 4, 3, np.linspace(0, 1, 24)]
    operator = aslinearoperator(np.diag(eigenvalues))
    missing = eigsh(operator, 5, which="LA", v0=np.ones(30), return_eigenvectors=False)
    assert np.sort(missing)[::-1][4] < 3.5
    values, vectors = eigenpairs._largest(operator, 5, SameFirst())
    np.testing.assert_allclose(values, eigenvalues[:5], rtol=1e-12)
    np.testing.assert_allclose(eigenvalues[:, None] * vectors, vectors * values, atol=1e-12)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(5), atol=1e-12)


def test_transport_is_the_formula():
    F = operator("dense", "squared")
    values, u = np.linalg.eigh(F.dual.dense())
    v = F.to_parameters(u, values)
    np.testing.assert_allclose(F @ v, v * values, atol=1e-12)
    np.testing.assert_allclose(v.T @ v, np.eye(len(values)), atol=1e-9)
    # one vector, of another length and sign
    np.testing.assert_allclose(F.to_parameters(-3 * u[:, -1], values[-1]), -v[:, -1], rtol=1e-10)
    np.testing.assert_allclose(F.to_dual(v, values), u, atol=1e-9)


def test_zero_has_no_counterpart():
    F = operator("dense")
    values, v = np.linalg.eigh(F.dense())
    with pytest.raises(ValueError, match="zero, up to rounding, have no counterpart"):
        F.to_dual(v[:, 0], values[0])
    with pytest.raises(ValueError, match="vector 0 is no eigenvector of the dual"):
        F.to_parameters(np.eye(F.dual.shape[0])[0], 0.0)
    with pytest.raises(ValueError, match="vector 1 is no eigenvector of the matrix"):
        F.to_dual(v[:, [-1, -2]], values[[-1, -3]])


def test_more_eigenpairs_than_the_rank_are_refused():
    torch.manual_seed(0)
    module, x = torch.nn.Linear(3, 3).double(), torch.randn(1, 3).double()
    F = FisherOperator(module, x.expand(5, 3), SoftmaxCrossEntropy())
    with pytest.raises(ValueError, match="ask for k = 2 at most"):
        F.top_eigenpairs(4)
    assert F.top_eigenpairs(2).values.shape == (2,)
    with pytest.raises(ValueError, match="k must be 1 to 10, the smaller side"):
        F.top_eigenpairs(11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [5, 20])
def test_zeros_by_rounding_are_not_searched_for_larger_ones(k, dtype):
    """Rank 3 of 60: among the zeros each look finds another one that is larger, without end."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 200, bias=False), torch.nn.Linear(200, 1, bias=False)
    )
    F = FisherOperator(module, torch.randn(60, 3), SquaredLoss(), dtype=dtype)
    with pytest.raises(ValueError, match="ask for k = 3 at most"):
        F.top_eigenpairs(k)


def test_the_starting_vector_does_not_matter():
    F = operator("dense")
    first, second = F.top_eigenpairs(2), F.top_eigenpairs(2, random_state=1)
    np.testing.assert_allclose(first.values, second.values, rtol=1e-12)
