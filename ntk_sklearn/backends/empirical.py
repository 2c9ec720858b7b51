"""The evaluator of finite widths: empirical kernels averaged over random networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ..architecture import Layer
from ..finite import FiniteNetwork, Networks
from ..finite.cost import SMALLEST_TILE, operations, row_bytes, shared_bytes
from ..finite.empirical import gram, products, squares
from ..finite.network import skeleton
from ..finite.seeds import check_seed
from ..finite.signals import record
from .problem import FiniteWidth, GivenParameters, Problem

# Beyond this a tile gains nothing, and takes too long to be interrupted.
_LARGEST_TILE = 1024
# Matrices of the size of a tile that live beside sums and summands: a layer's part, its factors.
_COPIES = 3


@dataclass(frozen=True)
class Prepared:
    """Inputs (n, channels, *spatial) and the random networks of every tree."""

    rows: Tensor
    networks: dict[Layer, Networks]


class EmpiricalEvaluator:
    """Averages the empirical kernels of `n_networks` random networks of the problem's width.

    Signals are recomputed for the rows and columns of every tile: kept for all inputs they would
    soon take more memory than the matrix.
    """

    name = "empirical"
    concurrent = False  # torch uses all cores within a tile

    def why_not(self, problem: Problem) -> list[str]:
        """Infinite widths belong to others; random networks must be the same in every tile."""
        finite = problem.finite
        if finite is None:
            return ["it computes finite widths, the network is infinitely wide"]
        if isinstance(finite, GivenParameters):
            return [f"it draws random networks, the network has {finite}"]
        reasons = [
            f"{name} must be an integer >= 1, got {value!r}"
            for name, value in (("width", finite.width), ("n_networks", finite.n_networks))
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1
        ]
        try:
            check_seed(finite.random_state)
        except (TypeError, ValueError) as error:
            reasons.append(f"{error}: the same networks are needed in every tile and call")
        return reasons or _unbuildable(problem)

    def prepare(self, problem: Problem, X: Tensor) -> Prepared:
        """Draw the networks, or make ready to draw them, and give the rows their shape."""
        finite, shape = _finite(problem), problem.input_shape
        networks = {
            network: Networks(
                network, shape, finite.width, finite.n_networks, finite.random_state,
                dtype=problem.dtype, device=problem.device,
            )
            for network in _quantities(problem)
        }  # fmt: skip
        return Prepared(problem.shaped(X.detach()), networks)

    def tile(
        self,
        problem: Problem,
        x: Prepared,
        rows: slice,
        z: Prepared,
        cols: slice,
        on_diagonal: bool,
        out: Any,
        halt: np.ndarray | None = None,
    ) -> None:
        """Fill a tile; see `Evaluator`."""
        if 0 in out.shape:
            return

        def kernels(module: FiniteNetwork, quantities: list[str]) -> list[Tensor]:
            left = record(module, x.rows[rows], "ntk" in quantities)
            if on_diagonal:
                return [gram(left, quantity) for quantity in quantities]
            right = record(module, z.rows[cols], "ntk" in quantities)
            return [products(left, right, quantity) for quantity in quantities]

        _average(problem, x, kernels, out)

    def diagonal(self, problem: Problem, x: Prepared, rows: slice, out: Any) -> None:
        """Fill k(x_i, x_i); see `Evaluator`."""
        if 0 in out.shape:
            return

        def kernels(module: FiniteNetwork, quantities: list[str]) -> list[Tensor]:
            signals = record(module, x.rows[rows], "ntk" in quantities)
            return [squares(signals, quantity) for quantity in quantities]

        _average(problem, x, kernels, out)

    def workspace(self, problem: Problem) -> tuple[int, int]:
        """Bytes per pair, and per input: of a row and a column, and a share of the rest."""
        n_networks, dtype = _finite(problem).n_networks, problem.dtype
        rows, shares = [], 0
        for module, ntk in _skeletons(problem):
            rows.append(2 * row_bytes(module, dtype, ntk))
            shares += shared_bytes(module, dtype, n_networks)
        return (2 * len(problem.outputs) + _COPIES) * dtype.itemsize, max(rows) + shares

    def tile_side(self, problem: Problem) -> int:
        """Rows at which contracting pairs takes as long as the signals of rows and columns."""
        costs = [operations(module) for module, _ in _skeletons(problem)]
        side = max(2 * per_row // per_pair for per_row, per_pair in costs)
        return min(max(side, SMALLEST_TILE), _LARGEST_TILE)


def _average(
    problem: Problem,
    x: Prepared,
    kernels: Callable[[FiniteNetwork, list[str]], list[Tensor]],
    out: Any,
) -> None:
    """Fill `out` with means over the networks of all outputs."""
    for network, places in _quantities(problem).items():
        draws = x.networks[network]
        sums: list[Tensor] = []
        for module in draws:
            found = kernels(module, list(places))
            sums = [s.add_(f) for s, f in zip(sums, found, strict=True)] if sums else found
        for indices, total in zip(places.values(), sums, strict=True):
            for k in indices:
                mean = total / len(draws)
                out[k] = mean if isinstance(out, Tensor) else mean.cpu().numpy()


def _finite(problem: Problem) -> FiniteWidth:
    assert isinstance(problem.finite, FiniteWidth), "chosen without asking why_not"
    return problem.finite


def _quantities(problem: Problem) -> dict[Layer, dict[str, list[int]]]:
    """For every network, where its quantities go in the stack of outputs."""
    found: dict[Layer, dict[str, list[int]]] = {}
    for k, output in enumerate(problem.outputs):
        found.setdefault(output.network, {}).setdefault(output.quantity, []).append(k)
    return found


def _skeletons(problem: Problem) -> list[tuple[FiniteNetwork, bool]]:
    """Every network without parameters, and whether its NTK is wanted."""
    width = _finite(problem).width
    return [
        (skeleton(network, problem.input_shape, width), "ntk" in places)
        for network, places in _quantities(problem).items()
    ]


def _unbuildable(problem: Problem) -> list[str]:
    """Layers that have no finite network, or do not fit."""
    try:
        _skeletons(problem)
    except (NotImplementedError, ValueError) as error:
        return [str(error)]
    return []
