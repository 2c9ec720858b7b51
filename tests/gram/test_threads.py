"""Tiles in threads: the same bits, nobody left behind, no more threads than allowed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from joblib import Parallel, delayed
from threadpoolctl import threadpool_info, threadpool_limits

from ntk_sklearn.gram import Threads, Tile, compute_diagonal, compute_matrix

SIDE = 7
SIZES = (0, 1, SIDE - 1, SIDE + 1, 61)
COUNTS = (1, 2, 5)
rng = np.random.default_rng(0)
ROWS, COLUMNS = rng.normal(size=(2, 61, 40))
PATIENCE = 60.0  # seconds after which a test has failed


class Count:
    """How many are inside at once, now and at most."""

    def __init__(self):
        self.now = self.most = 0
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        yield
        with self._lock:
            self.now -= 1


def products(left, right):
    """A tile function whose last bits depend on the shapes of the tiles."""

    def fill(tile: Tile, view: np.ndarray) -> None:
        view[0] = left[tile.rows] @ right[tile.cols].T

    return fill


@pytest.mark.parametrize("n_threads", COUNTS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("m", [*SIZES, None])
def test_same_bits_for_any_number_of_threads(n, m, n_threads):
    left, right = ROWS[:n], ROWS[:n] if m is None else COLUMNS[:m]
    shape, fill = (1, n, len(right)), products(left, right)
    # threads have BLAS to themselves, and the first matrix should
    with threadpool_limits(1, "blas"):
        expected = compute_matrix(fill, np.full(shape, np.nan), SIDE, m is None)
    found = np.full(shape, np.nan)
    threads = Threads(n_threads, n_threads)
    assert compute_matrix(fill, found, SIDE, m is None, threads=threads) is found
    np.testing.assert_array_equal(found, expected)
    assert not np.isnan(found).any()


@pytest.mark.parametrize("n_threads", COUNTS)
@pytest.mark.parametrize("n", SIZES)
def test_diagonals(n, n_threads):
    def fill(rows, view):
        view[...] = np.arange(n)[rows]

    out = np.full((2, n), np.nan)
    compute_diagonal(fill, out, SIDE, Threads(n_threads, n_threads))
    np.testing.assert_array_equal(out, [np.arange(n)] * 2)


@pytest.mark.parametrize("n_threads", [2, 5])
def test_tiles_do_run_at_once(n_threads):
    together = threading.Barrier(n_threads)

    def fill(tile, view):
        together.wait(PATIENCE)

    compute_matrix(fill, np.empty((1, 4, 5)), 1, False, threads=Threads(n_threads, n_threads))


@pytest.mark.parametrize("workers, at_once", [(5, 1), (5, 2), (2, 5), (1, 1)])
def test_no_more_at_once_than_allowed(workers, at_once):
    inside, pause = Count(), threading.Event()

    def fill(tile, view):
        with inside():
            pause.wait(0.002)

    compute_matrix(fill, np.empty((1, 8, 8)), 1, False, threads=Threads(workers, at_once))
    assert inside.most == min(workers, at_once)


def test_threads_that_compute_share_one_pool():
    inside, pause, before = Count(), threading.Event(), threading.active_count()

    def compute(k):
        def fill(tile, view):
            with inside():
                view[...] = k
                pause.wait(0.001)

        return compute_matrix(fill, np.empty((1, 6, 6)), 2, False, threads=Threads(2, 2))

    found = Parallel(n_jobs=4, backend="threading")(delayed(compute)(k) for k in range(12))
    assert [np.unique(out).tolist() for out in found] == [[k] for k in range(12)]
    assert inside.most == 2
    assert threading.active_count() <= before + 4 + 2


def test_computations_take_turns():
    """A small matrix does not wait for the end of a large one."""
    begun, hurry, done = threading.Event(), threading.Event(), []

    def fill(tile, view):
        begun.set()
        hurry.wait(0.002)

    def report(*tiles):
        done.append(tiles)

    arguments = (fill, np.empty((1, 1000, 1)), 1, False, report, Threads(2, 2))
    large = threading.Thread(target=compute_matrix, args=arguments)
    large.start()
    assert begun.wait(PATIENCE)
    compute_matrix(lambda *_: None, np.empty((1, 9, 1)), 1, False, threads=Threads(2, 2))
    assert (1000, 1000) not in done
    hurry.set()
    large.join(PATIENCE)
    assert done[-1] == (1000, 1000)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_tiles_may_compute_matrices_themselves(n_threads):
    def fill(tile, view):
        inner = np.empty((1, 3, 3))
        compute_matrix(lambda t, v: v.fill(7.0), inner, 1, True, threads=Threads(2, 2))
        view[...] = inner.sum()

    out = np.empty((1, 5, 5))
    compute_matrix(fill, out, 2, True, threads=Threads(n_threads, n_threads))
    assert (out == 63.0).all()


@pytest.mark.parametrize("n_threads, where", [(1, "here"), (2, "in the pool")])
def test_the_only_worker_works_where_it_is_unless_it_hears_interrupts(n_threads, where):
    seen = set()

    def compute():
        me = threading.current_thread()
        threads = Threads(n_threads, n_threads)

        def fill(tile, view):
            seen.add("here" if threading.current_thread() is me else "in the pool")

        compute_matrix(fill, np.empty((1, 5, 5)), 2, True, threads=threads)
        return seen.copy()

    with ThreadPoolExecutor(1) as other:
        assert other.submit(compute).result() == {where}
    seen.clear()
    assert compute() == {"in the pool"}


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_blas_has_one_thread_while_tiles_run_and_its_own_number_after():
    inside = []

    def fill(tile, view):
        inside.append(blas_threads())

    def outer(tile, view):
        # the inner computation ends first and must not restore what the outer one needs
        compute_matrix(fill, np.empty((1, 1, 1)), 1, True, threads=Threads(2, 2))
        fill(tile, view)

    with threadpool_limits(2, "blas"):
        for n_threads in (1, 2):
            threads = Threads(n_threads, n_threads)
            compute_matrix(outer, np.empty((1, 3, 3)), 1, True, threads=threads)
            assert blas_threads() == {2}
    assert inside == [{1}] * 24


def test_blas_is_restored_by_the_last_of_several():
    started, finish = threading.Event(), threading.Event()

    def slow(tile, view):
        started.set()
        assert finish.wait(PATIENCE)

    arguments = (slow, np.empty((1, 1, 1)), 1, True, None, Threads(2, 2))
    with threadpool_limits(2, "blas"):
        other = threading.Thread(target=compute_matrix, args=arguments)
        other.start()
        assert started.wait(PATIENCE)
        compute_matrix(lambda *_: None, np.empty((1, 3, 3)), 1, True, threads=Threads(2, 2))
        assert blas_threads() == {1}
        finish.set()
        other.join(PATIENCE)
        assert blas_threads() == {2}


def test_tiles_see_the_context_of_the_caller():
    states = []
    with np.errstate(divide="raise"):
        compute_matrix(
            lambda *_: states.append(np.geterr()["divide"]),
            np.empty((1, 3, 3)), 1, False, threads=Threads(2, 2),
        )  # fmt: skip
    assert set(states) == {"raise"}
