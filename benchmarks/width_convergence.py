"""How random networks approach infinite width: kernels, trained functions, kernel drift.

Run ``python benchmarks/width_convergence.py``: some minutes on one core. Writes the tables of
`docs/finite_networks.md` and, as JSON, every number with the environment. Fitted slopes are those
of least squares in the logarithms of all draws, with standard errors.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from peers.report import environment

from ntk_sklearn.networks import Convolutional, FullyConnected, Preset
from ntk_sklearn.studies import finite_agreement, kernel_drift_over_widths, width_convergence

RESULTS = Path(__file__).parent / "results" / "width_convergence.json"
RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((10, 5)), RNG.standard_normal((20, 5))
Y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2]
IMAGES = RNG.standard_normal((6, 3, 6, 6))


def dense(activation: str, depth: int) -> Preset:
    """Scales of unit order."""
    return FullyConnected(depth, activation=activation, w_std=1.5, b_std=0.1)


def kernels(quick: bool) -> Iterator[dict[str, Any]]:
    """Errors of the kernels of random networks."""
    wide, narrow = (64, 128, 256, 512, 1024), (16, 32, 64, 128)
    cases = [
        ("2 hidden layers, erf", dense("erf", 2), X, wide),
        ("2 hidden layers, relu", dense("relu", 2), X, wide),
        ("2 convolutions, relu", Convolutional(2), IMAGES, narrow),
    ]
    for name, network, rows, widths in cases:
        for quantity in ("ntk", "nngp"):
            chosen = widths[:3] if quick else widths
            found = width_convergence(network, rows, chosen, 3 if quick else 40, quantity)
            record = {"study": "kernel", "case": f"{name}, {quantity}", "widths": found.widths}
            yield record | power(found) | {"errors": found.errors, "means": found.mean_errors}


def functions(quick: bool) -> Iterator[dict[str, Any]]:
    """Trained networks against infinite width, and against their linearizations."""
    widths, n_draws = ((32, 64), 2) if quick else ((128, 512, 2048, 8192), 8)
    for activation in ("erf", "relu"):
        network = dense(activation, 1)
        found = finite_agreement(network, X, Y, Z, widths, n_draws, steps=(1, 3, 10, 30))
        for name, fit, errors in (
            ("infinite width", found.fit, found.errors),
            ("own linearization", found.linearized_fit, found.linearized_errors),
        ):
            case = f"1 hidden layer, {activation}, {name}"
            record = {"study": "function", "case": case, "widths": found.widths}
            yield record | fit._asdict() | {"errors": np.sqrt(np.mean(errors**2, axis=2))}


def drifts(quick: bool) -> Iterator[dict[str, Any]]:
    """Movement of the tangent kernel in training."""
    widths, n_draws = ((32, 64), 2) if quick else ((256, 1024, 4096, 16384), 12)
    for activation in ("erf", "relu"):
        network = dense(activation, 1)
        found = kernel_drift_over_widths(network, X, Y, widths, n_draws, steps=(0, 30))
        case = f"1 hidden layer, {activation}"
        record = {"study": "drift", "case": case, "widths": found.widths}
        yield record | power(found) | {"errors": found.drifts[:, :, -1]}


def power(found: Any) -> dict[str, float]:
    """The fitted power of the width."""
    return {name: getattr(found, name) for name in ("slope", "slope_error", "intercept")}


def line(record: dict[str, Any]) -> str:
    """A row of the table: geometric means over draws at the least and the largest width."""
    means = np.exp(np.log(record["errors"]).mean(axis=1))
    ends = [f"{means[k]:.2g} at {record['widths'][k]}" for k in (0, -1)]
    slope = f"{record['slope']:.3f} ± {record['slope_error']:.3f}"
    return f"| {record['study']} | {record['case']} | {ends[0]} | {ends[1]} | {slope} |"


def main() -> None:
    """Measure, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few narrow networks: a try")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    told, records = environment(), []
    sys.stdout.write("| of | case | error | error | slope |\n|---|---|---|---|---|\n")
    for study in (kernels, functions, drifts):
        for record in study(arguments.quick):
            sys.stdout.write(line(record) + "\n")
            sys.stdout.flush()
            records.append({k: np.asarray(v).tolist() for k, v in record.items()})
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    result = {"environment": told, "records": records}
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
