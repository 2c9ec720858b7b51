"""What every evaluator of tiles can do, and how one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from .problem import Problem


class Evaluator(Protocol):
    """Fills tiles of kernel matrices for the problems it can handle."""

    name: str

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
    ) -> None:
        """Fill `out` (n_outputs, n_rows, n_cols) from prepared inputs `x` and `z`.

        `out` is a view of an array, or of a tensor on any device.
        `on_diagonal` says that `rows` of `x` and `cols` of `z` are the same inputs.
        """

    def diagonal(self, problem: Problem, x: Any, rows: slice, out: Any) -> None:
        """Fill `out` (n_outputs, n_rows) with k(x_i, x_i), without any pair of inputs."""

    def workspace(self, problem: Problem) -> tuple[int, int]:
        """Bytes needed beside the output: (per pair of inputs in a tile, per input)."""

    def tile_side(self, problem: Problem) -> int:
        """Rows of a tile at which the evaluator is fastest; the memory budget may ask for less."""


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
