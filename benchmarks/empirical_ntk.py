"""How long empirical tangent kernels take, beside torch.func and neural-tangents in the same run.

Run ``python benchmarks/empirical_ntk.py --peer-python ENV/bin/python``; `neural_tangents.py` says
how ENV is made. The Gram of 64 rows and 10 outputs, all products (64, 10, 64, 10) or their mean, of
the same network with the same weights: here, by the contraction of Jacobians from
``torch.func.vmap(jacrev)``, and by neural-tangents (``vmap_axes=0``, jitted) with each of two
runtimes of XLA. All kernels are compared first, ours must agree with those in float64; then each
is called in turn, and those that take much longer than the fastest only once. Beside the time on
the clock stands that of the processor, which says more where others use the machine. Processes are
bound to ``--threads`` cores (Linux).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import report
from peers.contenders import COOL, PEERS
from peers.empirical_networks import NETWORKS, Network, arrays, module, rows
from peers.process import Peer
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from ntk_sklearn.finite import EmpiricalNTK

WORKER = Path(__file__).parent / "peers" / "empirical_worker.py"
METHODS = ("auto", "structured", "jacobian", "vector_products")
IMPLEMENTATIONS = {1: "Jacobian contraction", 2: "NTK-vector products", 3: "structured derivatives"}
# Relative to the largest entry, of kernels whose sums run in another order.
TOLERANCES = {"float32": 1e-4, "float64": 1e-11}

# Jacobians of more bytes are not formed: those of dense, 3 x 1024 take 7.5 GB.
LARGEST = 2**31
# By how much a contender is slower than the fastest that is called only once.
SLOW = 10

Call = Callable[[], tuple[float, float]]


def contraction(built: nn.Module, x: Tensor, form: str) -> Tensor:
    """Products of Jacobians by torch.func, parameter by parameter."""
    parameters = {name: p.detach() for name, p in built.named_parameters()}

    def outputs(values: dict[str, Tensor], row: Tensor) -> Tensor:
        return functional_call(built, values, (row[None],))[0]

    jacobians = vmap(jacrev(outputs), (None, 0))(parameters, x).values()
    flat = [j.flatten(2) for j in jacobians]
    if form == "mean":
        return sum(j.flatten(1) @ j.flatten(1).mT for j in flat) / flat[0].shape[1]
    return torch.stack([torch.einsum("nkf,mlf->nkml", j, j) for j in flat]).sum(0)


def timed(function: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of a call, and of the processor."""
    start, used = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start, time.process_time() - used


def ours(
    network: Network, n: int, dtype: str, form: str, methods: list[str]
) -> dict[str, Callable[[], Any]]:
    """What is called in this process, by name."""
    kind = getattr(torch, dtype)
    built, x = module(network, kind), rows(network, n, kind)
    found: dict[str, Callable[[], Any]] = {}
    for method in methods:
        kernel = EmpiricalNTK(built, outputs=form, method=method)
        found[f"ntk_sklearn, {method}"] = lambda kernel=kernel: kernel(x)
    size = sum(p.numel() for p in built.parameters()) * n * network.outputs * kind.itemsize
    if size <= LARGEST:
        found["torch.func, jacrev"] = lambda: contraction(built, x, form)
    return found


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference relative to the largest entry."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def check(largest: float, name: str, dtype: str) -> float:
    """Refuse kernels of this process that differ by more than rounding.

    Raises
    ------
    ValueError
    """
    if not largest <= TOLERANCES[dtype]:
        raise ValueError(f"{name} differs by {largest:.1e} in {dtype}")
    return largest


def measure(calls: dict[str, Call], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds on the clock and of the processor of every contender, called in turn."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for k in range(repeats):
        fastest = min((several[0][1] for several in seconds.values() if several), default=0.0)
        for name, call in calls.items():
            if k == 0 or seconds[name][0][1] <= SLOW * fastest:
                time.sleep(COOL)
                seconds[name].append(call())
    return seconds


def theirs(
    peer: Peer, network: Network, form: str, given: argparse.Namespace, expected: np.ndarray
) -> dict[str, tuple[Call, float]]:
    """Calls in the other process by name, and by how much their kernels differ."""
    kind, found = getattr(torch, peer.dtype), {}
    sent = arrays(module(network, kind), rows(network, given.rows, kind))
    for number in given.implementations:
        peer.prepare_empirical(network.describe(), number, form, sent)
        title = f"{peer.library}, {IMPLEMENTATIONS[number]}"
        values = peer.values(implementation=number)
        values = values.transpose(0, 2, 1, 3) if form == "full" else values
        call = functools.partial(peer.both_seconds, implementation=number)
        found[title] = call, difference(values, expected)
    return found


def compare(
    name: str, dtype: str, form: str, given: argparse.Namespace, peers: list[Peer]
) -> dict[str, Any]:
    """Check that all kernels agree, then time them in turn."""
    network, n = NETWORKS[name], given.rows
    wanted = {"dtype": "float64", "form": form, "methods": ["structured"]}
    expected = ours(network, n, **wanted)["ntk_sklearn, structured"]().numpy()
    calls, differ = {}, {}
    for title, function in ours(network, n, dtype, form, given.methods).items():
        differ[title] = check(difference(function().numpy(), expected), title, dtype)
        calls[title] = functools.partial(timed, function)
    for peer in peers:
        for title, (call, largest) in theirs(peer, network, form, given, expected).items():
            calls[title], differ[title] = call, largest
    before, seconds = os.getloadavg()[0], measure(calls, given.repeats)
    for title, several in seconds.items():
        clock, used = 1e3 * np.array(several).T
        report.tell(
            f"| {network.title}, {form}, {dtype} | {title} | {np.median(clock):.1f} | "
            f"{clock.min():.1f} | {used.min():.1f} | {differ[title]:.0e} |"
        )
    load = [before, os.getloadavg()[0]]
    found = {"title": network.title, "outputs": form, "dtype": dtype, "threads": given.threads}
    return found | {"load": load, "differ": differ, "seconds": seconds}


def parse() -> argparse.Namespace:
    """The command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--peer-python", type=Path, help="Python with neural-tangents")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--dtypes", nargs="+", choices=list(TOLERANCES), default=["float32"])
    parser.add_argument("--outputs", nargs="+", choices=["full", "mean"], default=["full"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["auto"])
    parser.add_argument("--implementations", nargs="+", type=int, default=[1, 3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file for all measurements")
    return parser.parse_args()


def main() -> None:
    """Measure, print the table, write the file."""
    given = parse()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.threads])
    torch.set_num_threads(given.threads)
    report.tell("| network | by | median ms | fastest ms | processor ms | difference |")
    report.tell("|---|---|---|---|---|---|")
    found: dict[str, Any] = {"environment": report.environment(), "rows": given.rows}
    found["measured"] = []
    for dtype in given.dtypes:
        with contextlib.ExitStack() as stack:
            peers = [
                stack.enter_context(Peer(given.peer_python, dtype, label, flags, WORKER))
                for label, flags in (PEERS.items() if given.peer_python else ())
            ]
            for name, form in itertools.product(given.networks, given.outputs):
                found["measured"].append(compare(name, dtype, form, given, peers))
                if given.json is not None:
                    given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
