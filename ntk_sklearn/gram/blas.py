"""BLAS on one thread while tiles run in threads of their own."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Hashable
from typing import Any

import threadpoolctl


class SingleThreadedBlas:
    """Limits BLAS, which is the whole process's, for as long as anybody holds it.

    The first holder sets the limit, the last one restores what was there. Holding twice is holding
    once, and a release may be repeated: it runs where an interrupt may strike.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: set[Hashable] = set()
        self._limits: Any = None

    def hold(self, holder: Hashable) -> None:
        """One thread from here on."""
        with self._lock:
            self._holders.add(holder)
            if self._limits is None:
                _take_control()
                # of BLAS alone: a restoration sets the numbers of all libraries that it knows
                self._limits = _controller().select(user_api="blas").limit(limits=1)

    def release(self, holder: Hashable) -> None:
        """As many threads as before, unless others hold it still."""
        with self._lock:
            self._holders.discard(holder)
            if self._limits is not None and not self._holders:
                _take_control()
                self._limits.restore_original_limits()
                self._limits = None

    def forget(self) -> None:
        """Nobody holds it in a forked child, whose BLAS stays as it was found."""
        self._lock, self._holders, self._limits = threading.Lock(), set(), None


def single_threaded_openmp() -> None:
    """Limit OpenMP in the calling thread for good: some BLAS take their number of threads there."""
    if os.name != "nt":  # Visual C++ has one number for the whole process
        _controller().select(user_api="openmp").limit(limits=1)


@functools.cache
def _controller() -> threadpoolctl.ThreadpoolController:
    """The libraries of the process; looking for them takes milliseconds."""
    return threadpoolctl.ThreadpoolController()


def _take_control() -> None:
    """Let the calling thread set what is the process's.

    threadpoolctl 3.8 lets nobody but the first thread change OpenBLAS, and is silent to the others;
    the last of our holders may be another one.
    """
    openblas = getattr(threadpoolctl, "OpenBLASController", None)
    clear = getattr(openblas, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


single_threaded_blas = SingleThreadedBlas()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=single_threaded_blas.forget)
