"""Tiles cover every matrix exactly once; nothing here knows networks."""

from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn.gram import Tile, compute_diagonal, compute_matrix, pieces, tiles

SIDE = 7
SIZES = (1, SIDE - 1, SIDE, SIDE + 1, 2 * SIDE, 123)


def numbered(tile: Tile, out: np.ndarray) -> None:
    """Entry (k, i, j) is different for every k and every unordered pair of i and j."""
    i, j = np.ogrid[tile.rows, tile.cols]
    for k, matrix in enumerate(out):
        matrix[...] = 1e6 * k + 1e3 * (i + j) + np.abs(i - j)


def expected(shape: tuple[int, int, int]) -> np.ndarray:
    out = np.empty(shape)
    numbered(Tile(slice(shape[1]), slice(shape[2])), out)
    return out


@pytest.mark.parametrize("m", SIZES)
@pytest.mark.parametrize("n", SIZES)
def test_tiles_cover_every_entry_once(n, m):
    count = np.zeros((n, m), dtype=int)
    for tile in tiles(n, m, SIDE, symmetric=False):
        count[tile.rows, tile.cols] += 1
        assert not tile.on_diagonal
        assert max(count[tile.rows, tile.cols].shape) <= SIDE
    assert (count == 1).all()


@pytest.mark.parametrize("n", SIZES)
def test_tiles_of_a_gram_cover_the_upper_triangle_once(n):
    count = np.zeros((n, n), dtype=int)
    for tile in tiles(n, n, SIDE, symmetric=True):
        count[tile.rows, tile.cols] += 1
        assert tile.on_diagonal == (tile.rows == tile.cols)
        assert tile.rows.start <= tile.cols.start
    assert (np.triu(count) == np.triu(np.ones((n, n)))).all()
    assert count.max() == 1


@pytest.mark.parametrize("side", [1, SIDE, 122, 123, 124, 1000])
@pytest.mark.parametrize("n, m", [(123, 7), (1, 123), (SIDE + 1, SIDE - 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matrix(n, m, side, dtype):
    out = np.full((2, n, m), np.nan, dtype=dtype)
    assert compute_matrix(numbered, out, side, symmetric=False) is out
    np.testing.assert_array_equal(out, expected((2, n, m)).astype(dtype))


@pytest.mark.parametrize("side", [1, SIDE, 122, 123, 124, 1000])
@pytest.mark.parametrize("n", SIZES)
def test_gram_computes_one_triangle_and_mirrors_it(n, side):
    seen = np.zeros((n, n), dtype=int)

    def fill(tile: Tile, out: np.ndarray) -> None:
        seen[tile.rows, tile.cols] += 1
        numbered(tile, out)

    out = np.full((3, n, n), np.nan)
    compute_matrix(fill, out, side, symmetric=True)
    np.testing.assert_array_equal(out, expected((3, n, n)))
    below = np.tril_indices(n, -1)
    blocks = np.arange(n) // side
    off_diagonal = blocks[below[0]] != blocks[below[1]]
    assert not seen[below][off_diagonal].any()


def test_errors_of_a_tile_are_not_swallowed():
    def fill(tile: Tile, out: np.ndarray) -> None:
        raise FloatingPointError("tile")

    with pytest.raises(FloatingPointError, match="tile"):
        compute_matrix(fill, np.empty((1, 3, 3)), SIDE, symmetric=True)


@pytest.mark.parametrize("n", SIZES)
def test_pieces_and_diagonal(n):
    parts = list(pieces(n, SIDE))
    assert [i for part in parts for i in range(n)[part]] == list(range(n))
    assert all(0 < part.stop - part.start <= SIDE for part in parts)

    def fill(rows: slice, out: np.ndarray) -> None:
        out[...] = np.arange(n)[rows] + 1e3 * np.arange(2)[:, None]

    out = compute_diagonal(fill, np.full((2, n), np.nan), SIDE)
    np.testing.assert_array_equal(out, np.arange(n) + 1e3 * np.arange(2)[:, None])


def test_nothing_to_do():
    assert list(tiles(0, 5, SIDE, symmetric=False)) == []
    assert list(pieces(0, SIDE)) == []
