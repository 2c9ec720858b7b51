"""Parameters that the searches document alike."""

from __future__ import annotations

from ..kernels._docs import documented

_PARTS = {
    "grid": """alphas : sequence of float, default=(1e-4, 1e-3, 1e-2, 1e-1, 1)
        Ridges in units of the (weighted) mean diagonal of the training kernel.
    times : sequence of float, default=(inf,)
        Times of gradient flow in [0, inf].
    {depths}""",
    "depths": """depths : sequence of int or None, default=None
        Values for the `depth` of a preset; all their kernel matrices are held in memory. None
        keeps the network's own.""",
    "cv": """cv : int, splitter, iterable or None, default=None
        As in scikit-learn (stratified folds for classifiers). None leaves out one row of X at a
        time, which has a closed form at ``t=inf`` with alpha > 0 (Rasmussen and Williams 2006,
        section 5.4.2) and costs one eigendecomposition per depth; other grids take 5 folds. All
        left-out predictions are then scored at once, as one split.""",
    "scoring": """A name of scikit-learn's, or a function (estimator, X, y) -> score, is
        called with an estimator that answers for the rows left out; `sample_weight` is passed on
        where `fit` was given some.""",
    "found": """best_params_ : dict
        Of equally good candidates the first in the order of ``cv_results_["params"]``.
    best_score_ : float
    best_index_ : int
    cv_results_ : dict
        As in ``GridSearchCV``, without times: "params", "param_...", "mean_test_score",
        "std_test_score", "rank_test_score" and "split0_test_score" and so on.
    depth_ : int or None
        The depth of the network, None where it has none.""",
    "found_training": """alpha_, t_ : float
        The best ridge and time.""",
}

search_docs = documented(**_PARTS)
