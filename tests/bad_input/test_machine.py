"""Threads, forks, devices, LAPACK's limits, and the same numbers twice."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from bad_input_cases import (
    ESTIMATORS,
    KERNELS,
    TRAINED,
    X,
    Z,
    estimators,
    fitted,
    outputs,
    targets,
)
from scipy.linalg.lapack import dsyevr_lwork

from ntk_sklearn.networks import FullyConnected
from ntk_sklearn.solvers import eigen

RANDOM = FullyConnected(1, width=8, n_networks=2, random_state=3)


@estimators
def test_threads_fit_and_predict_what_one_does(kind):
    rows = [X + shift for shift in range(4)]
    dtypes = ["float64", "float32"] * 2

    def work(data, dtype):
        return outputs(kind(FullyConnected(2), dtype=dtype).fit(data, targets(kind)), Z)

    serial = [work(*pair) for pair in zip(rows, dtypes, strict=True)]
    default = torch.get_default_dtype(), torch.is_grad_enabled()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for found, expected in zip(pool.map(work, rows, dtypes), serial, strict=True):
                np.testing.assert_array_equal(found, expected)
    assert (torch.get_default_dtype(), torch.is_grad_enabled()) == default


@estimators
def test_threads_share_a_fitted_estimator(kind):
    model, parts = fitted(kind), np.array_split(np.vstack([X, Z]), 5)
    serial = [outputs(model, rows) for rows in parts]
    with ThreadPoolExecutor(4) as pool:
        for found, expected in zip(
            pool.map(lambda rows: outputs(model, rows), parts), serial, strict=True
        ):
            # BLAS and LAPACK may sum in another order on other threads
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


FORK = """
import multiprocessing, torch
from ntk_sklearn.kernels import NTK
torch.set_num_threads(2)
torch.ones(100_000).exp()  # by two threads of OpenMP, which a fork does not copy
def child(): assert NTK()(torch.ones(200, 3).cumsum(0)).shape == (200, 200)
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(60)
assert process.exitcode == 0, process.exitcode
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forks_after_threads_were_used_do_not_hang():
    # PYTHONWARNINGS: newer Pythons warn of any fork of a process with threads
    environment = os.environ | {"OMP_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", FORK], env=environment, check=True, timeout=120)


def test_eigendecomposition_of_many_rows_fits_into_the_workspace_of_lapack(monkeypatch):
    drivers, eigh = [], eigen.eigh

    def recorded(*arguments, **options):
        drivers.append(options["driver"])
        return eigh(*arguments, **options)

    monkeypatch.setattr(eigen, "eigh", recorded)
    eigen.eigendecompose(np.eye(3))
    monkeypatch.setattr(eigen, "_WORKSPACE_LIMIT", 3)
    eigen.eigendecompose(np.eye(3))
    assert drivers == ["evd", "evr"]  # divide and conquer needs 1 + 6 n + 2 n^2 numbers
    assert 1 + 6 * 32766 + 2 * 32766**2 < 2**31 <= 1 + 6 * 32767 + 2 * 32767**2
    for n in (32767, 100_000):
        work, integers, info = dsyevr_lwork(n)
        assert info == 0
        assert n < work < 2**31
        assert n < integers < 2**31


def run(kind, **options):
    if kind in KERNELS:
        return kind(FullyConnected(1), **options)(X)
    return outputs(kind(FullyConnected(1), **options).fit(X, targets(kind)), Z)


@pytest.mark.parametrize("kind", [*ESTIMATORS, *KERNELS])
@pytest.mark.parametrize("device", ["cuda:99", "mps", "CPU", "gpu", "", None, 0])
def test_devices_that_do_not_exist_are_refused_with_those_that_do(kind, device):
    with pytest.raises(ValueError, match=r"device must be 'auto' or one of .*'cpu'"):
        run(kind, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("kind", [*ESTIMATORS, *KERNELS])
def test_cuda_is_refused_where_there_is_none(kind):
    with pytest.raises(ValueError, match=r"one of \['cpu'\] on this machine, got 'cuda'"):
        run(kind, device="cuda")


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_same_random_state_gives_the_same_bits(kind):
    first, second = (outputs(fitted(kind, RANDOM), Z) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    if kind in TRAINED:
        options = {"initial": "random", "random_state": 5}
        first, second = (outputs(fitted(kind, **options), Z) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert (first != outputs(fitted(kind), Z)).any()


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_other_numbers_of_threads_give_the_same_answer(kind):
    rows = np.random.default_rng(1).normal(size=(200, 12))
    before, found = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append(outputs(kind(FullyConnected(1)).fit(rows, targets(kind, 200)), Z))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(*found, rtol=1e-10, atol=1e-10)
