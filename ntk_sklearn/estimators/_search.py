"""What the searches share: scores of all candidates from one kernel matrix per depth."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import is_classifier

from ..backends import Quantity
from ..inference.validation import (
    FoldModes,
    LeaveOneOutModes,
    fold_modes,
    leave_one_out_modes,
    make_fold,
)
from ._base import KernelEstimator
from ._grid import Grid, depth_of, grams, kernels_of_depths
from ._left_out import Scoring, find_scorer
from ._rows import Kernel, training_rows
from ._search_data import Part, Posed, SearchData
from ._splits import splits_of


class NetworkSearch(KernelEstimator):
    """Base of the searches, in front of the estimator whose parameters they search."""

    _estimator: ClassVar[type[KernelEstimator]]

    def _model(self, **chosen: Any) -> Any:
        """The estimator with this one's parameters, and those chosen."""
        own = self.get_params(deep=False)
        names = set(self._estimator._get_param_names()) & set(own)
        return self._estimator(**({name: own[name] for name in names} | chosen))

    def _search_data(
        self,
        kernel: Kernel,
        rows: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray,
        sample_weight: Any,
        exact: bool,
        known: dict[Any, Any],
    ) -> SearchData:
        """Everything but the Grams; `exact` says that leave-one-out has a closed form."""
        scorer = find_scorer(self, self.scoring, known)
        kernels = kernels_of_depths(kernel, self.depths)
        used = weight > 0
        splits = None
        joint = training_rows(kernel, rows, used).by_output.n > 1  # all outputs of a row at a time
        if self.cv is not None or not exact or joint:
            splits = splits_of(self.cv, rows, y, used, is_classifier(self))
        elif used.sum() < 2:
            raise ValueError("leave-one-out needs at least 2 rows, got n_samples = 1")
        merged, groups = training_rows(kernel, rows, used).merged()
        given = None if sample_weight is None else weight[used]
        scoring = Scoring(scorer, rows[used], y[used], given)
        depths = [None] if self.depths is None else [depth_of(kernel) for kernel in kernels]
        return SearchData(merged, groups, kernels, depths, y[used], weight[used], splits, scoring)

    def _posed(self, y: np.ndarray, weight: np.ndarray) -> Posed:
        raise NotImplementedError

    def _grams(self, data: SearchData, quantities: tuple[Quantity, ...]) -> np.ndarray:
        """The Grams (n_depths, n_quantities, n, n)."""
        n = data.merged.by_output.n * len(data.merged.rows)
        with self._progress("kernel", "tile", n * (n + 1) // 2) as report:
            return grams(data.kernels, data.merged, quantities, report)

    def _scores(
        self, data: SearchData, blocks: np.ndarray, ridges: list[float], times: list[float]
    ) -> np.ndarray:
        """Scores (n_depths, n_ridges, n_times, n_splits) from the Grams (n_depths, n, n)."""
        parts = self._parts(data)
        found, total = [], len(blocks) * len(parts)
        with self._progress("cross-validation", "fold") as report:
            report(0, total)
            for block in blocks:
                K = np.asarray(block, dtype=np.float64)
                for part in parts:
                    found.append(part.scores(K, data.score, ridges, times))
                    report(len(found), total)
        shape = (len(blocks), len(parts), len(ridges), len(times))
        return np.moveaxis(np.array(found).reshape(shape), 1, -1)

    def _parts(self, data: SearchData) -> list[Part]:
        """What is left out together: folds, or every row in turn."""
        if data.splits is not None:
            return [self._fold(data, *split) for split in data.splits]
        posed = self._posed(data.y, data.weight)

        def every(K: np.ndarray) -> LeaveOneOutModes:
            return leave_one_out_modes(K, data.groups, posed.targets, posed.weight)

        return [Part(posed, slice(None), every)]

    def _fold(self, data: SearchData, train: np.ndarray, test: np.ndarray) -> Part:
        posed = self._posed(data.y[train], data.weight[train])
        blocks = data.merged.by_output
        places = (blocks.places(rows) for rows in (data.groups.of_row, train, test))
        fold = make_fold(*places)
        targets, weight = blocks.flat(posed.targets), blocks.weights(posed.weight)

        def others(K: np.ndarray) -> FoldModes:
            return fold_modes(K, fold, targets, weight)

        return Part(posed, test, others, blocks)

    def _chosen(self, grid: Grid, scores: np.ndarray) -> tuple[dict[str, Any], dict[str, int]]:
        """Fitted attributes of a search, and the place of the best candidate on every axis.

        Of equally good candidates the first one.
        """
        table = grid.table(scores)
        best = int(table["rank_test_score"].argmin())
        found = {"cv_results_": table, "best_index_": best}
        found |= {"best_params_": table["params"][best]}
        return found | {"best_score_": float(table["mean_test_score"][best])}, grid.place(best)

    def _of_depth(self, data: SearchData, depth: int) -> dict[str, Any]:
        """Fitted attributes that depend on the place of the best depth."""
        kernel = data.kernels[depth]
        return {"kernel_": kernel, "depth_": depth_of(kernel)}
