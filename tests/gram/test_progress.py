"""A matrix reports every finished tile, and only when asked."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from tight_budgets import tight_budget

from ntk_sklearn.gram import Threads, compute_matrix, reporting
from ntk_sklearn.gram.tiles import n_tiles, tiles
from ntk_sklearn.kernels import NetworkKernel
from ntk_sklearn.networks import FullyConnected

SIDE = 4
SIZES = (0, 1, SIDE - 1, SIDE, SIDE + 1, 3 * SIDE, 23)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("m, symmetric", [(m, False) for m in SIZES] + [(None, True)])
def test_number_of_tiles(n, m, symmetric):
    m = n if symmetric else m
    assert n_tiles(n, m, SIDE, symmetric) == len(list(tiles(n, m, SIDE, symmetric)))


@pytest.mark.parametrize("shape, symmetric, total", [((2, 9, 9), True, 6), ((1, 9, 5), False, 6)])
def test_report_follows_the_tile(shape, symmetric, total):
    filled, seen = [], []
    out = np.empty(shape)

    def progress(done, of):
        seen.append((done, of, len(filled)))
        return True  # no wish to stop is heard

    compute_matrix(lambda tile, view: filled.append(tile), out, SIDE, symmetric, progress)
    assert seen == [(done, total, done) for done in range(total + 1)]


def test_tile_is_mirrored_when_it_is_reported():
    out = np.zeros((1, 6, 6))

    def fill(tile, view):
        view[...] = 1

    def progress(done, total):
        if done == 2:  # the tile of the upper right corner
            assert (out[0, :SIDE, SIDE:] == 1).all()
            assert (out[0, SIDE:, :SIDE] == 1).all()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_matrix(fill, out, SIDE, True, progress)


@pytest.mark.parametrize("columns, total", [(None, 10), (3, 8)])
def test_kernel_of_a_network_reports_its_tiles(columns, total):
    X = np.random.default_rng(0).standard_normal((8, 3))
    Z = None if columns is None else X[:columns] + 1.0
    network = FullyConnected(depth=1)
    budget = tight_budget(network, None, (1, 8, columns or 8))
    kernel, seen = NetworkKernel(network, backend="reference", memory_budget=budget), []
    found = kernel.matrix(X, Z, progress=lambda *report: seen.append(report))
    assert seen == [(done, total) for done in range(total + 1)]
    np.testing.assert_array_equal(found, kernel.matrix(X, Z))


@pytest.mark.parametrize("progress", [None, False, np.False_])
def test_nobody_hears(progress):
    with reporting(progress, 10) as report:
        assert report is None


def test_callables_are_taken_as_they_are():
    with reporting(print, 10) as report:
        assert report is print


@pytest.mark.parametrize("progress", [1, "bar", []])
def test_what_cannot_be_called_is_refused(progress):
    with (
        pytest.raises(TypeError, match=r"progress must be True, .* callable \(done, total\), got"),
        reporting(progress, 10),
    ):
        pass


@pytest.mark.parametrize("threads", [None, Threads(2, 2)])
def test_a_bar_shows_tiles_speed_and_the_time_left(capsys, threads):
    pytest.importorskip("tqdm")
    with reporting(True, 45) as report:
        compute_matrix(lambda *_: None, np.empty((1, 9, 9)), 3, True, report, threads)
    printed = capsys.readouterr()
    assert printed.out == ""
    last = printed.err.rstrip().rsplit("\r", 1)[-1]
    assert "6/6 [00:0" in last
    assert "pairs/s]" in last


def test_a_bar_is_closed_by_what_ends_the_computation(capsys):
    pytest.importorskip("tqdm")

    def fail():
        with reporting(True, 45) as report:
            report(0, 6)
            report(2, 6)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "2/6" in capsys.readouterr().err


def test_a_bar_needs_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.delitem(sys.modules, "ntk_sklearn.gram._tqdm", raising=False)
    with (
        pytest.raises(ImportError, match=r"which is not installed: .*ntk-sklearn\[progress\]"),
        reporting(True, 10),
    ):
        pass
