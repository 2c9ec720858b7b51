"""Budgets: what strings mean, what is refused before it is allocated, how large tiles are."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn import config_context

from ntk_sklearn._validation import parse_budget
from ntk_sklearn.gram import (
    concurrent_side,
    memory,
    n_tiles,
    tile_bytes,
    tile_side,
    workspace_budget,
)
from ntk_sklearn.gram.memory import LANES, MOST_AT_ONCE, TILES_PER_THREAD, available_memory

FLOAT = np.dtype("float64")


@pytest.mark.parametrize(
    "budget, n_bytes",
    [
        (None, None),
        (1000, 1000),
        (1e9, 10**9),
        (1e16, 10**16),
        (np.int64(5), 5),
        (np.float64(2.0**31), 2**31),
        ("100", 100),
        ("100B", 100),
        ("1KB", 2**10),
        ("1.5MB", 3 * 2**19),
        (" 2 gb ", 2**31),
        (".5TB", 2**39),
        ("1e3", 1000),
    ],
)
def test_budgets(budget, n_bytes):
    found = parse_budget(budget)
    assert found == n_bytes
    assert found is None or type(found) is int


BAD = (
    0,
    -1,
    "0GB",
    "-1GB",
    True,
    "GB",
    "",
    "two",
    "2 GiB",
    "1..5GB",
    ".",
    "1,5GB",
    np.nan,
    np.inf,
    [1],
)


@pytest.mark.parametrize("budget", BAD)
def test_what_is_not_a_budget(budget):
    with pytest.raises(
        ValueError, match="memory_budget must be a positive number of bytes or a st"
    ):
        parse_budget(budget)


def test_budget_covers_the_matrix_and_the_work():
    assert workspace_budget((2, 100, 50), FLOAT, 100_000) == 100_000 - 80_000
    assert workspace_budget((2, 100, 50), np.dtype("float32"), 100_000) == 100_000 - 40_000


@pytest.mark.parametrize("working_memory", [1, 1024])
def test_without_a_budget_the_work_takes_the_working_memory_of_scikit_learn(working_memory):
    with config_context(working_memory=working_memory):
        assert workspace_budget((1, 10, 10), FLOAT, None) == working_memory * 2**20


@pytest.mark.parametrize("dtype, gigabytes", [("float64", "14.9"), ("float32", "7.451")])
def test_refused_by_the_budget_with_its_size(dtype, gigabytes):
    shape = (2, 50_000, 20_000)
    message = (
        rf"2 x 50000 x 20000 entries in {dtype} takes {gigabytes} GB, and only 1 GB are allowed"
    )
    with pytest.raises(MemoryError, match=message + r" by memory_budget.*fewer rows.*Nystroem"):
        workspace_budget(shape, np.dtype(dtype), 2**30)


def test_refused_by_what_is_available(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 2**30)
    assert workspace_budget((1, 11_000, 11_000), FLOAT, None) > 0
    with pytest.raises(MemoryError, match=r"takes 1\.073 GB, and only 1 GB memory is available"):
        workspace_budget((1, 12_000, 12_000), FLOAT, None)


def test_refused_before_anything_is_allocated():
    tracemalloc.start()
    with pytest.raises(MemoryError, match=r"takes 7\.451e\+12 GB"):
        workspace_budget((1, 10**9, 10**12), FLOAT, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_available_memory_is_plausible():
    assert 2**20 < available_memory() < 2**60


@pytest.mark.parametrize("per_pair, per_input", [(8, 0), (100, 1000), (10**6, 0), (1, 10**6)])
@pytest.mark.parametrize("best", [1, 7, 64, 1000])
@pytest.mark.parametrize("workspace", [2 * 10**6, 10**7, 10**12])
def test_tiles_fit_into_the_workspace(per_pair, per_input, best, workspace):
    side = tile_side(per_pair, per_input, best, workspace)
    assert 1 <= side <= best
    assert side**2 * per_pair + side * per_input <= workspace
    larger = 2 * side + 1
    assert side == best or larger**2 * per_pair + larger * per_input > workspace


def test_a_pair_that_does_not_fit_is_refused():
    with pytest.raises(MemoryError, match=r"one pair of inputs takes 3 MB .* and 2 MB are allowed"):
        tile_side(2**20, 2**21, 100, 2**21)


def test_what_is_kept_of_the_rows_counts():
    assert workspace_budget((2, 100, 50), FLOAT, 100_000, kept=9_000) == 100_000 - 89_000
    with pytest.raises(MemoryError, match=r"takes 1\.49 GB, what is kept of the rows 0\.9313 GB, "):
        workspace_budget((2, 10_000, 10_000), FLOAT, 2 * 10**9, kept=10**9)


def test_files_and_arrays_that_exist_do_not_count(monkeypatch):
    shape = (1, 10**6, 10**6)
    assert workspace_budget(shape, FLOAT, 1000, kept=10, matrix_counts=False) == 990
    monkeypatch.setattr(memory, "available_memory", lambda: 2**30)
    with config_context(working_memory=3):
        assert workspace_budget(shape, FLOAT, None, matrix_counts=False) == 3 * 2**20
    with pytest.raises(MemoryError, match=r"kept of the rows for .* 1000000 entries .* 2 GB, and "):
        workspace_budget(shape, FLOAT, None, kept=2**31, matrix_counts=False)


def side_of(n=10**6, best=512, least=512, per_pair=100, per_input=0, workspace=2**40):
    return concurrent_side(
        per_pair, per_input, best, least, workspace, lambda side: n_tiles(n, n, side, True)
    )


@pytest.mark.parametrize("best", [1, 7, 16, 17, 40, 64, 500, 512])
@pytest.mark.parametrize("per_pair, per_input", [(8, 0), (100, 1000), (10**6, 0), (1, 10**6)])
@pytest.mark.parametrize("workspace", [2 * 10**6, 10**8, 10**12])
def test_concurrent_tiles_fit_so_many_times(best, per_pair, per_input, workspace):
    side = side_of(10**6, best, best, per_pair, per_input, workspace)
    assert 1 <= side <= best
    assert side <= LANES or side % LANES == 0
    used = tile_bytes(per_pair, per_input, side)
    assert used <= workspace // (MOST_AT_ONCE if side > LANES else 1)


def test_concurrent_tiles_are_the_best_where_they_fit():
    assert side_of() == 512
    assert side_of(best=500) == 496
    assert side_of(best=9) == 9
    assert side_of(per_pair=2**22, workspace=2**34) == 16  # four fit where 16 should
    assert side_of(per_pair=2**26, workspace=2**34) == 16  # one fits
    assert side_of(per_pair=2**27, workspace=2**34) == 8


@pytest.mark.parametrize("least", [1, 16, 24, 100, 512])
@pytest.mark.parametrize("n", [0, 1, 100, 1000, 3000])
def test_small_matrices_are_cut_for_all_threads(n, least):
    side = side_of(n, least=least)
    assert side >= least
    enough = n_tiles(n, n, side, True) >= TILES_PER_THREAD * MOST_AT_ONCE
    half = side // 2 - (side // 2 % LANES if side // 2 > LANES else 0)
    assert enough or half < least


def test_a_pair_that_does_not_fit_is_refused_for_threads_too():
    with pytest.raises(MemoryError, match=r"one pair of inputs takes 3 MB .* and 2 MB are allowed"):
        side_of(best=64, per_pair=2**20, per_input=2**21, workspace=2**21)
