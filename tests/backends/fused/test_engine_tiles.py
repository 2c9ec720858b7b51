"""Tiles of the fused engine: cut anywhere, in any order, in threads, halted, within memory."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest
from fused_cases import pictures, rows
from fused_dense import DENSE
from fused_guards import Guarded
from fused_images import IMAGES as EXACT
from fused_images import SUMMED
from fused_kernels import DOUBLE, FUSED, SINGLE, diagonal, empty, matrix, prepared, problem_of
from reference_kernels import relative_error

from ntk_sklearn.backends.fused import flat_plan, images, own
from ntk_sklearn.networks import Convolutional, Myrtle

IMAGES = EXACT | SUMMED
N = 123
SHAPE = (2, 5, 4)
SIZES = [1, 15, 16, 17, 31, 32, 33]
BOTH = pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=["double", "single"])
NAMES = ["odd", "odd, flat", "pool", "circular, ragged", "residual, projected", "erf"]
NAMES += ["relu behind a mean", "relu behind pools", "silu, strides"]
each = pytest.mark.parametrize("name", NAMES)
EVERY = slice(0, N)


def many(seed: int = 0) -> np.ndarray:
    X = np.random.default_rng(seed).standard_normal((N, *SHAPE))
    X[60], X[61], X[62], X[122] = X[0], -X[1], 0.0, X[16]
    return X


def tile(problem, x, r: slice, z, c: slice, on_diagonal: bool = False, **options) -> np.ndarray:
    out = empty(problem, len(range(N)[r]), len(range(N)[c]))
    FUSED.tile(problem, x, r, z, c, on_diagonal, out, **options)
    return out


@each
@BOTH
def test_cut_anywhere(name, dtype):
    problem = problem_of(IMAGES[name][0], SHAPE, dtype)
    x, z = (prepared(FUSED, problem, many(seed)) for seed in (0, 1))
    whole = tile(problem, x, EVERY, z, EVERY)
    for k, n in enumerate(SIZES):
        r, c = slice(9 * k, 9 * k + n), slice(5 * k + 1, 5 * k + 1 + SIZES[-1 - k])
        np.testing.assert_array_equal(tile(problem, x, r, z, c), whole[:, r, c])


@each
@BOTH
def test_on_the_diagonal(name, dtype):
    problem, X = problem_of(IMAGES[name][0], SHAPE, dtype), many()
    x, above = prepared(FUSED, problem, X), np.triu_indices(N, 1)
    gram, cross = (tile(problem, x, EVERY, x, EVERY, square) for square in (True, False))
    np.testing.assert_array_equal(gram, gram.swapaxes(1, 2))
    np.testing.assert_array_equal(gram[:, *above], cross[:, *above])
    np.testing.assert_array_equal(gram.diagonal(0, 1, 2), diagonal(FUSED, problem, X))
    for r in [slice(k, k + n) for k, n in enumerate(SIZES)]:
        np.testing.assert_array_equal(tile(problem, x, r, x, r, True), gram[:, r, r])


@each
@BOTH
def test_diagonals_cut_anywhere(name, dtype):
    problem, X = problem_of(IMAGES[name][0], SHAPE, dtype), many()
    whole = diagonal(FUSED, problem, X)
    for k, n in enumerate(SIZES):
        np.testing.assert_array_equal(diagonal(FUSED, problem, X[k : k + n]), whole[:, k : k + n])


@pytest.mark.parametrize("name", ["depth 3", "residual", "kinks", "gelu", "depth 0"])
@BOTH
def test_rows_cut_anywhere(name, dtype):
    problem, X = problem_of(DENSE[name], (24,), dtype), many().reshape(N, -1)
    x, bound = prepared(FUSED, problem, X), 1e-13 if dtype is DOUBLE else 2e-6
    gram = tile(problem, x, EVERY, x, EVERY, True)
    np.testing.assert_array_equal(gram, gram.swapaxes(1, 2))
    np.testing.assert_array_equal(gram.diagonal(0, 1, 2), diagonal(FUSED, problem, X))
    for k, n in enumerate(SIZES):
        r, c = slice(9 * k, 9 * k + n), slice(5 * k + 1, 5 * k + 1 + SIZES[-1 - k])
        assert relative_error(tile(problem, x, r, x, c), gram[:, r, c]) < bound
        assert relative_error(tile(problem, x, r, x, r, True), gram[:, r, r]) < bound


@each
def test_the_order_does_not_matter(name):
    problem, X = problem_of(IMAGES[name][0], SHAPE), many()
    order = np.random.default_rng(0).permutation(N)
    found, expected = matrix(FUSED, problem, X[order]), matrix(FUSED, problem, X)
    assert relative_error(found, expected[:, order][:, :, order]) < 1e-13


def test_equal_images_are_equal():
    problem, X = problem_of(IMAGES["pool"][0], SHAPE), many()
    gram, copy = matrix(FUSED, problem, X), matrix(FUSED, problem, X, X.copy())
    assert relative_error(copy, gram) < 1e-14


@pytest.mark.parametrize("name", ["pool", "odd, flat", "relu behind a mean"])
def test_threads(name):
    problem = problem_of(IMAGES[name][0], SHAPE)
    x = prepared(FUSED, problem, many())
    places = [(slice(0, 40), slice(k, 123)) for k in (40, 41, 60)]
    expected, found = [tile(problem, x, r, x, c) for r, c in places], {}

    def fill(k: int) -> None:
        for _ in range(3):
            found[k] = tile(problem, x, places[k][0], x, places[k][1])

    threads = [threading.Thread(target=fill, args=(k,)) for k in range(len(places))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, values in enumerate(expected):
        np.testing.assert_array_equal(found[k], values)


def test_halted_before_it_began():
    halt, X = np.ones(1, dtype=np.uint8), np.ones((16, 1, 48, 48))
    problem = problem_of(Convolutional(head="flatten").build(), (1, 48, 48))
    x = prepared(FUSED, problem, X)
    out = empty(problem, 16, 16)
    FUSED.tile(problem, x, slice(0, 16), x, slice(0, 16), False, out, halt)
    assert not out.any()  # nothing was summed up


def test_halted_on_the_way():
    halt, X = (
        np.zeros(1, dtype=np.uint8),
        np.random.default_rng(0).standard_normal((256, 1, 64, 64)),
    )
    problem = problem_of(Convolutional().build(), (1, 64, 64))
    x = prepared(FUSED, problem, X)
    arguments = (problem, x, slice(0, 256), x, slice(0, 256), False, empty(problem, 256, 256), halt)
    work = threading.Thread(target=FUSED.tile, args=arguments, daemon=True)
    work.start()
    work.join(0.2)
    assert work.is_alive()
    halt[0] = 1
    work.join(60)  # the whole tile would take an hour
    assert not work.is_alive()


MEASURED = {
    "myrtle": (Myrtle(5).build(), (3, 32, 32)),
    "flat": (Convolutional(head="flatten").build(), (3, 32, 32)),
    "circular": (Convolutional(2, strides=2, padding="circular").build(), (1, 15, 15)),
    "heads": (IMAGES["layers behind a sum"][0], (2, 12, 12)),
    "series": (IMAGES["silu, strides"][0], (2, 12, 12)),
}


@pytest.mark.parametrize("network, shape", MEASURED.values(), ids=list(MEASURED))
@pytest.mark.parametrize("n", [2, 16, 64])
def test_memory(network, shape, n):
    if n > 16 and network is MEASURED["myrtle"][0]:
        pytest.skip("takes long")
    problem = problem_of(network, shape, SINGLE)
    X = np.random.default_rng(0).standard_normal((n, *shape)).astype(np.float32)
    x, out, few = prepared(FUSED, problem, X), empty(problem, n, n), slice(0, 1)
    FUSED.tile(problem, x, few, x, few, False, out[:, :1, :1])
    tracemalloc.start()
    FUSED.tile(problem, x, slice(0, n), x, slice(0, n), True, out)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    per_pair, per_input = FUSED.workspace(problem)
    assert used <= n * n * per_pair + n * per_input + FUSED.tile_overhead(problem)


# Compiled code without checks of bounds.


@pytest.mark.parametrize("name", list(IMAGES))
def test_nothing_is_read_before_it_is_written(name, monkeypatch):
    network, shape = IMAGES[name]
    problem, X = problem_of(network, shape), pictures(shape)
    expected, diagonals = matrix(FUSED, problem, X), diagonal(FUSED, problem, X)
    workspace = own.workspace

    def poisoned(tables, dtype):
        numbers, integers = workspace(tables, dtype)
        numbers.fill(np.nan)
        integers.fill(2**40)
        return numbers, integers

    for module in (images, own):
        monkeypatch.setattr(module, "workspace", poisoned)
    np.testing.assert_array_equal(matrix(FUSED, problem, X), expected)
    np.testing.assert_array_equal(diagonal(FUSED, problem, X), diagonals)


@pytest.mark.parametrize("name", list(IMAGES))
def test_nothing_beside_the_arrays_is_touched(name, monkeypatch):
    network, shape = IMAGES[name]
    problem, X = problem_of(network, shape), pictures(shape)
    expected, diagonals = matrix(FUSED, problem, X), diagonal(FUSED, problem, X)
    for module, function in ((images, "run"), (own, "run"), (flat_plan, "run_flat")):
        monkeypatch.setattr(module, function, Guarded(getattr(module, function)))
    np.testing.assert_array_equal(matrix(FUSED, problem, X), expected)
    np.testing.assert_array_equal(diagonal(FUSED, problem, X), diagonals)
    assert images.run.n_calls + own.run.n_calls >= 2


@pytest.mark.parametrize("name", list(DENSE))
def test_nothing_beside_rows_is_touched(name, monkeypatch):
    problem, X = problem_of(DENSE[name], (5,)), np.tile(rows(5), (60, 1))[:530]
    expected = matrix(FUSED, problem, X, X[:3]), matrix(FUSED, problem, X[:3], X)
    monkeypatch.setattr(flat_plan, "run_flat", Guarded(flat_plan.run_flat))
    np.testing.assert_array_equal(matrix(FUSED, problem, X, X[:3]), expected[0])
    np.testing.assert_array_equal(matrix(FUSED, problem, X[:3], X), expected[1])


def test_who_touches_is_noticed():
    def beside(values, number):
        frame = np.lib.stride_tricks.as_strided(values, (len(values) + 1,), values.strides)
        frame[-1] = number

    with pytest.raises(AssertionError):
        Guarded(beside)(np.zeros(3), 1.0)
