"""Matrices in arrays and files of the caller's, and the progress of their tiles."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from ntk_sklearn.gram import memory
from ntk_sklearn.kernels import NNGP, NTK, NetworkKernel
from ntk_sklearn.networks import Convolutional, FullyConnected

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(23, 16)), rng.normal(size=(9, 16))
KERNELS = [
    NTK(),
    NNGP(FullyConnected(1), dtype="float32"),
    NTK(Convolutional(1), image_shape=(1, 4, 4)),
]
each = pytest.mark.parametrize("kernel", KERNELS, ids=str)


@each
@pytest.mark.parametrize("columns", [None, Z])
def test_matrix_is_what_calling_the_kernel_gives(kernel, columns):
    expected = kernel(X, columns)
    out = np.full(expected.shape, np.nan, dtype=kernel.dtype)
    assert kernel.matrix(X, columns, out=out) is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(kernel.matrix(X, columns), expected)


PLACES = {
    "columns first": lambda n, m: np.empty((n, m), order="F"),
    "every other entry": lambda n, m: np.empty((2 * n, 3 * m))[::2, 1::3],
    "backwards": lambda n, m: np.empty((n, m))[::-1, ::-1],
    "part of a stack": lambda n, m: np.empty((n, 4, m))[:, 2],
}


@pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))
@pytest.mark.parametrize("columns", [None, Z])
def test_arrays_need_not_be_contiguous(place, columns):
    expected = NTK()(X, columns)
    out = place(*expected.shape)
    NTK().matrix(X, columns, out=out)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("columns", [None, X])
def test_file_has_both_triangles(tmp_path, columns):
    file = np.lib.format.open_memmap(tmp_path / "K.npy", "w+", np.float64, (23, 23))
    assert NTK().matrix(X, columns, out=file) is file
    file.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "K.npy"), NTK()(X))


def test_file_does_not_count_as_memory(tmp_path, monkeypatch):
    def matrix(mode="r+", wrap=lambda file: file, budget="1.5MB"):
        file = np.memmap(tmp_path / "K", np.float64, mode, 0, (600, 600))
        return NTK(FullyConnected(1), memory_budget=budget).matrix(rows, out=wrap(file))

    np.memmap(tmp_path / "K", np.float64, "w+", 0, (600, 600))
    rows = rng.normal(size=(600, 3))
    expected = NTK(FullyConnected(1))(rows)
    for wrap in (lambda file: file, np.asarray, lambda file: file[:, :]):
        np.testing.assert_allclose(matrix(wrap=wrap), expected, rtol=0, atol=1e-13 * expected.max())
    with pytest.raises(MemoryError, match="memory_budget"):
        matrix("c")  # changes stay in memory
    with pytest.raises(MemoryError, match=r"numpy\.memmap as out"):
        NTK(FullyConnected(1), memory_budget="1.5MB").matrix(rows)
    monkeypatch.setattr(memory, "available_memory", lambda: 2**20)
    matrix(budget=None)
    with pytest.raises(MemoryError, match="is available"):
        NTK(FullyConnected(1)).matrix(rows)


def test_arrays_that_exist_count_for_the_budget_only(monkeypatch):
    out = np.empty((23, 23))
    with pytest.raises(MemoryError, match="memory_budget"):
        NTK(memory_budget="4KB").matrix(X, out=out)
    monkeypatch.setattr(memory, "available_memory", lambda: 2**13)
    np.testing.assert_array_equal(NTK().matrix(X, out=out), out)


def read_only():
    out = np.empty((23, 23))
    out.flags.writeable = False
    return out


BAD = {
    "shape": (lambda: np.empty((23, 22)), ValueError, r"matrix, \(23, 23\), got \(23, 22\)"),
    "stack": (lambda: np.empty((1, 23, 23)), ValueError, r"got \(1, 23, 23\)"),
    "precision": (
        lambda: np.empty((23, 23), "float32"), ValueError, "dtype='float64', got float32: make",
    ),
    "byte order": (lambda: np.empty((23, 23), ">f8"), ValueError, "got >f8"),
    "integers": (lambda: np.empty((23, 23), int), ValueError, "got int64"),
    "read-only": (read_only, ValueError, r"writeable: open a memmap with mode='r\+'"),
    "list": (lambda: [[0.0] * 23] * 23, TypeError, "numpy array or memmap, got list"),
    "tensor": (lambda: torch.empty(23, 23), TypeError, "got Tensor"),
}  # fmt: skip


@pytest.mark.parametrize("make, error, message", BAD.values(), ids=list(BAD))
def test_what_cannot_be_filled_is_refused(make, error, message):
    with pytest.raises(error, match="^out must.*" + message):
        NTK().matrix(X, out=make())


@pytest.mark.parametrize("columns", [None, "Y"])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_rows_are_not_written_into(columns, kind):
    data = rng.normal(size=(16, 48))
    rows, other, out = data[:, :16], data[:, 16:32], data[:, 32:]
    expected = NTK()(rows.copy(), None if columns is None else other.copy())
    found = NTK().matrix(kind(rows), None if columns is None else kind(other), out=out)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="out overlaps the memory of X: pass another array"):
        NTK().matrix(kind(rows), None if columns is None else kind(other), out=data[:, 15:31])
    if columns:
        with pytest.raises(ValueError, match="out overlaps the memory of Y"):
            NTK().matrix(kind(rows), kind(other), out=data[:, 17:33])


def test_stack_of_matrices():
    kernel = NetworkKernel(FullyConnected(1), ("ntk", "nngp"))
    out = np.empty((2, 23, 9))
    assert kernel.matrix(X, Z, out=out) is out
    np.testing.assert_array_equal(out, kernel.matrix(X, Z))
    with pytest.raises(ValueError, match=r"matrix, \(2, 23, 9\), got \(23, 9\)"):
        kernel.matrix(X, Z, out=out[0])
    with pytest.raises(ValueError, match="out overlaps the memory of Z"):
        kernel.matrix(X[:3], Z[:9], out=Z.reshape(-1)[:54].reshape(2, 3, 9))


def test_rows_may_share_memory_with_tensors_but_are_never_changed():
    rows = X.copy()
    NTK()(rows)
    NTK().matrix(rows, out=np.empty((23, 23)))
    np.testing.assert_array_equal(rows, X)


def test_progress_is_reported():
    seen = []
    kernel = NTK(backend="reference")  # in one tile
    K = kernel.matrix(X, progress=lambda *report: seen.append(report))
    assert seen == [(0, 1), (1, 1)]
    np.testing.assert_array_equal(K, kernel(X))


def test_a_bar_is_shown_where_it_is_wanted(capsys):
    pytest.importorskip("tqdm")
    NTK(backend="reference").matrix(X, Z, progress=True)
    NetworkKernel(FullyConnected(1), backend="reference").matrix(X, progress=True)
    assert capsys.readouterr().err.count("1/1 [") == 2
    NTK().matrix(X, Z)
    NTK().matrix(X, Z, progress=False)
    assert capsys.readouterr().err == ""


def test_progress_that_is_none_is_refused():
    with pytest.raises(TypeError, match="progress must be True, False, None or a callable"):
        NTK().matrix(X, progress="bar")


# Prints the peak of anonymous memory and of the whole beside what was there, in kilobytes.
PROGRAM = """
import numpy as np, sys, threading
from pathlib import Path
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import FullyConnected

def kilobytes(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0])

X = np.random.default_rng(0).normal(size=({n}, 4))
kernel = NTK(FullyConnected(1), dtype="float32", memory_budget={budget})
kernel(X[:50])
out = {out}
start, peak, over = kilobytes("VmRSS"), [0, 0], threading.Event()
before = kilobytes("RssAnon")

def watch():
    while not over.wait(0.01):
        peak[0] = max(peak[0], kilobytes("RssAnon") - before)

watcher = threading.Thread(target=watch)
watcher.start()
kernel.matrix(X, out=out)
over.set()
watcher.join()
print(peak[0], kilobytes("VmHWM") - start)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize("kind", ["array", "file"])
def test_peak_of_a_large_gram(tmp_path, kind):
    n, work = 20_000, 200 * 2**20
    size = 4 * n * n
    file = f"np.memmap({str(tmp_path / 'K')!r}, np.float32, 'w+', 0, ({n}, {n}))"
    budget = work if kind == "file" else size + work
    program = PROGRAM.format(n=n, budget=budget, out="None" if kind == "array" else file)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    anonymous, whole = (1024 * int(number) for number in done.stdout.split())
    assert whole <= 1.1 * size + work
    assert anonymous <= (0.1 if kind == "file" else 1.1) * size + work
