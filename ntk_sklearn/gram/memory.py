"""Memory budgets: how large a tile may be, and matrices that cannot fit."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn import get_config

# Tiles that may run at once, of which the workspace is the memory: a constant, so that tiles, and
# with them the last bits of a matrix, do not depend on the number of threads.
MOST_AT_ONCE = 16
# Tiles for each of so many threads, for them to end at about the same time.
TILES_PER_THREAD = 4
# Columns that engines put side by side in a vector.
LANES = 16


def available_memory() -> int:
    """Bytes of memory that can be taken without swapping, as far as the system tells."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        lines = dict(line.split(":", 1) for line in text.splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def workspace_budget(
    shape: tuple[int, ...],
    dtype: np.dtype,
    budget: int | None,
    *,
    kept: int = 0,
    matrix_counts: bool = True,
) -> int:
    """Bytes left for the work on a matrix of the given shape, after the matrix itself.

    Without a budget the matrix must fit into the memory that is available, and the work takes
    scikit-learn's `working_memory`. A budget covers both.

    Parameters
    ----------
    shape, dtype
        Of the matrix, or of a stack of them.
    budget : int or None
    kept : int, default=0
        Bytes that exist beside the matrix for the whole of the work.
    matrix_counts : bool, default=True
        False if the matrix takes no memory that is to be had: it is a file, or exists already.

    Raises
    ------
    MemoryError
        Before anything is allocated, with the size and the remedies.
    """
    matrix = int(np.prod([float(s) for s in shape])) * dtype.itemsize
    needed = matrix * matrix_counts + kept
    limit = available_memory() if budget is None else budget
    if needed >= limit:
        what = "memory is available" if budget is None else "are allowed by memory_budget"
        raise MemoryError(
            f"{_told(shape, dtype, matrix, kept, matrix_counts)}, and only {limit / 2**30:.4g} GB "
            f"{what}: use fewer rows, dtype='float32', a larger memory_budget, "
            + "a numpy.memmap as out of the kernel's matrix(), " * matrix_counts
            + "or an approximation such as sklearn.kernel_approximation.Nystroem"
        )
    if budget is None:
        return int(get_config()["working_memory"] * 2**20)
    return budget - needed


def _told(
    shape: tuple[int, ...], dtype: np.dtype, matrix: int, kept: int, matrix_counts: bool
) -> str:
    """What does not fit, in gigabytes."""
    what = f"a kernel matrix of {' x '.join(map(str, shape))} entries in {dtype.name}"
    if not matrix_counts:
        return f"what is kept of the rows for {what} takes {kept / 2**30:.4g} GB"
    rows = f", what is kept of the rows {kept / 2**30:.4g} GB" if kept else ""
    return f"{what} takes {matrix / 2**30:.4g} GB{rows}"


def tile_side(per_pair: int, per_input: int, best: int, workspace: int, per_tile: int = 0) -> int:
    """The side of a square tile: the evaluator's best one, or what fits into the workspace.

    Raises
    ------
    MemoryError
        If not even a single pair fits.
    """
    side = best
    while side > 1 and tile_bytes(per_pair, per_input, side, per_tile) > workspace:
        side = max(1, side // 2)
    least = tile_bytes(per_pair, per_input, 1, per_tile)
    if least > workspace:
        raise MemoryError(
            f"one pair of inputs takes {least / 2**20:.4g} MB of working memory "
            f"and {workspace / 2**20:.4g} MB are allowed: raise memory_budget, or "
            "sklearn.set_config(working_memory=...)"
        )
    return side


def concurrent_side(
    per_pair: int,
    per_input: int,
    best: int,
    least: int,
    workspace: int,
    n_tiles_of: Callable[[int], int],
    per_tile: int = 0,
) -> int:
    """The side of tiles of which several run at once; the same for any number of threads.

    The evaluator's best one, halved until `MOST_AT_ONCE` tiles fit into the workspace and, down to
    `least`, until there are enough of them for as many threads. Sides above `LANES` are multiples
    of it: vectors of so many columns are filled. Below it a tile may take the whole workspace.

    Parameters
    ----------
    per_pair, per_input : int
        Bytes of the work on a tile.
    best, least : int
        Sides at which tiles are fastest, and below which they become slower.
    workspace : int
        Bytes for all tiles that run.
    n_tiles_of : callable
        How many tiles of a side there are.
    per_tile : int
        Bytes of the work on a tile of any size.

    Raises
    ------
    MemoryError
        If not even a single pair fits.
    """
    side, share = _aligned(best), workspace // MOST_AT_ONCE
    while side > LANES and tile_bytes(per_pair, per_input, side, per_tile) > share:
        side = _aligned(side // 2)
    few = TILES_PER_THREAD * MOST_AT_ONCE
    while least <= _aligned(side // 2) < side and n_tiles_of(side) < few:
        side = _aligned(side // 2)
    return tile_side(per_pair, per_input, side, workspace, per_tile)


def _aligned(side: int) -> int:
    return side - side % LANES if side > LANES else max(side, 1)


def tile_bytes(per_pair: int, per_input: int, side: int, per_tile: int = 0) -> int:
    """Bytes of the work on a square tile."""
    return side * side * per_pair + side * per_input + per_tile
