"""What the searches over trained networks share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ._base import check_nonnegative
from ._grid import Grid, check_axis, depth_of
from ._rows import Kernel
from ._search import NetworkSearch
from ._search_data import KnownGram, SearchData
from ._training import check_time


class TrainingSearch(NetworkSearch):
    """A trained network whose ridge, time and depth were found by cross-validation."""

    # What is not searched: gradient flow on squared loss, from zero, without a curriculum.
    learning_rate: float | None = None
    momentum: float = 0.0
    loss: Any = "squared"
    initial: str = "zero"
    curriculum: None = None
    _known_scores: ClassVar[dict[Any, Any]] = {}

    @property
    def alpha(self) -> float:
        """The relative ridge that was found."""
        return float(self.alpha_)

    @property
    def t(self) -> float:
        """The time of training that was found."""
        return float(self.t_)

    def _search(
        self,
        kernel: Kernel,
        rows: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray,
        sample_weight: Any,
        spread: bool = False,
        keep_factor: bool = False,
    ) -> dict[str, Any]:
        """Fitted attributes; with `spread` also what the spread over initializations needs."""
        alphas = check_axis(self.alphas, "alphas", lambda alpha: check_nonnegative(alpha, "alpha"))
        times = check_axis(self.times, "times", check_time)
        exact = min(alphas) > 0 and not np.isfinite(times).any()
        data = self._search_data(kernel, rows, y, weight, sample_weight, exact, self._known_scores)
        # With several depths, the covariance of initial outputs is evaluated for the best alone:
        # for all of them it would double the memory.
        together = spread and len(data.kernels) == 1
        blocks = self._grams(data, ("ntk", "nngp") if together else ("ntk",))
        scores = self._scores(data, blocks[:, 0], alphas, times)
        grid = Grid({"depth": data.depths, "alpha": alphas, "t": times})
        found, place = self._chosen(grid, scores)
        found |= {"alpha_": alphas[place["alpha"]], "t_": times[place["t"]]}
        best = data.kernels[place["depth"]]
        known = dict(zip(("ntk", "nngp"), np.array(blocks[place["depth"]]), strict=False))
        del blocks  # of the other depths
        if spread and not together:
            known["nngp"] = self._grams(replace(data, kernels=[best]), ("nngp",))[0, 0]
        fitted = self._trained(data, best, known, found["alpha_"], found["t_"], keep_factor)
        return found | fitted | {"depth_": depth_of(best)}

    def _trained(
        self,
        data: SearchData,
        kernel: Kernel,
        known: dict[str, np.ndarray],
        alpha: float,
        t: float,
        keep_factor: bool,
    ) -> dict[str, Any]:
        """Training on all rows, with the Grams that are known."""
        posed = self._posed(data.y, data.weight)
        merged = data.merged
        gram = KnownGram(kernel, merged.rows, merged.reference, data.groups, known)
        model = self._model(alpha=alpha, t=t)
        fitted: dict[str, Any] = model._train(
            gram, posed.targets, posed.weight, tuple(known), keep_factor=keep_factor
        )
        return fitted
