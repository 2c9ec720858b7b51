"""Memory budgets: how large a tile may be, and matrices that cannot fit."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from sklearn import get_config

_UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"


def parse_budget(memory_budget: int | float | str | None) -> int | None:
    """A budget in bytes from a number of bytes or a string such as "2GB"; None stays None.

    Raises
    ------
    ValueError
        If it is not positive or not understood.
    """
    if memory_budget is None:
        return None
    found = re.fullmatch(rf"\s*({_NUMBER})\s*([KMGT]?B|)\s*", str(memory_budget), re.IGNORECASE)
    if isinstance(memory_budget, bool) or found is None or float(found[1]) <= 0:
        raise ValueError(
            f"memory_budget must be a positive number of bytes or a string like '2GB', got "
            f"{memory_budget!r}"
        )
    return int(float(found[1]) * _UNITS[found[2].upper()])


def available_memory() -> int:
    """Bytes of memory that can be taken without swapping, as far as the system tells."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        lines = dict(line.split(":", 1) for line in text.splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def workspace_budget(shape: tuple[int, ...], dtype: np.dtype, budget: int | None) -> int:
    """Bytes left for the work on a matrix of the given shape, after the matrix itself.

    Without a budget the matrix must fit into the memory that is available, and the work takes
    scikit-learn's `working_memory`. A budget covers both.

    Raises
    ------
    MemoryError
        Before anything is allocated, with the size and the remedies.
    """
    needed = int(np.prod([float(s) for s in shape])) * dtype.itemsize
    limit = available_memory() if budget is None else budget
    if needed >= limit:
        size = " x ".join(map(str, shape))
        what = "memory is available" if budget is None else "are allowed by memory_budget"
        raise MemoryError(
            f"a kernel matrix of {size} entries in {dtype.name} takes {needed / 2**30:.4g} GB, and "
            f"only {limit / 2**30:.4g} GB {what}: use fewer rows, dtype='float32', a larger "
            "memory_budget, or an approximation such as sklearn.kernel_approximation.Nystroem"
        )
    if budget is None:
        return int(get_config()["working_memory"] * 2**20)
    return budget - needed


def tile_side(per_pair: int, per_input: int, best: int, workspace: int) -> int:
    """The side of a square tile: the evaluator's best one, or what fits into the workspace.

    Raises
    ------
    MemoryError
        If not even a single pair fits.
    """
    side = best
    while side > 1 and side * side * per_pair + side * per_input > workspace:
        side = max(1, side // 2)
    if per_pair + per_input > workspace:
        raise MemoryError(
            f"one pair of inputs takes {(per_pair + per_input) / 2**20:.4g} MB of working memory "
            f"and {workspace / 2**20:.4g} MB are allowed: raise memory_budget, or "
            "sklearn.set_config(working_memory=...)"
        )
    return side
