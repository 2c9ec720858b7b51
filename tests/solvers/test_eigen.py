"""Eigendecomposition of matrices of known spectrum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import LinAlgError, LinAlgWarning
from scipy.stats import ortho_group

from ntk_sklearn.solvers import eigen, eigendecompose

Q = ortho_group.rvs(8, random_state=0)
SPECTRUM = np.array([0.0, 0.0, 1e-9, 1e-4, 0.1, 1.0, 3.0, 50.0])
MATRIX = (Q * SPECTRUM) @ Q.T


def test_known_spectrum_with_exact_zeros():
    system = eigendecompose(MATRIX)
    np.testing.assert_allclose(system.values, SPECTRUM, rtol=1e-4, atol=1e-13)
    assert (system.values[:2] == 0).all()
    assert system.largest == system.values[-1]


def test_apply_is_a_function_of_the_matrix():
    system, B = eigendecompose(MATRIX), np.arange(16.0).reshape(8, 2)
    np.testing.assert_allclose(system.apply(system.values, B), MATRIX @ B, atol=1e-11)
    np.testing.assert_allclose(system.apply(np.ones(8), B), B, atol=1e-12)


def test_infinite_entries():
    with pytest.raises(LinAlgError, match="scale X down"):
        eigendecompose(np.full((2, 2), np.inf))


def test_decomposition_that_is_wrong_is_told(monkeypatch):
    A, eigh = np.diag([1.0, 2.0, 3.0]) + 0.1, eigen.eigh

    def wrong(*arguments, **options):
        values, vectors = eigh(*arguments, **options)
        return values + 1e-9, vectors

    monkeypatch.setattr(eigen, "eigh", wrong)
    with pytest.warns(LinAlgWarning, match="not to be trusted"):
        eigen.eigendecompose(A)
