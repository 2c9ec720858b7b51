"""Kernel expressions in torch's graph: differentiable in the rows and in the scales."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..backends import Problem, ReferenceEvaluator, layout
from ..recursion import KernelState, diagonal_state, pair_state, propagate_all
from . import _differentiable, _evaluate
from ._batch import Rebuild, propagate_batch
from ._differentiable import DifferentiableKernel, equal_side
from ._gradient import tile_by_tile, with_slopes
from ._terms import Leaf, Mean, Pairs, Term, TermsProblem, inside, value


@dataclass(frozen=True)
class DifferentiableTerms(DifferentiableKernel):
    """The kernel of an expression of infinite width, in the plain-torch recursion.

    `problem` is a `TermsProblem` of one output, and `rebuild` the operations for a mapping from
    names to scales.
    """

    problem: Any
    rebuild: Any

    def at(self, scales: Tensor) -> Any:
        """What the evaluators are asked for one matrix of numbers."""
        if not self.names:
            return self.problem
        return replace(self.problem, outputs=(self.rebuild(self._named(scales.tolist())),))

    def entries(self, x: Tensor, z: Tensor | None, scales: Tensor) -> Tensor:
        """Kernels (B, n, m) of all pairs, or (B, n); see `DifferentiableKernel`."""
        found = []
        for b in range(len(x)):
            columns = None if z is None else x[b] if z is x else z[b]
            found.append(self.pairs_of(x[b], columns, z is x, scales[b].unbind()))
        return torch.stack(found)

    def pairs_of(self, x: Tensor, z: Tensor | None, same: bool, scales: Any) -> Tensor:
        """The kernel (n, m) of all pairs, or (n,) of each row alone if z is None."""
        term = self.rebuild(self._named(scales)) if self.names else self.problem.outputs[0]
        mode = "alone" if z is None else "same" if same else "cross"
        return value(term, GraphPairs(self.problem, term, x, x if z is None or same else z, mode))

    def n_small(self) -> int:
        """Pairs of rows for which calling takes as long as computing."""
        side = min(ReferenceEvaluator().tile_side(part) for part in self._parts())
        return int(_differentiable._SMALL * side**2)

    def side(self, shape: tuple[int, int, int], times: int = 1) -> int:
        """Rows of a tile of which the recursion is kept `times`; see `DifferentiableKernel`."""
        per_pair, per_input = 0, 0
        for part, n in self._parts().items():
            of_pair, of_input = ReferenceEvaluator().workspace(part)
            kept = max(1, times * _differentiable._copies(part)) * (n if times else 1)
            per_pair, per_input = per_pair + kept * of_pair, per_input + kept * of_input
        return self._side(shape, _differentiable._KEPT, per_pair, per_input)

    def forward_side(self, n: int) -> int:
        """Rows of a tile with derivatives in all scales, of which nothing is kept."""
        found = [ReferenceEvaluator().workspace(part) for part in self._parts()]
        copies = 1 + len(self.names)
        per_pair, per_input = (copies * max(parts) for parts in zip(*found, strict=True))
        return equal_side(n, self._side((copies, n, n), 1.0, per_pair, per_input))

    def _side(self, shape: tuple[int, ...], part: float, per_pair: int, per_input: int) -> int:
        side = min(ReferenceEvaluator().tile_side(part) for part in self._parts())
        best = max(1, int(part * side))
        return _evaluate.side_within(
            self.problem, shape, self.memory_budget, best, per_pair, per_input
        )

    def _parts(self) -> dict[Problem, int]:
        """Problems of networks, and how often each is evaluated for a pair."""
        term = self.problem.outputs[0]
        found: dict[Problem, int] = {}
        for leaf, n in _counted(term, 1):
            part = Problem((leaf.output,), leaf.shape, self.problem.dtype, self.problem.device)
            found[part] = found.get(part, 0) + n
        return found


def _counted(term: Term, times: int) -> Iterator[tuple[Leaf, int]]:
    if isinstance(term, Leaf):
        yield term, times
    for inner in inside(term):
        yield from _counted(inner, times * (term.n_pairs() if isinstance(term, Mean) else 1))


def differentiable(
    problem: Any, rebuild: Any, names: tuple[str, ...], memory_budget: int | str | None = None
) -> DifferentiableKernel:
    """The differentiable kernel of a network or of an expression."""
    kind = DifferentiableTerms if isinstance(problem, TermsProblem) else DifferentiableKernel
    return kind(problem, rebuild, names, memory_budget)


class GraphPairs(Pairs):
    """Pairs of rows in torch's graph.

    Parameters
    ----------
    problem : TermsProblem
    term : Term
        Whose networks are evaluated in one pass.
    x, z : Tensor, (n, n_features) and (m, n_features)
    mode : {"same", "cross", "alone", "corresponding"}
        All pairs, of the same or of other rows; each row with itself; row i with row i.
    """

    def __init__(self, problem: TermsProblem, term: Term, x: Tensor, z: Tensor, mode: str) -> None:
        self.problem, self.term, self.x, self.z, self.mode = problem, term, x, z, mode
        self.alone = mode == "alone"
        self._found: dict[Leaf, Tensor] | None = None
        self._own: dict[int, tuple[Tensor, Tensor]] = {}

    def leaf(self, leaf: Leaf) -> Tensor:
        """The kernel of a network; see `Pairs`."""
        if self._found is None:
            self._found = {}
            for part, found in self.problem.problems(self.term).items():
                self._found.update(self._evaluated(part, found))
        return self._found[leaf]

    def _evaluated(self, part: Problem, found: list[Leaf]) -> dict[Leaf, Tensor]:
        networks = list(dict.fromkeys(leaf.output.network for leaf in found))
        if self.mode == "corresponding":
            x, z = self._images(part, single=True)
            state = pair_state(x, z, *layout(part))
            return {leaf: _by_row(leaf, state) for leaf in found}
        ends = dict(zip(networks, propagate_all(networks, self._state(part)), strict=True))
        return {x: getattr(ends[x.output.network], x.output.quantity) for x in found}

    def _state(self, part: Problem) -> KernelState:
        x, z = self._images(part)
        if self.alone:
            return diagonal_state(x, *layout(part))
        return pair_state(x, z, *layout(part), on_diagonal=self.mode == "same")

    def _images(self, part: Problem, single: bool = False) -> tuple[Tensor, Tensor]:
        """Rows and columns in the shape of the network's inputs, `single` ones in a batch."""
        lead = (-1, 1) if single else (-1,)
        sizes = *lead, part.input_shape.channels or self.x.shape[-1], *part.input_shape.spatial
        return self.x.reshape(sizes), self.z.reshape(sizes)

    def own(self, term: Term) -> tuple[Tensor, Tensor]:
        """The kernel of rows and columns with themselves; see `Pairs`."""
        if id(term) not in self._own:
            both = [
                value(term, GraphPairs(self.problem, term, rows, rows, "alone"))
                for rows in ((self.x,) if self.z is self.x else (self.x, self.z))
            ]
            self._own[id(term)] = both[0], both[-1]
        left, right = self._own[id(term)]
        return (left, right) if self.mode == "corresponding" else (left[:, None], right[None])

    def pinned(self, values: Tensor, own: Tensor) -> Tensor:
        """The values with those on the diagonal replaced; see `Pairs`."""
        if self.mode != "same":
            return values
        same = torch.eye(len(values), dtype=torch.bool, device=values.device)
        return torch.where(same, own, values)

    def moved(self, term: Mean, g: int, h: int) -> Pairs:
        """The pairs with row and column inputs transformed; see `Pairs`."""
        moves = term.moves()
        x = _moved(self.x, moves, g)
        same = g == h and self.mode in ("same", "alone")
        z = x if same else _moved(self.z, moves, h)
        apart = "cross" if self.mode == "same" else "corresponding"
        mode = self.mode if same or self.mode == "cross" else apart
        return GraphPairs(self.problem, term.term, x, z, mode)


