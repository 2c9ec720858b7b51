"""How the engine's functions are compiled, and kept on disk."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from numba import njit

_LOG = logging.getLogger("ntk_sklearn")
_INTERNAL = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}

# For functions that only compiled functions call: without what Python would call them by.
compiled = njit(nogil=True, **_INTERNAL)
# The same, copied to wherever they are called.
inlined = njit(nogil=True, forceinline=True, **_INTERNAL)


class Entry:
    """A compiled function that Python calls.

    What was compiled is kept on disk, and used again as long as no source of the engine changes.
    Compilation takes seconds, which are told once.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        try:
            self._call = njit(nogil=True, error_model="numpy", cache=True)(function)
            _depend_on_all_sources(self._call)
        except RuntimeError:  # there is no folder to write to
            self._call = njit(nogil=True, error_model="numpy")(function)
        self._n_compiled = 0

    def __call__(self, *args: Any) -> Any:
        """Compile what is new, and run."""
        start = perf_counter()
        found = self._call(*args)
        n_compiled = sum(self._call.stats.cache_misses.values())
        if n_compiled > self._n_compiled:
            self._n_compiled = n_compiled
            where = self._call.stats.cache_path
            _LOG.warning(
                "compiled a part of the engine for this processor in %.0f s; it is kept in %s, so "
                "that this happens once",
                perf_counter() - start,
                where,
            )
        return found


def _depend_on_all_sources(dispatcher: Any) -> None:
    """Make numba forget what it kept if any file of this folder changes.

    It looks at the file of the function alone, and not at those of the functions it calls.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()
    index = dispatcher._cache._cache_file
    index._source_stamp = (index._source_stamp, digest)
