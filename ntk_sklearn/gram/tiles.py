"""The grid of tiles of a matrix: any shape, upper triangle only for a Gram."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """A rectangular piece of the matrix; `on_diagonal` for a square piece of a Gram's diagonal."""

    rows: slice
    cols: slice
    on_diagonal: bool = False


def tiles(n: int, m: int, side: int, symmetric: bool) -> Iterator[Tile]:
    """Tiles of at most `side` x `side` that cover the matrix, or the upper triangle of a Gram."""
    for i in range(0, n, side):
        rows = slice(i, min(i + side, n))
        for j in range(i if symmetric else 0, m, side):
            yield Tile(rows, slice(j, min(j + side, m)), symmetric and i == j)


def n_tiles(n: int, m: int, side: int, symmetric: bool) -> int:
    """How many `tiles` there are."""
    rows, cols = -(-n // side), -(-m // side)
    return rows * (rows + 1) // 2 if symmetric else rows * cols


def pieces(n: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size`."""
    for i in range(0, n, size):
        yield slice(i, min(i + size, n))
