"""What gradients of dense kernels cost: seconds, and peak memory in Grams of n x n.

`NNGPKernel` (three hidden ReLU layers) evaluated and followed backwards as a kernel for GPyTorch,
and as `NNGP` with ``eval_gradient=True``, beside BoTorch's `InfiniteWidthBNNKernel` where BoTorch
is installed. Each measurement runs in a process of its own; the incoming gradient of the backward
pass is made before, the derivatives (n, n, p) that `eval_gradient` returns are not counted, the
Gram is. Prints a table in markdown; with a path, writes the numbers there as JSON.

Set OMP_NUM_THREADS=1 to compare times.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

DEPTH, N_FEATURES, WARM_UP = 3, 10, 150


def backward(kernel: Callable[[torch.Tensor], torch.Tensor], n: int) -> Callable[[], int]:
    """A task: the Gram of a GPyTorch kernel, and its backward pass."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, N_FEATURES, generator=generator, dtype=torch.float64)
    incoming = torch.randn(n, n, generator=generator, dtype=torch.float64)

    def task() -> int:
        kernel(x).to_dense().backward(incoming)
        return 0

    return task


def ours(n: int) -> Callable[[], int]:
    """`NNGPKernel`."""
    from ntk_sklearn.kernels import NNGPKernel
    from ntk_sklearn.networks import FullyConnected

    return backward(NNGPKernel(FullyConnected(DEPTH)).double(), n)


def botorchs(n: int) -> Callable[[], int]:
    """BoTorch's kernel of the same network."""
    from botorch.models.kernels import InfiniteWidthBNNKernel

    return backward(InfiniteWidthBNNKernel(DEPTH).double(), n)


def scikits(n: int) -> Callable[[], int]:
    """`NNGP` with all derivatives."""
    from ntk_sklearn.kernels import NNGP
    from ntk_sklearn.networks import FullyConnected

    kernel, X = NNGP(FullyConnected(DEPTH)), np.random.default_rng(0).normal(size=(n, N_FEATURES))

    def task() -> int:
        return kernel(X, eval_gradient=True)[1].nbytes

    return task


KERNELS = {
    "NNGPKernel, backward": ours,
    "InfiniteWidthBNNKernel, backward": botorchs,
    "NNGP, eval_gradient": scikits,
}


def resident(name: str) -> int:
    """Bytes of memory of this process: VmRSS now, VmHWM at most."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{name}:")[1].split()[0]) * 1024


def measure(name: str, n: int) -> dict[str, float]:
    """Seconds of the processor and peak memory of a task, in this process."""
    KERNELS[name](WARM_UP)()
    task = KERNELS[name](n)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    before, start = resident("VmRSS"), time.process_time()
    not_counted = task()
    seconds = time.process_time() - start
    grams = (resident("VmHWM") - before - not_counted) / (8 * n * n)
    return {"n": n, "seconds": seconds, "grams": grams}


def measured_alone(name: str, n: int) -> dict[str, float]:
    """`measure` in a new process."""
    command = [sys.executable, __file__, "--measure", name, "--rows", str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, nargs="?", help="file for the numbers, as JSON")
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 1000, 3000], metavar="n")
    parser.add_argument("--measure", choices=KERNELS, help="measure one kernel in this process")
    arguments = parser.parse_args()
    if arguments.measure:
        tell(json.dumps(measure(arguments.measure, arguments.rows[0])))
        return
    tell("| kernel | rows | seconds | peak memory in Grams |")
    tell("|---|---|---|---|")
    numbers: dict[str, list[dict[str, float]]] = {}
    for name in KERNELS:
        if name.startswith("InfiniteWidth") and not importlib.util.find_spec("botorch"):
            continue
        for n in arguments.rows:
            found = measured_alone(name, n)
            numbers.setdefault(name, []).append(found)
            tell(f"| {name} | {n} | {found['seconds']:.2f} | {found['grams']:.1f} |")
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(numbers, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
