"""What gradients take in memory, measured in processes of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self")

# Prints the peak of the resident memory beyond what was there, without derivatives (n, n, p).
PROGRAM = """
import ctypes
from pathlib import Path
import numpy as np
import torch
from ntk_sklearn.kernels import NTK, NTKKernel
from ntk_sklearn.networks import Convolutional, FullyConnected

torch.set_num_threads(1)
options = dict(image_shape={shape}, memory_budget={budget})
X = np.random.default_rng(0).normal(size=({n}, {d}))
x, weights = torch.tensor(X).requires_grad_(), torch.ones({n}, {n}, dtype=torch.float64)

def {way}(n):
    {body}

def resident(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) * 1024

{way}({warm_up})
ctypes.CDLL(None).malloc_trim(0)  # give back what that left
Path("/proc/self/clear_refs").write_text("5")  # forget the peak of compiling and warming up
start = resident("VmRSS")
returned = {way}({n})
print(resident("VmHWM") - start - returned)
"""
BODIES = {
    "backward": "NTKKernel({network}, **options).double()(x[:n]).to_dense()"
    ".backward(weights[:n, :n]); return 0",
    "eval_gradient": "return NTK({network}, **options)(X[:n], eval_gradient=True)[1].nbytes",
}


def peak(way, network, n, d=10, shape=None, budget=None, warm_up=150):
    body = BODIES[way].format(network=network)
    rest = {"n": n, "d": d, "shape": shape, "budget": budget, "warm_up": warm_up}
    program = PROGRAM.format(way=way, body=body, **rest)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("way", BODIES)
def test_four_grams_are_enough_for_a_dense_kernel_of_many_rows(way):
    gram = 8 * 3000**2
    assert gram < peak(way, "FullyConnected(3)", 3000) < 4 * gram


@pytest.mark.slow
@pytest.mark.parametrize("way", BODIES)
def test_peak_of_a_dense_kernel_is_within_the_budget(way):
    budget = 24 * 2**20  # of which a Gram takes 3, and what one tile keeps of it without it 125
    assert 2**22 < peak(way, "FullyConnected(4)", 600, budget=budget) < budget


@pytest.mark.slow
@pytest.mark.parametrize("way", BODIES)
@pytest.mark.parametrize("budget", [2**26, 2**28])
def test_peak_of_a_pooled_kernel_is_within_the_budget(way, budget):
    found = peak(way, "Convolutional(3)", 24, 64, (1, 8, 8), budget, warm_up=6)
    assert budget / 20 < found < budget