def _moved(x: Tensor, moves: np.ndarray, g: int) -> Tensor:
    return x if g == 0 else x[:, torch.from_numpy(moves[g].copy()).to(x.device)]


def _by_row(leaf: Leaf, state: KernelState) -> Tensor:
    """The kernel of single pairs (n, 1, 1) as (n,)."""
    rebuild: Rebuild = lambda values: leaf.output.network  # noqa: E731
    return propagate_batch(rebuild, state, {}, leaf.output.quantity)[:, 0, 0]


def gradient(
    kernel: DifferentiableTerms, X: Tensor, values: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """The Gram (n, n) and its derivatives (n, n, p) in the logarithms of `values`.

    In forward mode, tile by tile: every array of one layer exists once per scale, and once more.
    """
    problem, n = kernel.problem, len(X)
    x = X.to(device=problem.device, dtype=problem.dtype)
    logarithms = torch.tensor([*values.values()], dtype=x.dtype, device=x.device).log()

    def of_tile(tile: Any) -> Tensor:
        pairs = x[tile.rows], x[tile.cols], tile.on_diagonal
        return with_slopes(lambda at: kernel.pairs_of(*pairs, at.exp().unbind()), logarithms)

    shape = (1 + len(values), n, n)
    return tile_by_tile(of_tile, shape, kernel.forward_side(n), problem.numpy_dtype)
