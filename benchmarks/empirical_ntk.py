"""How long empirical tangent kernels take, beside torch.func and neural-tangents in the same run.

Run ``python benchmarks/empirical_ntk.py --peer-python ENV/bin/python``; `neural_tangents.py` says
how ENV is made. The Gram of 64 rows with all products of 10 outputs, (64, 10, 64, 10), of the same
network with the same weights: by every method here, by the contraction of Jacobians from
``torch.func.vmap(jacrev)``, and by the three implementations of neural-tangents (``vmap_axes=0``,
jitted). All kernels are compared first; then each is called in turn, and medians and the fastest
calls are reported. neural-tangents runs with each of two runtimes of XLA, and both are reported.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
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

Call = Callable[[], float]


def contraction(built: nn.Module, x: Tensor) -> Tensor:
    """All products (n, k, n, k) of Jacobians by torch.func, parameter by parameter."""
    parameters = {name: p.detach() for name, p in built.named_parameters()}

    def outputs(values: dict[str, Tensor], row: Tensor) -> Tensor:
        return functional_call(built, values, (row[None],))[0]

    jacobians = vmap(jacrev(outputs), (None, 0))(parameters, x).values()
    products = [torch.einsum("nkf,mlf->nkml", j.flatten(2), j.flatten(2)) for j in jacobians]
    return torch.stack(products).sum(0)


def timed(function: Callable[[], Any]) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ours(network: Network, n: int, dtype: str, methods: list[str]) -> dict[str, Callable[[], Any]]:
    """What is called in this process, by name."""
    kind = getattr(torch, dtype)
    built, x = module(network, kind), rows(network, n, kind)
    found: dict[str, Callable[[], Any]] = {}
    for method in methods:
        kernel = EmpiricalNTK(built, outputs="full", method=method)
        found[f"ntk_sklearn, {method}"] = lambda kernel=kernel: kernel(x)
    return found | {"torch.func, jacrev": lambda: contraction(built, x)}


def difference(found: np.ndarray, expected: np.ndarray, name: str, dtype: str) -> float:
    """Largest difference relative to the largest entry.

    Raises
    ------
    ValueError
        If kernels differ by more than rounding.
    """
    largest = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not largest <= TOLERANCES[dtype]:
        raise ValueError(f"{name} differs by {largest:.1e} in {dtype}")
    return largest


def measure(calls: dict[str, Call], repeats: int) -> dict[str, list[float]]:
    """Seconds of every contender, called in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            time.sleep(COOL)
            seconds[name].append(call())
    return seconds


def theirs(
    peer: Peer, network: Network, given: argparse.Namespace, expected: np.ndarray
) -> dict[str, tuple[Call, float]]:
    """Calls in the other process by name, and by how much their kernels differ."""
    kind, found = getattr(torch, peer.dtype), {}
    sent = arrays(module(network, kind), rows(network, given.rows, kind))
    for number in given.implementations:
        peer.prepare_empirical(network.describe(), number, sent)
        title = f"{peer.library}, {IMPLEMENTATIONS[number]}"
        values = peer.values(implementation=number).transpose(0, 2, 1, 3)
        call = functools.partial(peer.seconds, implementation=number)
        found[title] = call, difference(values, expected, title, peer.dtype)
    return found


def compare(name: str, dtype: str, given: argparse.Namespace, peers: list[Peer]) -> dict[str, Any]:
    """Check that all kernels agree, then time them in turn."""
    network, n = NETWORKS[name], given.rows
    expected = ours(network, n, "float64", [])["torch.func, jacrev"]().numpy()
    calls, differ = {}, {}
    for title, function in ours(network, n, dtype, given.methods).items():
        differ[title] = difference(function().numpy(), expected, title, dtype)
        calls[title] = functools.partial(timed, function)
    for peer in peers:
        for title, (call, largest) in theirs(peer, network, given, expected).items():
            calls[title], differ[title] = call, largest
    seconds = measure(calls, given.repeats)
    for title, several in seconds.items():
        tell(
            f"| {network.title}, {dtype} | {title} | {1e3 * np.median(several):.1f} | "
            f"{1e3 * min(several):.1f} | {differ[title]:.0e} |"
        )
    return {"title": network.title, "dtype": dtype, "differ": differ, "seconds": seconds}


def tell(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def parse() -> argparse.Namespace:
    """The command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--peer-python", type=Path, help="Python with neural-tangents")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--dtypes", nargs="+", choices=list(TOLERANCES), default=["float32"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--implementations", nargs="+", type=int, default=list(IMPLEMENTATIONS))
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file for all measurements")
    return parser.parse_args()


def main() -> None:
    """Measure, print the table, write the file."""
    given = parse()
    tell("| network | by | median ms | fastest ms | difference |\n|---|---|---|---|---|")
    found: dict[str, Any] = {"environment": report.environment(), "rows": given.rows}
    found["measured"] = []
    for dtype in given.dtypes:
        with contextlib.ExitStack() as stack:
            peers = [
                stack.enter_context(Peer(given.peer_python, dtype, label, flags, WORKER))
                for label, flags in (PEERS.items() if given.peer_python else ())
            ]
            for name in given.networks:
                found["measured"].append(compare(name, dtype, given, peers))
                if given.json is not None:
                    given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
