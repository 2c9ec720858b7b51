"""Pieces of work in threads: one pool of the process, shared by all computations."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import numpy as np

from .blas import single_threaded_blas, single_threaded_openmp

Progress = Callable[[int, int], object]
T = TypeVar("T")

# Seconds between looks at a pending interrupt, where waiting for a lock does not hear it (Windows).
_HEARING = 0.2
# Seconds between looks at tiles that have been told to stop.
_SETTLING = 0.001


@dataclass(frozen=True)
class Threads:
    """How the pieces of one computation share the process's threads.

    Parameters
    ----------
    workers : int
        Threads of the pool: what all computations of the process may take together.
    at_once : int
        Pieces of this computation that may run at once, which memory may limit further.
    halt : ndarray of uint8, (1,)
        Set when the computation has ended, early or not. Work that takes long looks at it, and
        returns.
    """

    workers: int
    at_once: int
    halt: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=np.uint8))


def run(
    work: Iterator[T],
    do: Callable[[T], None],
    total: int,
    progress: Progress | None = None,
    threads: Threads | None = None,
) -> None:
    """Do every piece of the work, in the calling thread or, with `threads`, in those of the pool.

    ``progress(done, total)`` is called by the calling thread, with 0 first and then once per piece.
    What it or a piece raises ends the computation, as does an interrupt: pieces that run are told
    to halt and waited for, no others begin.

    Work in threads has BLAS on one thread. A calling thread which is to be the only worker works
    itself, unless it is the main one: that has to hear interrupts.
    """
    report = progress if progress is not None else _silent
    report(0, total)
    if threads is None:
        _run_here(work, do, total, report)
    elif _is_worker() or (threads.workers == 1 and not _is_main()):
        with _SingleThreaded():
            _run_here(work, do, total, report)
    elif total:
        _run_in_pool(work, do, total, report, threads)


def _silent(done: int, total: int) -> None:
    pass


def _run_here(work: Iterator[T], do: Callable[[T], None], total: int, report: Progress) -> None:
    for done, piece in enumerate(work, start=1):
        do(piece)
        report(done, total)


def _run_in_pool(
    work: Iterator[T], do: Callable[[T], None], total: int, report: Progress, threads: Threads
) -> None:
    computation = _Computation(work, do, threads.halt)
    try:
        computation.start(_shared_pool(threads.workers), min(threads.at_once, total))
        for done in range(1, total + 1):
            computation.wait_for_one()
            report(done, total)
    finally:
        computation.close()


class _SingleThreaded:
    """BLAS on one thread within a block."""

    def __enter__(self) -> None:
        single_threaded_blas.hold(self)

    def __exit__(self, *_: object) -> None:
        single_threaded_blas.release(self)


class _Computation(Generic[T]):
    """Lanes that each take a piece, do it, and queue up in the pool again.

    So the pieces that are known to the pool are few, computations from several threads take turns,
    and what the calling thread does between reports keeps nobody waiting.
    """

    def __init__(self, work: Iterator[T], do: Callable[[T], None], halt: np.ndarray) -> None:
        self._work, self._do, self._halt = work, do, halt
        self._lock = threading.Lock()
        self._closed, self._running = False, 0
        self._reports: SimpleQueue[BaseException | None] = SimpleQueue()

    def start(self, pool: ThreadPoolExecutor, n_lanes: int) -> None:
        """Let so many lanes queue up; each sees the caller's context variables."""
        for _ in range(n_lanes):
            pool.submit(self._lane, pool, contextvars.copy_context())

    def wait_for_one(self) -> None:
        """Return when another piece is done; raise what it raised."""
        while True:
            try:
                error = self._reports.get(timeout=_HEARING)
            except Empty:
                continue
            break
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback holds this frame

    def close(self) -> None:
        """Stop, and return when no piece is running any more, however often one interrupts."""
        interrupt = None
        while True:
            try:
                self._stop()
                while self._running:
                    time.sleep(_SETTLING)
                single_threaded_blas.release(self)
                break
            except KeyboardInterrupt as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def _stop(self) -> None:
        with self._lock:
            self._closed = True
        self._halt[0] = 1

    def _lane(self, pool: ThreadPoolExecutor, context: contextvars.Context) -> None:
        with self._lock:
            piece = None if self._closed else next(self._work, None)
            if piece is None:
                return
            self._running += 1
        try:
            _become_worker()
            single_threaded_blas.hold(self)
            context.run(self._do, piece)
            self._reports.put(None)
        except BaseException as error:  # the calling thread raises it, and hears of no piece halted
            self._reports.put(error)
            self._stop()
        finally:
            with self._lock:
                self._running -= 1
        pool.submit(self._lane, pool, context)


_here = threading.local()
_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_size = 0


def _is_worker() -> bool:
    return getattr(_here, "is_worker", False)


def _become_worker() -> None:
    """Make ready a thread of the pool, the first time it works."""
    if not _is_worker():
        single_threaded_openmp()
        _here.is_worker = True


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _shared_pool(size: int) -> ThreadPoolExecutor:
    """The pool of the process; one of another size ends when the last computation leaves it."""
    global _pool, _size
    with _lock:
        if _pool is None or _size != size:
            _pool, _size = ThreadPoolExecutor(size, thread_name_prefix="ntk_sklearn"), size
        return _pool


def _forget_pool() -> None:
    """A forked child has none of the threads."""
    global _lock, _pool
    _lock, _pool = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
