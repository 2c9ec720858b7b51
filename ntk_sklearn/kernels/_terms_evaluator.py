"""Tiles of kernel expressions, from tiles of the networks that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from torch import Tensor

from ..backends import (
    Evaluator,
    Problem,
    least_side,
    mirrored,
    prepared_bytes,
    tile_overhead,
)
from ._terms import Mean, Term, TermsProblem, Unit, contexts, inside, value, walk
from ._terms_tiles import Pass, Rows, RowsAlone, TilePairs

Choose = Callable[[Problem], Evaluator]
# Arrays of the size of a tile that operations on kernels hold at once, per level of operations.
_COPIES = 3


class TermsEvaluator:
    """Evaluates the networks of an expression tile by tile, and combines their tiles.

    Parameters
    ----------
    problem : TermsProblem
    choose : callable
        The evaluator of the kernels of networks.

    Raises
    ------
    ValueError
        If a network cannot be evaluated.
    """

    name = "expression"

    def __init__(self, problem: TermsProblem, choose: Choose) -> None:
        # what is evaluated in one pass, by the term that asks for it
        self.passes: dict[Term, list[Pass]] = {}
        for term in (context for output in problem.outputs for context in contexts(output)):
            asked = problem.problems(term)
            self.passes[term] = [(p, choose(p), found) for p, found in asked.items()]
        # all outputs of the whole expression together
        every = problem.problems(*problem.outputs)
        self.whole = [(p, choose(p), found) for p, found in every.items()]

    @property
    def parts(self) -> dict[Problem, Evaluator]:
        """All problems of networks, and their evaluators."""
        passes = [*self.whole, *(one for found in self.passes.values() for one in found)]
        return {problem: evaluator for problem, evaluator, _ in passes}

    @property
    def concurrent(self) -> bool:
        """Whether all evaluators compute each tile in one thread."""
        return all(evaluator.concurrent for evaluator in self.parts.values())

    def prepare(self, problem: TermsProblem, X: Tensor) -> Rows:
        """The rows, prepared for every network, with the variances that they are divided by."""
        rows = Rows(self.passes, X)
        for part, evaluator in self.parts.items():
            rows.prepared(part, evaluator)
        for term in _divided(problem):
            rows.own(term, slice(0, len(X)))
        return rows

    def tile(
        self,
        problem: TermsProblem,
        x: Rows,
        rows: slice,
        z: Rows,
        cols: slice,
        on_diagonal: bool,
        out: Any,
        halt: np.ndarray | None = None,
    ) -> None:
        """Fill a tile; see `Evaluator`."""
        pairs = TilePairs(self.passes, self.whole, (x, rows), (z, cols), on_diagonal, halt)
        for k, term in enumerate(problem.outputs):
            found = value(term, pairs)
            _put(out, k, mirrored(found) if on_diagonal else found)

    def diagonal(self, problem: TermsProblem, x: Rows, rows: slice, out: Any) -> None:
        """Fill k(x_i, x_i); see `Evaluator`."""
        pairs = RowsAlone(self.passes, self.whole, (x, rows))
        for k, term in enumerate(problem.outputs):
            _put(out, k, value(term, pairs))

    # Memory: networks are evaluated one after another, their tiles are kept until combined.

    def workspace(self, problem: TermsProblem) -> tuple[int, int]:
        """Bytes per pair and per input of a tile."""
        found = [evaluator.workspace(part) for part, evaluator in self.parts.items()]
        n_kept = sum(len(p.outputs) for p, _, _ in self.whole) + max(
            sum(len(p.outputs) for p, _, _ in one) for one in self.passes.values()
        )
        arrays = n_kept + _COPIES * max(map(_height, problem.outputs))
        per_input = max(b for _, b in found)
        if any(isinstance(term, Mean) for term in _all(problem)):
            moved = sum(prepared_bytes(e, p) for p, e in self.parts.items())
            per_input += 2 * (moved + 8 * problem.n_features)
        return max(a for a, _ in found) + arrays * problem.dtype.itemsize, per_input

    def prepared_bytes(self, problem: TermsProblem) -> int:
        """Bytes per row that `prepare` keeps."""
        kept = sum(prepared_bytes(e, p) for p, e in self.parts.items())
        return kept + problem.dtype.itemsize * len(_divided(problem))

    def tile_overhead(self, problem: TermsProblem) -> int:
        """Bytes that a tile of any size needs."""
        return max(tile_overhead(e, p) for p, e in self.parts.items())

    def tile_side(self, problem: TermsProblem) -> int:
        """The side that suits the slowest network."""
        return min(evaluator.tile_side(part) for part, evaluator in self.parts.items())

    def least_side(self, problem: TermsProblem) -> int:
        """The side below which a network has too little work."""
        side = max(least_side(e, p) for p, e in self.parts.items())
        return min(side, self.tile_side(problem))


def _put(out: Any, k: int, values: Tensor) -> None:
    out[k] = values if isinstance(out, Tensor) else values.cpu().numpy()


def _all(problem: TermsProblem) -> Iterator[Term]:
    """All operations of a problem."""
    for output in problem.outputs:
        yield from walk(output)


def _divided(problem: TermsProblem) -> list[Term]:
    """Kernels that are divided by their values for rows with themselves."""
    return list(dict.fromkeys(t.term for t in _all(problem) if isinstance(t, Unit)))


def _height(term: Term) -> int:
    """Levels of operations."""
    return 1 + max(map(_height, inside(term)), default=0)
