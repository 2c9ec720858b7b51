"""Evaluators that run several tiles at once: bits, threads, interrupts."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest
import torch
from fake_evaluators import Fake
from joblib import Parallel, delayed

from ntk_sklearn.kernels import NTK, NNGPKernel, NTKKernel, _evaluate
from ntk_sklearn.networks import FullyConnected

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(83, 90)), rng.normal(size=(37, 90))


@pytest.fixture
def evaluate_with(monkeypatch):
    """Let all kernels be computed by one evaluator."""

    def replace(evaluator):
        monkeypatch.setattr(_evaluate, "EVALUATORS", (evaluator,))
        return evaluator

    return replace


@pytest.fixture
def threads():
    """Set torch's number of threads, and check that it stayed."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def threads_of_a_new_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_same_bits_for_any_number_of_threads(evaluate_with, threads, dtype):
    evaluate_with(Fake())
    kernel, found = NTK(FullyConnected(2), dtype=dtype), []
    for n in (1, 2, 5):
        threads(n)
        found.append((kernel(X), kernel(X, Z), kernel.diag(X)))
    for matrices in found[1:]:
        for matrix, expected in zip(matrices, found[0], strict=True):
            np.testing.assert_array_equal(matrix, expected)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_torch_has_one_thread_in_tiles_and_its_own_number_elsewhere(evaluate_with, threads, n):
    inside = []
    evaluate_with(Fake(on_tile=lambda *_: inside.append(torch.get_num_threads())))
    threads(n)
    NTK(FullyConnected(1))(X)
    assert set(inside) == {1}
    assert torch.get_num_threads() == threads_of_a_new_thread() == n


def test_no_more_tiles_at_once_than_torch_has_threads(evaluate_with, threads):
    lock, inside, most = threading.Lock(), [], []

    def on_tile(*_):
        with lock:
            inside.append(0)
            most.append(len(inside))
        threading.Event().wait(0.001)
        with lock:
            inside.pop()

    evaluate_with(Fake(on_tile=on_tile))
    threads(2)
    kernel = NTK(FullyConnected(1))
    expected = kernel(X)
    found = Parallel(n_jobs=4, backend="threading")(delayed(kernel)(X) for _ in range(6))
    assert max(most) == 2
    for K in found:
        np.testing.assert_array_equal(K, expected)


def test_memory_limits_how_many_run_at_once(evaluate_with, threads):
    most, inside = [], []
    evaluate_with(
        Fake(
            bytes_of=(2**12, 0),
            on_tile=lambda *_: (inside.append(0), most.append(len(inside)), inside.pop()),
        )
    )
    threads(5)
    budget = X.shape[0] ** 2 * 8 + 2**12 * 16**2 + 1
    NTK(FullyConnected(1), memory_budget=budget)(X)
    assert set(most) == {1}


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to a thread")
@pytest.mark.parametrize("n", [1, 2])
def test_interrupts_halt_tiles(evaluate_with, threads, n):
    seen = []

    def on_tile(rows, cols, halt):
        seen.append(rows)
        if len(seen) == n:
            os.kill(os.getpid(), signal.SIGINT)
        while not halt[0]:
            threading.Event().wait(0.001)

    fake = evaluate_with(Fake(on_tile=on_tile))
    threads(n)
    kernel, out = NTK(FullyConnected(1)), np.empty((83, 83))
    with pytest.raises(KeyboardInterrupt):
        kernel.matrix(X, out=out)
    assert len(seen) == n
    fake.on_tile = None
    np.testing.assert_array_equal(kernel.matrix(X, out=out), kernel(X))


def test_overflow_in_a_thread_is_refused(evaluate_with, threads):
    evaluate_with(Fake())
    threads(2)
    with pytest.raises(ValueError, match="overflows float64"):
        NTK(FullyConnected(1))(1e160 * X)


@pytest.mark.parametrize("kind", [NTKKernel, NNGPKernel])
def test_tensors_are_filled_by_threads(evaluate_with, threads, kind):
    rows = torch.tensor(X)
    expected = kind(FullyConnected(2)).double()(rows).to_dense().detach()
    seen = []
    evaluate_with(Fake(on_tile=lambda *_: seen.append(threading.current_thread().name)))
    threads(2)
    with torch.no_grad():
        found = kind(FullyConnected(2)).double()(rows).to_dense()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert {name.split("_")[0] for name in seen} == {"ntk"}
