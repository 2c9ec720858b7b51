"""The kernel of pairs of rows as a differentiable function of the rows and of the scales."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..architecture import Layer, children
from ..backends import Problem, ReferenceEvaluator, layout
from ..recursion import KernelState, diagonal_state, pair_state, propagate
from . import _evaluate
from ._batch import Rebuild, propagate_batch

# Of the pairs in a fast tile of the reference: up to here calls cost more than entries (measured).
_SMALL = 1 / 8
# The side of a tile of which the recursion is kept, over the side of a fast tile without.
_KEPT = 0.51


@dataclass(frozen=True)
class Piece:
    """Work for one call: matrices of a batch, and a tile of each of them."""

    batch: slice
    rows: slice
    cols: slice
    on_diagonal: bool


@dataclass(frozen=True)
class DifferentiableKernel:
    """The kernel of a problem of one output and infinite width, in the plain-torch recursion.

    Rows are (B, n, n_features), scales (B, n_scales): one row of scales for each matrix.

    Attributes
    ----------
    problem : Problem
        Of the network with any scales.
    rebuild : callable
        The network for a mapping from names to scales.
    names : tuple of str
        What the scales are.
    memory_budget : int, str or None
    """

    problem: Problem
    rebuild: Rebuild
    names: tuple[str, ...]
    memory_budget: int | str | None = None

    def network(self, values: Any) -> Layer:
        """The network with other scales, in the order of `names`."""
        return self.rebuild(self._named(values))

    def at(self, scales: Tensor) -> Problem:
        """What the evaluators are asked for one matrix of numbers."""
        if not self.names:
            return self.problem
        output = replace(self.problem.outputs[0], network=self.network(scales.tolist()))
        return replace(self.problem, outputs=(output,))

    def entries(self, x: Tensor, z: Tensor | None, scales: Tensor) -> Tensor:
        """Kernels (B, n, m) of all pairs, differentiable; (B, n) of each row alone if z is None.

        z is x itself, the same object, where they are the same rows.
        """
        if len(x) == 1:
            state = self._state(x[0], x[0] if z is x else None if z is None else z[0], z is x)
            network = self.network(scales[0].unbind())
            found: Tensor = getattr(propagate(network, state), self.problem.outputs[0].quantity)
            return found.unsqueeze(0)
        values = self._named(scales.unbind(-1))
        state = self._state(x, z, z is x)
        return propagate_batch(self.rebuild, state, values, self.problem.outputs[0].quantity)

    def n_small(self) -> int:
        """Pairs of rows for which calling takes as long as computing."""
        return int(_SMALL * ReferenceEvaluator().tile_side(self.problem) ** 2)

    def batches(self, shape: tuple[int, int, int], times: int) -> Iterator[slice]:
        """Matrices (B, n, m) in parts: small ones together, large ones one at a time.

        The recursion of a part is kept `times`, 0 for not at all.
        """
        n_batch, n, m = shape
        most = 0 if self.problem.finite is not None else self.n_small()
        if n_batch > 1 and n * m < most:
            most = min(most, self.side(shape, times) ** 2)
        together = max(1, most // max(1, n * m))
        for start in range(0, n_batch, together):
            yield slice(start, min(start + together, n_batch))

    def pieces(self, shape: tuple[int, int, int], symmetric: bool) -> Iterator[Piece]:
        """Pieces of matrices (B, n, m) for backpropagation: upper tiles of symmetric ones."""
        _, n, m = shape
        side = self.side(shape)
        for batch in self.batches(shape, 1):
            breadth = max(1, min(n, m) * (batch.stop - batch.start))
            longest = equal_side(max(n, m), max(side, side**2 // breadth))
            for tile in _evaluate.gradient_tiles(n, m, longest, symmetric):
                yield Piece(batch, tile.rows, tile.cols, tile.on_diagonal)

    def side(self, shape: tuple[int, int, int], times: int = 1) -> int:
        """Rows of a tile of matrices (n_matrices, n, m), the recursion of which is kept `times`.

        Raises
        ------
        MemoryError
            If matrices of this shape, or what is kept of one pair of rows, do not fit.
        """
        best = max(1, int(_KEPT * ReferenceEvaluator().tile_side(self.problem)))
        copies = max(1, times * _copies(self.problem))
        return _evaluate.gradient_side(self.problem, shape, self.memory_budget, best, copies)

    def _named(self, values: Any) -> Mapping[str, Any]:
        return dict(zip(self.names, values, strict=True))

    def _state(self, x: Tensor, z: Tensor | None, same: bool) -> KernelState:
        sizes = (self.problem.input_shape.channels, *self.problem.input_shape.spatial)
        rows = x.reshape(*x.shape[:-1], *sizes)
        if z is None:
            return diagonal_state(rows, *layout(self.problem))
        cols = rows if same else z.reshape(*z.shape[:-1], *sizes)
        return pair_state(rows, cols, *layout(self.problem), on_diagonal=same)


def equal_side(n: int, side: int) -> int:
    """The side of as many tiles that are of equal size."""
    return max(1, math.ceil(n / max(1, math.ceil(n / side))))


def _copies(problem: Problem) -> int:
    """How often what one layer needs while it is computed is kept of a network (measured)."""
    n_layers = _n_layers(problem.outputs[0].network)
    # angles are carried through dense layers, which takes twice as much
    return 1 + (n_layers // 3 if problem.input_shape.spatial else 4 * n_layers // 5)


def _n_layers(layer: Layer) -> int:
    """Layers of a tree that compute something."""
    inside = children(layer)
    return sum(map(_n_layers, inside)) if inside else 1
