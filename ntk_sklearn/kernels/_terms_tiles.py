"""Pairs of rows whose kernels of networks come from the evaluators of tiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..backends import Evaluator, Problem
from ._terms import Leaf, Mean, Pairs, Term, value

# Kernels of networks that one evaluator gives together.
Pass = tuple[Problem, Evaluator, list[Leaf]]
# What is evaluated for rows as they are, by the term that asks for it.
Passes = Mapping[Term, list[Pass]]
# The side of tiles of which the diagonal alone is wanted: as many columns as engines put side by
# side in a vector.
_PAIRED = 16


class Rows:
    """Rows, what evaluators prepare of them, and their kernels with themselves."""

    def __init__(self, passes: Passes, X: Tensor) -> None:
        self._passes, self.X = passes, X
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
            passes, n = self._passes[term], len(self.X)
            # in pieces as large as tiles: evaluators of diagonals take all that they are given
            side = min((evaluator.tile_side(p) for p, evaluator, _ in passes), default=max(n, 1))
            starts = range(0, max(n, 1), side)
            pieces = [(self, slice(start, min(start + side, n))) for start in starts]
            found = [value(term, RowsAlone(self._passes, passes, piece)) for piece in pieces]
            self._own[term] = torch.cat(found)
        return self._own[term][rows]

    def moved(self, rows: slice, indices: np.ndarray) -> Rows:
        """Some rows with permuted features."""
        return Rows(self._passes, self.X[rows][:, torch.from_numpy(indices.copy())])


Place = tuple[Rows, slice]


class _Evaluated(Pairs):
    """Pairs whose kernels of networks are evaluated when the first is asked for."""

    def __init__(self, passes: Passes, here: list[Pass]) -> None:
        self.passes, self.here = passes, here
        self._found: dict[Leaf, Tensor] | None = None

    def leaf(self, leaf: Leaf) -> Tensor:
        """The kernel of a network; see `Pairs`."""
        if self._found is None:
            self._found = {}
            for problem, evaluator, found in self.here:
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
        passes: Passes,
        here: list[Pass],
        x: Place,
        z: Place,
        on_diagonal: bool,
        halt: np.ndarray | None = None,
    ) -> None:
        super().__init__(passes, here)
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
        moves, here = term.moves(), self.passes[term.term]
        x = _moved(self.x, moves, g)
        same = self.on_diagonal and g == h
        z = x if same else _moved(self.z, moves, h)
        return TilePairs(self.passes, here, x, z, same, self.halt)


class RowsAlone(_Evaluated):
    """Rows with themselves."""

    alone = True

    def __init__(self, passes: Passes, here: list[Pass], x: Place) -> None:
        super().__init__(passes, here)
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
        moves, here = term.moves(), self.passes[term.term]
        x = _moved(self.x, moves, g)
        if g == h:
            return RowsAlone(self.passes, here, x)
        return Corresponding(self.passes, here, x, _moved(self.x, moves, h))


class Corresponding(_Evaluated):
    """Row i of one input with row i of another."""

    alone = False

    def __init__(self, passes: Passes, here: list[Pass], x: Place, z: Place) -> None:
        super().__init__(passes, here)
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
        moves, here = term.moves(), self.passes[term.term]
        return Corresponding(self.passes, here, _moved(self.x, moves, g), _moved(self.z, moves, h))


def _moved(place: Place, moves: np.ndarray, g: int) -> Place:
    """Rows with element g of a group applied; 0 is the identity."""
    x, rows = place
    return place if g == 0 else (x.moved(rows, moves[g]), slice(0, rows.stop - rows.start))


def _empty(problem: Problem, n: int, m: int) -> Tensor:
    return torch.empty((len(problem.outputs), n, m), dtype=problem.dtype, device=problem.device)


def _buffer(values: Tensor) -> Any:
    """What evaluators write into: an array on the CPU, a tensor elsewhere."""
    return values if values.is_cuda else values.numpy()
