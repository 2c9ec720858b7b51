"""Evaluators that say what a test wants to hear."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ntk_sklearn.backends import Problem, ReferenceEvaluator


@dataclass
class Fake(ReferenceEvaluator):
    """The reference's numbers in tiles of any side, under another name."""

    name: str = "fake"
    concurrent: bool = True
    reasons: list[str] = field(default_factory=list)
    side: int = 16
    least: int = 16
    bytes_of: tuple[int, int] = (1024, 0)
    kept: int = 0
    on_tile: Any = None

    def why_not(self, problem: Problem) -> list[str]:
        return self.reasons

    def tile(self, problem, x, rows, z, cols, on_diagonal, out, halt=None):
        if self.on_tile is not None:
            self.on_tile(rows, cols, halt)
        super().tile(problem, x, rows, z, cols, on_diagonal, out)

    def workspace(self, problem):
        return self.bytes_of

    def tile_side(self, problem):
        return self.side

    def least_side(self, problem):
        return self.least

    def prepared_bytes(self, problem):
        return self.kept
