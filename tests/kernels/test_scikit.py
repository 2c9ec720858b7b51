"""Matrices of the scikit-learn kernels: Gram, cross block, diagonal, precision, memory."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn import config_context
from sklearn.metrics.pairwise import pairwise_kernels
from tight_budgets import tight_budget

from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.kernels._network import as_network
from ntk_sklearn.networks import (
    Activation,
    Convolutional,
    Dense,
    FullyConnected,
    Myrtle,
    ResNet,
    Serial,
)

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(11, 16)), rng.normal(size=(7, 16))
IMAGE = (1, 4, 4)
DENSE = [
    NTK(),
    NNGP(FullyConnected(2, activation="erf")),
    NTK(ResNet((1, 1), filter=None)),
    NNGP(Serial(Dense(), Activation("gelu"), Dense())),
]
# "flatten" needs no pairs of positions, so no covariance is a mean over positions
FLAT = [NTK(Convolutional(2, head="flatten"), image_shape=IMAGE)]
POOLED = [
    NTK(Convolutional(2), image_shape=IMAGE),
    NNGP(ResNet((1, 1)), image_shape=(1, 16)),
    NTK(Myrtle(b_std=0.1), image_shape=IMAGE),
]
each = pytest.mark.parametrize("kernel", DENSE + FLAT + POOLED, ids=str)


def relative(value, expected):
    return np.abs(value - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(
    "kernel, rtol", [(k, 1e-14) for k in DENSE + FLAT] + [(k, 1e-13) for k in POOLED], ids=str
)
def test_diag_is_the_diagonal_of_the_gram(kernel, rtol):
    np.testing.assert_allclose(kernel.diag(X), np.diag(kernel(X)), rtol=rtol)


@each
def test_gram_is_symmetric_and_the_same_however_it_is_asked_for(kernel):
    K = kernel(X)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(K, kernel(X, X))
    np.testing.assert_array_equal(K, kernel(X, X[:]))  # the same memory
    assert relative(kernel(X, X.copy()), K) < 1e-12


@each
def test_cross_block_is_transposed_and_part_of_the_gram(kernel):
    whole = kernel(np.vstack([X, Z]))
    assert relative(kernel(X, Z), whole[:11, 11:]) < 1e-12
    assert relative(kernel(Z, X), whole[11:, :11]) < 1e-12


@each
def test_gram_is_positive_semidefinite(kernel):
    values = np.linalg.eigvalsh(kernel(np.vstack([X, X[:5], -X[:5], np.zeros((2, 16))])))
    assert values[0] > -len(values) * np.finfo(float).eps * values[-1]


@each
def test_matrix_is_new_and_writable_at_each_call(kernel):
    first = kernel(X)
    expected = first.copy()
    first += 1.0  # as scikit-learn's Gaussian process does with its diagonal
    np.testing.assert_array_equal(kernel(X), expected)
    diagonal = kernel.diag(X)
    diagonal *= 2.0
    np.testing.assert_array_equal(2.0 * kernel.diag(X), diagonal)


@each
def test_no_rows_give_an_empty_block(kernel):
    assert kernel(X[:0], Z).shape == (0, 7)
    assert kernel.diag(X[:0]).shape == (0,)


def test_default_network_is_the_default_preset():
    np.testing.assert_array_equal(NTK()(X), NTK(FullyConnected())(X))


@pytest.mark.parametrize("kind", [NTK, NNGP])
@pytest.mark.parametrize("depth", [1, 3, 10])
def test_float32_error(kind, depth):
    network = FullyConnected(depth)
    single = kind(network, dtype="float32")(X)
    assert single.dtype == np.float32
    assert relative(single, kind(network)(X)) < 2e-5


def test_threads_of_pairwise_kernels_compute_the_same():
    kernel = NTK(FullyConnected(2))
    assert relative(pairwise_kernels(X, Z, metric=kernel, n_jobs=4), kernel(X, Z)) < 1e-12


# Memory


@each
def test_tiny_budget_gives_the_same_matrix(kernel):
    rows, network = X[:9], as_network(kernel.network)
    budget = tight_budget(network, kernel.image_shape, (9, 9))
    options = {"image_shape": kernel.image_shape, "backend": "reference"}
    tiny = type(kernel)(network, **options, memory_budget=budget)
    assert tile_of(tiny, rows) <= 2
    assert relative(tiny(rows), kernel(rows)) < 1e-12
    assert relative(tiny(rows, Z), kernel(rows, Z)) < 1e-12
    np.testing.assert_allclose(tiny.diag(rows), kernel.diag(rows), rtol=1e-13)


def tile_of(kernel, rows=X):
    return int(re.search(r"tiles of (\d+) x", kernel.explain(rows))[1])


@pytest.mark.parametrize("megabytes", [1, 4, 16])
def test_working_memory_bounds_the_tiles(megabytes):
    kernel, many = NTK(backend="reference"), np.ones((1000, 16))
    free = tile_of(kernel, many)
    with config_context(working_memory=megabytes):
        assert tile_of(kernel, many) < free
        told = re.search(r"about ([\d.]+) MB to work in", kernel.explain(many))[1]
    assert megabytes / 8 < float(told) <= megabytes


def test_budget_below_the_matrix_is_refused_with_its_size():
    with pytest.raises(MemoryError, match=r"400 x 400 .* takes 0\.00119\d GB.*allowed"):
        NTK(memory_budget="1MB")(np.ones((400, 3)))


def test_matrix_beyond_the_free_memory_is_refused_before_anything_is_allocated():
    with pytest.raises(MemoryError, match=r"takes 2\.98e\+04 GB, .* is available"):
        NTK()(np.zeros((2_000_000, 1)))


@pytest.mark.parametrize("budget", [0, -1, "3 XB", True, "much"])
def test_budget_that_is_no_size_is_refused(budget):
    with pytest.raises(ValueError, match="memory_budget must be"):
        NTK(memory_budget=budget)(X)


def test_explanation_names_evaluators_tiles_and_memory():
    told = NTK(Convolutional(2), image_shape=IMAGE, dtype="float32").explain(X)
    assert "Gram of 11 x 11, torch.float32 on" in told
    assert "fused: can run" in told
    assert "reference: can run" in told
    assert "empirical: it computes finite widths" in told
    assert "chosen: fused, tiles of 11 x 11" in told


@pytest.mark.parametrize(
    "options, message",
    [
        ({"backend": "fast"}, "backend must be 'auto' or one of"),
        ({"backend": "empirical"}, "infinitely wide"),
        ({"device": "tpu"}, "device must be 'auto' or one of"),
        ({"device": "cuda:99"}, "device must be 'auto' or one of"),
        ({"dtype": "float16"}, "dtype must be one of"),
    ],
)
def test_options_are_checked_when_the_kernel_is_evaluated(options, message):
    kernel = NTK(**options)
    with pytest.raises(ValueError, match=message):
        kernel(X)
