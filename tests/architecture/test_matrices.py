"""Matrices as values."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
import torch
from scipy import sparse

from ntk_sklearn.architecture import Aggregate, Matrix
from ntk_sklearn.architecture.matrices import as_matrix

ROWS = [[0.0, 1.0, 0.1], [-2.5, 0.0, 1e300]]


@pytest.mark.parametrize(
    "value",
    [ROWS, tuple(map(tuple, ROWS)), np.array(ROWS), torch.tensor(ROWS, dtype=torch.float64),
     sparse.csr_array(np.array(ROWS)), [[-0.0, 1, 0.1], [-2.5, 0, 1e300]]],
    ids=["lists", "tuples", "array", "tensor", "sparse", "negative zero"],
)  # fmt: skip
def test_equal_entries_are_equal_matrices(value):
    matrix, same = as_matrix(value, "A"), as_matrix(ROWS, "A")
    assert matrix == same
    assert hash(matrix) == hash(same)
    assert matrix.rows == ROWS
    assert matrix.shape == (2, 3)
    assert as_matrix(matrix, "A") is matrix
    assert pickle.loads(pickle.dumps(matrix)) == matrix


def test_other_matrices_differ():
    flat, tall = as_matrix([[1, 2, 3, 4]], "A"), as_matrix([[1, 2], [3, 4]], "A")
    assert flat != tall
    assert flat != as_matrix([[1, 2, 3, 5]], "A")
    assert len({Aggregate(flat), Aggregate(tall), Aggregate(flat)}) == 2


def test_small_matrices_are_printed():
    assert repr(as_matrix([[1, 0]], "A")) == "[[1.0, 0.0]]"
    assert repr(as_matrix(np.eye(5), "A")) == "<5 x 5 matrix>"


@pytest.mark.parametrize(
    "value, error, message",
    [
        (3, TypeError, "A must be a matrix (rows of numbers), got 3"),
        ([1.0, 2.0], TypeError, "A must be a matrix"),
        (np.ones((2, 2, 2)), TypeError, "A must hold numbers"),
        ([["a"]], TypeError, "A must hold numbers"),
        (["12", "34"], TypeError, "rows of numbers"),
        ([[None]], TypeError, "A must hold numbers"),
        ([[1, 2], [3]], ValueError, "A must have rows of one length >= 1, got lengths [1, 2]"),
        ([[]], ValueError, "rows of one length >= 1"),
        ([[np.nan]], ValueError, "A must be finite"),
    ],
)
def test_what_is_no_matrix(value, error, message):
    with pytest.raises(error, match=re.escape(message)):
        as_matrix(value, "A")
    assert isinstance(as_matrix([[1]], "A"), Matrix)
