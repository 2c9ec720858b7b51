"""Filling a matrix tile by tile. Knows no networks: it receives functions that fill a tile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .threads import Progress, Threads, run
from .tiles import Tile, n_tiles, pieces, tiles

TileFunction = Callable[[Tile, Any], None]
DiagonalFunction = Callable[[slice, np.ndarray], None]


def compute_matrix(
    fill: TileFunction,
    out: Any,
    side: int,
    symmetric: bool,
    progress: Progress | None = None,
    threads: Threads | None = None,
) -> Any:
    """Fill `out` (n_outputs, n, m) by tiles; a Gram computes its upper triangle and mirrors it.

    Every entry is written by one tile, and the tiles depend on nothing but `side`: the same numbers
    come out for any number of threads.

    Parameters
    ----------
    fill : callable
        ``fill(tile, view)`` writes the entries of a tile into a view of `out`.
    out : ndarray or Tensor, (n_outputs, n, m)
        Of undefined content where the computation is ended by an error or an interrupt.
    side : int
        Largest side of a tile.
    symmetric : bool
        Whether rows and columns are the same inputs.
    progress : callable, optional
        ``progress(done, total)`` is called with 0 before the first tile and after each tile, by the
        calling thread. What it returns is ignored, what it raises ends the computation.
    threads : Threads, optional
        Run several tiles at once, each in one thread. None is one after another in the calling
        thread.
    """
    _, n, m = out.shape

    def do(tile: Tile) -> None:
        fill(tile, out[:, tile.rows, tile.cols])
        if symmetric and not tile.on_diagonal:
            out[:, tile.cols, tile.rows] = out[:, tile.rows, tile.cols].swapaxes(1, 2)

    run(tiles(n, m, side, symmetric), do, n_tiles(n, m, side, symmetric), progress, threads)
    return out


def compute_diagonal(
    fill: DiagonalFunction, out: np.ndarray, size: int, threads: Threads | None = None
) -> np.ndarray:
    """Fill `out` (n_outputs, n) by pieces of at most `size` rows."""
    n = out.shape[1]

    def do(rows: slice) -> None:
        fill(rows, out[:, rows])

    run(pieces(n, size), do, n_tiles(n, 1, size, symmetric=False), threads=threads)
    return out
