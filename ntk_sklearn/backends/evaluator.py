"""What every evaluator of tiles can do, and how one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from .problem import Problem


class Evaluator(Protocol):
    """Fills tiles of kernel matrices for the problems it can handle.

    Attributes
    ----------
    name : str
        What `backend` calls it.
    concurrent : bool
        True: tiles may run in several threads at once, each is computed by its own thread alone and
        lets the others run. Its numbers do not depend on who else runs, nor on how many threads
        torch or BLAS may take; the drivers give them one each. False: the evaluator uses all cores
        itself, and is given one tile at a time.

    Notes
    -----
    Three methods more are looked for and may be absent, see `prepared_bytes`, `tile_overhead` and
    `least_side`.
    """

    name: str
    concurrent: bool

    def why_not(self, problem: Problem) -> list[str]:
        """Reasons why this evaluator cannot run the problem; empty if it can."""

    def prepare(self, problem: Problem, X: torch.Tensor) -> Any:
        """Whatever is computed once for the rows of X (n, n_features) and reused by all tiles."""

    def tile(
        self,
        problem: Problem,
        x: Any,
        rows: slice,
        z: Any,
        cols: slice,
        on_diagonal: bool,
        out: Any,
        halt: np.ndarray | None = None,
    ) -> None:
        """Fill `out` (n_outputs, n_rows, n_cols) from prepared inputs `x` and `z`.

        Parameters
        ----------
        problem : Problem
        x, z
            What `prepare` returned; one object for a Gram.
        rows, cols : slice
            Of `x` and of `z`, possibly empty.
        on_diagonal : bool
            Whether `rows` of `x` and `cols` of `z` are the same inputs.
        out : ndarray or Tensor
            A view, in general not contiguous, of an array, or of a tensor on any device.
        halt : ndarray of uint8, (1,), optional
            Once it is not 0 the tile's content does not matter any more. An evaluator whose tiles
            may take longer than a second looks at it, and returns soon.
        """

    def diagonal(self, problem: Problem, x: Any, rows: slice, out: Any) -> None:
        """Fill `out` (n_outputs, n_rows) with k(x_i, x_i), without any pair of inputs."""

    def workspace(self, problem: Problem) -> tuple[int, int]:
        """Bytes needed beside the output: (per pair of inputs in a tile, per input)."""

    def tile_side(self, problem: Problem) -> int:
        """Rows of a tile at which the evaluator is fastest; the memory budget may ask for less."""


def prepared_bytes(evaluator: Evaluator, problem: Problem) -> int:
    """Bytes that `prepare` keeps per row of X: ``evaluator.prepared_bytes(problem)``, or 0."""
    found = getattr(evaluator, "prepared_bytes", None)
    return 0 if found is None else int(found(problem))


def tile_overhead(evaluator: Evaluator, problem: Problem) -> int:
    """Bytes that a tile of any size needs: ``evaluator.tile_overhead(problem)``, or 0."""
    found = getattr(evaluator, "tile_overhead", None)
    return 0 if found is None else int(found(problem))


def least_side(evaluator: Evaluator, problem: Problem) -> int:
    """Rows of a tile below which a pair costs more: small matrices are cut down to these.

    So they give work to all threads. ``evaluator.least_side(problem)``, or the best side.
    """
    found = getattr(evaluator, "least_side", None)
    return evaluator.tile_side(problem) if found is None else int(found(problem))


def choose(problem: Problem, evaluators: Sequence[Evaluator], backend: str = "auto") -> Evaluator:
    """The evaluator named `backend`, or the first one that has no reason against the problem.

    Raises
    ------
    ValueError
        If the named evaluator does not exist or cannot run the problem, with its reasons.
    """
    names = [evaluator.name for evaluator in evaluators]
    if backend != "auto" and backend not in names:
        raise ValueError(f"backend must be 'auto' or one of {names}, got {backend!r}")
    reasons = {}
    for evaluator in evaluators:
        if backend in ("auto", evaluator.name):
            reasons[evaluator.name] = evaluator.why_not(problem)
            if not reasons[evaluator.name]:
                return evaluator
    told = "; ".join(f"{name}: {', '.join(why)}" for name, why in reasons.items())
    raise ValueError(f"backend={backend!r} cannot evaluate this kernel: {told}")
