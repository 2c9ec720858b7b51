"""Tiles of kernel expressions, from tiles of the networks that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..backends import (
    Evaluator,
    Problem,
    least_side,
    mirrored,
    prepared_bytes,
    tile_overhead,
)
from ._terms import Leaf, Mean, Pairs, Term, TermsProblem, Unit, contexts, inside, value, walk

Choose = Callable[[Problem], Evaluator]
# The side of tiles of which the diagonal alone is wanted: as many columns as engines put side by
# side in a vector.
_PAIRED = 16
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
        self.passes: dict[Term, list[tuple[Problem, Evaluator, list[Leaf]]]] = {}
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

    def why_not(self, problem: TermsProblem) -> list[str]:
        """Nothing: an evaluator that cannot run a network is not chosen."""
        return []

    def prepare(self, problem: TermsProblem, X: Tensor) -> Rows:
        """The rows, prepared for every network, with the variances that they are divided by."""
        rows = Rows(self, X)
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
        pairs = TilePairs(self, self.whole, (x, rows), (z, cols), on_diagonal, halt)
        for k, term in enumerate(problem.outputs):
            found = value(term, pairs)
            _put(out, k, mirrored(found) if on_diagonal else found)

    def diagonal(self, problem: TermsProblem, x: Rows, rows: slice, out: Any) -> None:
        """Fill k(x_i, x_i); see `Evaluator`."""
        pairs = RowsAlone(self, self.whole, (x, rows))
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


class Rows:
    """Rows, what evaluators prepare of them, and their kernels with themselves."""

    def __init__(self, evaluator: TermsEvaluator, X: Tensor) -> None:
        self._evaluator, self.X = evaluator, X
        self._prepared: dict[Problem, Any] = {}
        self._own: dict[Term, Tensor] = {}

    def prepared(self, problem: Problem, evaluator: Evaluator) -> Any:
        """What the evaluator of a network prepares, once."""
        if problem not in self._prepared:
            self._prepared[problem] = evaluator.prepare(problem, self.X)
        return self._prepared[problem]

    def own(self, term: Term, rows: slice) -> Tensor:
        """The kernel of rows with themselves, (n_rows,)."""
        if term not in self._own:
            passes, every = self._evaluator.passes[term], slice(0, len(self.X))
            self._own[term] = value(term, RowsAlone(self._evaluator, passes, (self, every)))
        return self._own[term][rows]

    def moved(self, rows: slice, indices: np.ndarray) -> Rows:
        """Some rows with permuted features."""
        return Rows(self._evaluator, self.X[rows][:, torch.from_numpy(indices.copy())])


Place = tuple[Rows, slice]


class _Evaluated(Pairs):
    """Pairs whose kernels of networks are evaluated when the first is asked for."""

    def __init__(self, evaluator: TermsEvaluator, passes: Any) -> None:
        self.evaluator, self.passes = evaluator, passes
        self._found: dict[Leaf, Tensor] | None = None

    def leaf(self, leaf: Leaf) -> Tensor:
        """The kernel of a network; see `Pairs`."""
        if self._found is None:
            self._found = {}
            for problem, evaluator, found in self.passes:
                self._found.update(zip(found, self._evaluated(problem, evaluator), strict=True))
        return self._found[leaf]

    def _evaluated(self, problem: Problem, evaluator: Evaluator) -> Tensor:
        """The kernels of one problem, stacked."""
        raise NotImplementedError


class TilePairs(_Evaluated):
    """All pairs of a tile."""

    alone = False

    def __init__(
        self,
        evaluator: TermsEvaluator,
        passes: Any,
        x: Place,
        z: Place,
        on_diagonal: bool,
        halt: np.ndarray | None,
    ) -> None:
        super().__init__(evaluator, passes)
        self.x, self.z, self.on_diagonal, self.halt = x, z, on_diagonal, halt

    def _evaluated(self, problem: Problem, evaluator: Evaluator) -> Tensor:
        (x, rows), (z, cols) = self.x, self.z
        found = _empty(problem, rows.stop - rows.start, cols.stop - cols.start)
        if self.halt is not None and self.halt[0]:
            return found
        a, b = x.prepared(problem, evaluator), z.prepared(problem, evaluator)
        evaluator.tile(problem, a, rows, b, cols, self.on_diagonal, _buffer(found), self.halt)
        return found

    def own(self, term: Term) -> tuple[Tensor, Tensor]:
        """The kernel of rows and columns with themselves; see `Pairs`."""
        (x, rows), (z, cols) = self.x, self.z
        return x.own(term, rows).unsqueeze(1), z.own(term, cols).unsqueeze(0)

    def pinned(self, values: Tensor, own: Tensor) -> Tensor:
        """The values with those on the diagonal replaced; see `Pairs`."""
        if not self.on_diagonal:
            return values
        same = torch.eye(len(values), dtype=torch.bool, device=values.device)
        return torch.where(same, own, values)

    def moved(self, term: Mean, g: int, h: int) -> Pairs:
        """The pairs with row and column inputs transformed; see `Pairs`."""
        moves, passes = term.moves(), self.evaluator.passes[term.term]
        x = _moved(self.x, moves, g)
        same = self.on_diagonal and g == h
        z = x if same else _moved(self.z, moves, h)
        return TilePairs(self.evaluator, passes, x, z, same, self.halt)


class RowsAlone(_Evaluated):
    """Rows with themselves."""

    alone = True

    def __init__(self, evaluator: TermsEvaluator, passes: Any, x: Place) -> None:
        super().__init__(evaluator, passes)
        self.x = x

    def _evaluated(self, problem: Problem, evaluator: Evaluator) -> Tensor:
        x, rows = self.x
        n = rows.stop - rows.start
        found = np.empty((len(problem.outputs), n), dtype=problem.numpy_dtype)
        evaluator.diagonal(problem, x.prepared(problem, evaluator), rows, found)
        return torch.from_numpy(found).to(problem.device)

    def own(self, term: Term) -> tuple[Tensor, Tensor]:
        """The kernel of the rows with themselves; see `Pairs`."""
        found = self.x[0].own(term, self.x[1])
        return found, found

    def pinned(self, values: Tensor, own: Tensor) -> Tensor:
        """`own`; see `Pairs`."""
        return own

    def moved(self, term: Mean, g: int, h: int) -> Pairs:
        """Transformed rows, with themselves or with others; see `Pairs`."""
        moves, passes = term.moves(), self.evaluator.passes[term.term]
        x = _moved(self.x, moves, g)
        if g == h:
            return RowsAlone(self.evaluator, passes, x)
        return Corresponding(self.evaluator, passes, x, _moved(self.x, moves, h))


class Corresponding(_Evaluated):
    """Row i of one input with row i of another."""

    alone = False

    def __init__(self, evaluator: TermsEvaluator, passes: Any, x: Place, z: Place) -> None:
        super().__init__(evaluator, passes)
        self.x, self.z = x, z

    def _evaluated(self, problem: Problem, evaluator: Evaluator) -> Tensor:
        (x, rows), (z, cols) = self.x, self.z
        a, b = x.prepared(problem, evaluator), z.prepared(problem, evaluator)
        n, side = rows.stop - rows.start, min(_PAIRED, evaluator.tile_side(problem))
        found = _empty(problem, n, 1)[..., 0]
        for start in range(0, n, side):
            part = slice(start, min(start + side, n))
            i, j = (slice(at.start + part.start, at.start + part.stop) for at in (rows, cols))
            tile = _empty(problem, part.stop - part.start, part.stop - part.start)
            evaluator.tile(problem, a, i, b, j, False, _buffer(tile))
            found[:, part] = tile.diagonal(dim1=1, dim2=2)
        return found

    def own(self, term: Term) -> tuple[Tensor, Tensor]:
        """The kernel of both inputs with themselves; see `Pairs`."""
        return self.x[0].own(term, self.x[1]), self.z[0].own(term, self.z[1])

    def pinned(self, values: Tensor, own: Tensor) -> Tensor:
        """The values; see `Pairs`."""
        return values

    def moved(self, term: Mean, g: int, h: int) -> Pairs:
        """Both inputs transformed; see `Pairs`."""
        moves, passes = term.moves(), self.evaluator.passes[term.term]
        return Corresponding(
            self.evaluator, passes, _moved(self.x, moves, g), _moved(self.z, moves, h)
        )


def _moved(place: Place, moves: np.ndarray, g: int) -> Place:
    """Rows with element g of a group applied; 0 is the identity."""
    x, rows = place
    return place if g == 0 else (x.moved(rows, moves[g]), slice(0, rows.stop - rows.start))


def _empty(problem: Problem, n: int, m: int) -> Tensor:
    return torch.empty((len(problem.outputs), n, m), dtype=problem.dtype, device=problem.device)


def _buffer(values: Tensor) -> Any:
    """What evaluators write into: an array on the CPU, a tensor elsewhere."""
    return values if values.is_cuda else values.numpy()


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
