"""What a search works on: rows, targets and splits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..inference import Groups, Schedule
from ..inference.validation import FoldModes, LeaveOneOutModes
from ._blocks import Blocks
from ._left_out import Scoring
from ._rows import Kernel, TrainingRows
from ._splits import Split

# Variances (m,) of observations, for normalized targets.
Variance = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Posed:
    """Training rows as a regression.

    Attributes
    ----------
    targets, weight : ndarray, (n, k) and (n,)
    schedule : Schedule
    answers : callable
        (outputs (m, k), variance) -> an estimator that a scorer can ask.
    """

    targets: np.ndarray
    weight: np.ndarray
    schedule: Schedule
    answers: Callable[[np.ndarray, Variance], Any]


@dataclass(frozen=True)
class Part:
    """Rows that are left out and scored together.

    Attributes
    ----------
    posed : Posed
        The rows trained on.
    test : ndarray or slice
        The rows left out.
    decompose : callable
        Kernel matrix of all rows -> modes of training, which serve every ridge and time.
    blocks : Blocks
        Rows of the kernel matrix for every row.
    """

    posed: Posed
    test: Any
    decompose: Callable[[np.ndarray], FoldModes | LeaveOneOutModes]
    blocks: Blocks = field(default_factory=Blocks)

    def scores(
        self, K: np.ndarray, score: Scoring, ridges: list[float], times: list[float]
    ) -> list[list[float]]:
        """Scores of all ridges and times, from one eigendecomposition."""
        modes = self.decompose(K)

        def one(alpha: float, t: float) -> float:
            outputs, variance = modes.left_out(alpha, self.posed.schedule.learned(t))
            answers = self.posed.answers(self.blocks.shaped(outputs), variance)
            return score(answers, self.test)

        return [[one(alpha, t) for t in times] for alpha in ridges]


@dataclass(frozen=True)
class SearchData:
    """Rows of positive weight, merged, with a kernel for every depth.

    Attributes
    ----------
    merged : TrainingRows
    groups : Groups
    kernels : list of Kernel
    depths : list
        Of the kernels; [None] where they are not searched.
    y, weight : ndarray
        Of the rows as given.
    splits : list of (train, test) or None
        None leaves out one row at a time, in closed form.
    score : Scoring
    """

    merged: TrainingRows
    groups: Groups
    kernels: list[Kernel]
    depths: list[Any]
    y: np.ndarray
    weight: np.ndarray
    splits: list[Split] | None
    score: Scoring


@dataclass(frozen=True)
class KnownGram(TrainingRows):
    """Merged training rows whose Grams are there already.

    Attributes
    ----------
    groups : Groups
    blocks : dict of str to ndarray
        Grams by quantity.
    """

    groups: Groups
    blocks: dict[str, np.ndarray]

    def gram(self, *quantities: Any, progress: Any = None) -> np.ndarray:
        """The Grams (n_quantities, n, n), in float64."""
        return np.stack([np.asarray(self.blocks[q], dtype=np.float64) for q in quantities])

    def merged(self) -> tuple[TrainingRows, Groups]:
        """Itself, and the groups of the rows as given."""
        return self, self.groups
