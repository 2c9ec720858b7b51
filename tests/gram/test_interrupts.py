"""Errors, interrupts, forks and the end of the process, while tiles run in threads."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from ntk_sklearn.gram import Threads, compute_matrix

PATIENCE = 60.0


class Failure(Exception):
    """Raised by a tile, or by a report."""


def whole(n_threads, threads=None):
    out = np.zeros((1, 9, 9))
    threads = threads or Threads(n_threads, n_threads)
    compute_matrix(lambda tile, view: view.fill(1.0), out, 2, True, threads=threads)
    assert out.min() == 1.0


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_error_of_a_tile_halts_the_others_and_is_raised(n_threads):
    threads, running = Threads(n_threads, n_threads), []
    halted, together = threading.Event(), threading.Barrier(n_threads)

    def fill(tile, view):
        running.append(tile)
        together.wait(PATIENCE)  # all threads have a tile
        if tile.rows.start == 0:
            raise Failure("tile")
        while not threads.halt[0]:
            halted.wait(0.001)
        view[...] = 2.0
        raise Failure("of a tile that nobody wants any more")

    out = np.zeros((1, 99, 1))
    with pytest.raises(Failure, match=r"^tile$"):
        compute_matrix(fill, out, 1, False, threads=threads)
    assert len(running) == n_threads  # no other began
    assert threads.halt[0] == 1
    after = out.copy()
    whole(n_threads)  # the pool works
    np.testing.assert_array_equal(out, after)


@pytest.mark.parametrize("kind", [Failure, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", [0, 1, 5])
@pytest.mark.parametrize("n_threads", [1, 2, None])
def test_what_a_report_raises_ends_the_computation(kind, where, n_threads):
    begun, threads = [], None if n_threads is None else Threads(n_threads, n_threads)

    def progress(done, total):
        if done == where:
            raise kind

    with pytest.raises(kind):
        compute_matrix(
            lambda tile, view: begun.append(tile),
            np.empty((1, 99, 99)),
            1,
            False,
            progress,
            threads,
        )
    count = len(begun)
    whole(n_threads or 1)
    assert len(begun) == count < 99 * 99


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, MemoryError])
def test_any_error_of_a_tile_is_raised(kind):
    def fill(tile, view):
        raise kind("tile")

    with pytest.raises(kind, match="tile"):
        compute_matrix(fill, np.empty((1, 9, 9)), 2, False, threads=Threads(2, 2))


def test_reports_come_in_order_from_the_calling_thread():
    seen, out = [], np.zeros((1, 12, 12))

    def progress(done, total):
        seen.append((done, total, threading.current_thread()))
        assert (out == 1).sum() >= done  # a tile is one entry and its mirror

    compute_matrix(lambda _, view: view.fill(1), out, 1, True, progress, Threads(2, 2))
    me = threading.current_thread()
    assert seen == [(done, 78, me) for done in range(79)]


def run(program, **environment):
    """Run a program; it fails by an exit code, or by taking forever."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + program], env=os.environ | environment, timeout=PATIENCE,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAD = """
import os, signal, threading, time
import numpy as np
from ntk_sklearn.gram import Threads, compute_matrix

def whole():
    out = np.zeros((1, 9, 9))
    compute_matrix(lambda tile, view: view.fill(1.0), out, 2, True, threads=Threads(2, 2))
    assert out.min() == 1.0
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to a thread")
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("again", [False, True])
def test_interrupts_stop_tiles_that_run_and_leave_nothing_behind(n_threads, again):
    threads, inside, pause = Threads(n_threads, n_threads), [], threading.Event()
    interrupt = functools.partial(os.kill, os.getpid(), signal.SIGINT)

    def fill(tile, view):
        inside.append(tile)
        if len(inside) == n_threads:
            interrupt()
        while not threads.halt[0]:  # for hours, unless told
            view += 1.0
            pause.wait(0.001)
        if again:
            interrupt()  # of somebody who cannot wait
        pause.wait(0.05)
        view[...] = -1.0
        inside.remove(tile)

    out = np.zeros((1, 99, 99))
    with pytest.raises(KeyboardInterrupt):
        compute_matrix(fill, out, 5, True, None, threads)
    assert not inside
    after = out.copy()
    assert (after == -1).any()
    whole(n_threads)
    np.testing.assert_array_equal(out, after)


FORKED = """
whole()
child = os.fork()
if child == 0:
    signal.alarm(30)
    whole()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
whole()
"""

FORKED_INSIDE = """
begun, go = threading.Event(), threading.Event()

def fill(tile, view):
    begun.set()
    go.wait()

other = threading.Thread(
    target=compute_matrix, args=(fill, np.empty((1, 9, 9)), 1, False, None, Threads(2, 2))
)
other.start()
begun.wait()
child = os.fork()
if child == 0:
    signal.alarm(30)
    whole()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
go.set()
other.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_children_have_threads_of_their_own():
    # PYTHONWARNINGS: newer Pythons warn of any fork of a process with threads
    run(FORKED + FORKED_INSIDE, PYTHONWARNINGS="ignore")


def test_the_process_ends_while_a_daemon_computes():
    begun = """
begun = threading.Event()

def fill(tile, view):
    begun.set()
    time.sleep(0.01)

arguments = (fill, np.empty((1, 10_000, 1)), 1, False, None, Threads(2, 2))
threading.Thread(target=compute_matrix, args=arguments, daemon=True).start()
begun.wait()
whole()
print("end")
"""
    assert run(begun) == "end\n"
