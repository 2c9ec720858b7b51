"""How long the kernels take, beside neural-tangents 0.6.5 in the same run.

Run ``python benchmarks/neural_tangents.py --peer-python ENV/bin/python``. neural-tangents is
archived and does not import on current jax; it gets an environment of its own, ENV::

    python3.11 -m venv ENV
    ENV/bin/pip install neural-tangents==0.6.5 jax==0.4.35 jaxlib==0.4.35 "scipy==1.12.0" "numpy<2"
    ENV/bin/pip install tf2jax==0.3.6 --no-deps

It runs there in a process of its own, jitted, on all cores, with each of two runtimes of XLA. For
every piece of work the kernels of both libraries are compared first; then each is called in turn,
after calls that compile, and the medians of the repetitions are reported. Images are measured in
blocks k(X, Z), as large as suits each library, and reported per pair of images; rows of 784
features as the Gram k(X) of 4000 rows, beside the bare product X @ X.T with all its entries. What
is an entry of a layer, `peers/entries.py` says.

Leave OMP_NUM_THREADS alone, and the machine. Without --peer-python only this package is measured.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Any

from peers import report
from peers.agreement import difference
from peers.contenders import PEERS, Contender, Plan, ours, product, quick, theirs
from peers.process import Peer
from peers.work import WORKS, Work

DTYPES = ("float32", "float64")


def contenders(work: Work, dtype: str, peers: list[Peer], plan: Plan) -> list[Contender]:
    """Everything that is timed in one precision, compiled."""
    found = [ours(work, dtype, plan), *(theirs(work, peer, plan) for peer in peers)]
    return [*found, product(work, dtype, plan)] if work.size is None else found


def compare(work: Work, peers: dict[str, list[Peer]], plan: Plan) -> dict[str, Any]:
    """Check that the kernels agree, then time them in turn; `peers` by precision."""
    differ = {
        dtype: max(difference(work, peer, plan) for peer in found)
        for dtype, found in peers.items()
        if found
    }
    every = [c for dtype, found in peers.items() for c in contenders(work, dtype, found, plan)]
    for _ in range(plan.repeats):
        for contender in every:
            contender.measure()
    measured = [contender.record() for contender in every]
    return {"title": work.title, "differ": differ, "measured": measured}


def parse() -> argparse.Namespace:
    """The command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--peer-python", type=Path, help="Python with neural-tangents")
    parser.add_argument("--rows", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--get", choices=("ntk", "nngp", "both"), default="ntk")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small blocks: says if it runs")
    parser.add_argument("--images", type=Path, help=".npz with X (n, 32, 32, 3) of numbers")
    parser.add_argument("--json", type=Path, help="file for all measurements")
    parser.add_argument("--markdown", type=Path, help="file for the table")
    return parser.parse_args()


def run(names: list[str], peers: dict[str, list[Peer]], plan: Plan, path: Path | None) -> Any:
    """Measure row by row; what is found is written after each of them."""
    found: dict[str, Any] = {"environment": report.environment(), "settings": plan.settings()}
    every = [peer for several in peers.values() for peer in several]
    if every:
        found["peer_environment"] = {**every[0].versions(), "XLA_FLAGS": PEERS}
    found["rows"] = {}
    report.tell(report.markdown([]).rstrip())
    for name in names:
        found["rows"][name] = compare(WORKS[name], peers, plan)
        for cells in report.rows(found["rows"][name]):
            report.tell(report.line(cells))
        if path is not None:
            report.write(path, found)
    return found


def main() -> None:
    """Measure, print the table, write the files."""
    given = parse()
    plan = (quick if given.quick else Plan)(given.get, given.repeats, given.images)
    libraries = {} if given.peer_python is None else PEERS
    with contextlib.ExitStack() as stack:
        peers = {
            dtype: [
                stack.enter_context(Peer(given.peer_python, dtype, library, flags))
                for library, flags in libraries.items()
            ]
            for dtype in given.dtypes
        }
        found = run(given.rows, peers, plan, given.json)
    if given.markdown is not None:
        table = report.markdown(list(found["rows"].values()))
        given.markdown.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
