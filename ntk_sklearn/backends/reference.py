"""The reference evaluator: the plain-torch recursion, tile by tile, on any device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..architecture import Layer, Positions, demanded_positions, most_positions
from ..recursion import KernelState, diagonal_state, pair_state, propagate_all
from .problem import Problem

# Arrays of the size of a tile's state that live at once inside one rule: above the largest peak
# measured over activations and layouts (dense residual networks).
_COPIES = 56
# The same for the covariances within the images of the rows, and of the columns.
_OWN_COPIES = 8
# Entries of a tile's state at which elementwise kernels are fastest (measured).
_ENTRIES = {Positions.NONE: 2**17, Positions.SAME: 2**17, Positions.ALL: 2**19}


class ReferenceEvaluator:
    """Runs every network of infinite width; never optimized beyond whole-tensor operations."""

    name = "reference"
    concurrent = False  # torch uses all cores within a tile

    def why_not(self, problem: Problem) -> list[str]:
        """Finite widths belong to the empirical evaluator."""
        if problem.finite is not None:
            return [f"it computes infinite width, the network has {problem.finite}"]
        return []

    def prepare(self, problem: Problem, X: Tensor) -> Tensor:
        """Rows of X as (n, channels, *S) on the problem's device."""
        return problem.shaped(X)

    def tile(
        self,
        problem: Problem,
        x: Tensor,
        rows: slice,
        z: Tensor,
        cols: slice,
        on_diagonal: bool,
        out: Any,
        halt: np.ndarray | None = None,
    ) -> None:
        """Fill a tile; see `Evaluator`."""
        networks = _networks(problem)
        with torch.no_grad():
            state = pair_state(x[rows], z[cols], *layout(problem), on_diagonal)
            _write(problem, networks, propagate_all(networks, state), out, on_diagonal)

    def diagonal(self, problem: Problem, x: Tensor, rows: slice, out: Any) -> None:
        """Fill k(x_i, x_i); see `Evaluator`."""
        networks = _networks(problem)
        with torch.no_grad():
            state = diagonal_state(x[rows], *layout(problem))
            _write(problem, networks, propagate_all(networks, state), out)

    def workspace(self, problem: Problem) -> tuple[int, int]:
        """Bytes per pair and per input, from the pairs of positions of the largest image."""
        size = problem.dtype.itemsize
        entries = _entries(problem)
        return size * _COPIES * entries, 2 * size * _OWN_COPIES * entries

    def tile_side(self, problem: Problem) -> int:
        """Tiles of 2^17 entries, or 2^19 for pairs of positions."""
        positions = layout(problem)[1]
        return max(1, int((_ENTRIES[positions] / _entries(problem)) ** 0.5))


def mirrored(value: Tensor) -> Tensor:
    """The upper triangle of square matrices on both sides."""
    return value.triu() + value.triu(1).mT


def _networks(problem: Problem) -> list[Layer]:
    return list(dict.fromkeys(output.network for output in problem.outputs))


def layout(problem: Problem) -> tuple[int, Positions, bool]:
    """What states are made with: spatial axes, pairs of positions, whether the NTK is wanted."""
    rank = len(problem.input_shape.spatial)
    positions = max(map(demanded_positions, _networks(problem))) if rank else Positions.NONE
    return rank, positions, any(output.quantity == "ntk" for output in problem.outputs)


def _entries(problem: Problem) -> int:
    pixels = max(most_positions(network, problem.input_shape) for network in _networks(problem))
    _, positions, _ = layout(problem)
    return pixels**2 if positions is Positions.ALL else pixels


def _write(
    problem: Problem,
    networks: list[Layer],
    states: list[KernelState],
    out: Any,
    symmetric: bool = False,
) -> None:
    by_network = dict(zip(networks, states, strict=True))
    for k, output in enumerate(problem.outputs):
        value = getattr(by_network[output.network], output.quantity)
        if symmetric:  # one rounding for both triangles
            value = mirrored(value)
        out[k] = value if isinstance(out, Tensor) else value.cpu().numpy()
