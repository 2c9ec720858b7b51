"""Filling a matrix tile by tile. Knows no networks: it receives functions that fill a tile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .tiles import Tile, n_tiles, pieces, tiles

TileFunction = Callable[[Tile, Any], None]
DiagonalFunction = Callable[[slice, np.ndarray], None]
Progress = Callable[[int, int], object]


def compute_matrix(
    fill: TileFunction, out: Any, side: int, symmetric: bool, progress: Progress | None = None
) -> Any:
    """Fill `out` (n_outputs, n, m) by tiles; a Gram computes its upper triangle and mirrors it.

    Parameters
    ----------
    fill : callable
        ``fill(tile, view)`` writes the entries of a tile into a view of `out`.
    out : ndarray or Tensor, (n_outputs, n, m)
    side : int
        Largest side of a tile.
    symmetric : bool
        Whether rows and columns are the same inputs.
    progress : callable, optional
        ``progress(done, total)`` is called with 0 before the first tile and after each tile. What
        it returns is ignored, what it raises ends the computation.
    """
    _, n, m = out.shape
    total = n_tiles(n, m, side, symmetric)
    if progress is not None:
        progress(0, total)
    for done, tile in enumerate(tiles(n, m, side, symmetric), start=1):
        fill(tile, out[:, tile.rows, tile.cols])
        if symmetric and not tile.on_diagonal:
            out[:, tile.cols, tile.rows] = out[:, tile.rows, tile.cols].swapaxes(1, 2)
        if progress is not None:
            progress(done, total)
    return out


def compute_diagonal(fill: DiagonalFunction, out: np.ndarray, size: int) -> np.ndarray:
    """Fill `out` (n_outputs, n) by pieces of at most `size` rows."""
    for rows in pieces(out.shape[1], size):
        fill(rows, out[:, rows])
    return out
