"""Classification with probabilities by a network whose depth is found by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._validation import all_or_nothing
from ..inference import class_probabilities
from ._base import check_weights, encode_labels
from ._docs import estimator_docs
from ._grid import Grid, check_axis
from ._left_out import LeftOutProbabilities, log_probability
from ._progress import reports_progress
from ._search import NetworkSearch
from ._search_data import SearchData
from ._search_docs import search_docs
from ._splits import Split
from .nngp_classifier import (
    METHODS,
    OF_LAPLACE,
    NNGPClassifier,
    fit_dirichlet,
    fit_laplace,
    refuse_precomputed,
)


@search_docs
@estimator_docs
class NNGPClassifierCV(NetworkSearch, NNGPClassifier):
    r"""`NNGPClassifier` with its depth and method found by cross-validation.

    The kernel is evaluated once for all rows and all depths. Scores equal those of ``GridSearchCV``
    over `NNGPClassifier` on the same folds.

    Parameters
    ----------
    {network}
    {depths}
    methods : sequence of {"dirichlet", "laplace"}, default=("dirichlet",)
    cv : int, splitter, iterable or None, default=None
        As in scikit-learn; None is 5 stratified folds.
    scoring : str, callable or None, default=None
        None is the mean log probability of the labels, which is minus the log loss. {scoring}
    class_weight : dict, "balanced" or None, default=None
        Multiplies the sample weights in training, not in scores; "balanced" goes by the rows
        trained on.
    {evaluation}
    verbose : int, default=0
        1 reports the phases of `fit`, 2 also their progress.

    Attributes
    ----------
    {found}
    method_ : {"dirichlet", "laplace"}
    classes_ : ndarray, (n_classes,)
    dual_coef_ : ndarray, (n, n_classes)
    L_, latent_mean_, latent_scale_, jitter_
        As in `NNGPClassifier`, from all rows, with the further ones of "laplace".
    {fitted}

    See Also
    --------
    NNGPClassifier : With given depth and method.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.preprocessing import scale
    >>> from ntk_sklearn import NNGPClassifierCV
    >>> X, y = load_wine(return_X_y=True)
    >>> search = NNGPClassifierCV(depths=(1, 2, 3)).fit(scale(X), y)
    >>> bool(search.best_score_ > -0.2)
    True
    """

    _estimator = NNGPClassifier

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        depths: Sequence[int] | None = None,
        methods: Sequence[str] = ("dirichlet",),
        cv: Any = None,
        scoring: Any = None,
        class_weight: Any = None,
        backend: str = "auto",
        device: str = "auto",
        dtype: str = "float64",
        memory_budget: int | str | None = None,
        verbose: int = 0,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.depths = depths
        self.methods = methods
        self.cv = cv
        self.scoring = scoring
        self.class_weight = class_weight
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.memory_budget = memory_budget
        self.verbose = verbose

    @property
    def method(self) -> str:  # type: ignore[override]
        """The method that was found."""
        return str(self.method_)

    @reports_progress(2)
    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NNGPClassifierCV:
        """Search, and condition the prior of the best network on all labels.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        y : array-like, (n,)
            Labels of at least two classes, in the rows trained on of every fold.
        sample_weight : array-like, (n,), default=None
            Weights in training and in the scores; rows of weight 0 are in no part of a split.

        Returns
        -------
        NNGPClassifierCV
            Itself.
        """
        methods = check_axis(self.methods, "methods", _check_method)
        refuse_precomputed(self.network)
        rows, y, kernel = self._fit_rows(X, y)
        weight = check_weights(sample_weight, rows)
        classes, codes, weights = encode_labels(y, weight, self.class_weight)
        known = {None: log_probability}
        data = self._search_data(kernel, rows, y, weight, sample_weight, False, known)
        blocks = self._grams(data, ("nngp",))[:, 0]
        grid = Grid({"depth": data.depths, "method": methods})
        found, place = self._chosen(grid, self._method_scores(data, blocks, methods))
        depth, method = place["depth"], methods[place["method"]]
        found |= self._of_depth(data, depth) | {"method_": method, "classes_": classes}
        K = _rows_as_given(blocks[depth], data.groups.of_row, data.groups.of_row)
        found |= _posterior(K, codes, len(classes), weights, method)
        for name in OF_LAPLACE:  # left behind by an earlier fit
            self.__dict__.pop(name, None)
        self.__dict__.update(found | {"X_fit_": rows[weight > 0]})
        return self

    def _method_scores(
        self, data: SearchData, blocks: np.ndarray, methods: list[str]
    ) -> np.ndarray:
        """Scores (n_depths, n_methods, n_splits)."""
        splits = data.splits or []
        found, total = [], len(blocks) * len(methods) * len(splits)
        with self._progress("cross-validation", "fold") as report:
            report(0, total)
            for block in blocks:
                for method in methods:
                    for split in splits:
                        found.append(self._method_score(data, block, split, method))
                        report(len(found), total)
        return np.array(found).reshape(len(blocks), len(methods), len(splits))

    def _method_score(
        self, data: SearchData, block: np.ndarray, split: Split, method: str
    ) -> float:
        train, test = split
        classes, codes, weight = encode_labels(data.y[train], data.weight[train], self.class_weight)
        place = data.groups.of_row
        K = _rows_as_given(block, place[train], place[train])
        model = NNGPClassifier()
        model.__dict__.update(_posterior(K, codes, len(classes), weight, method))
        cross = _rows_as_given(block, place[test], place[train])
        prior = np.diag(block)[place[test]].astype(np.float64)
        mean = cross @ model.dual_coef_ * model.latent_scale_ + model.latent_mean_
        probabilities = class_probabilities(mean, model._latent_variance(cross, prior))
        return data.score(LeftOutProbabilities(probabilities, classes), test)


def _rows_as_given(block: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """The kernel of rows that the matrix of merged rows holds once."""
    return np.asarray(block[np.ix_(rows, cols)], dtype=np.float64)


def _posterior(
    K: np.ndarray, codes: np.ndarray, n_classes: int, weight: np.ndarray, method: str
) -> dict[str, Any]:
    infer = fit_laplace if method == "laplace" else fit_dirichlet
    return infer(K, codes, n_classes, weight)


def _check_method(method: Any) -> str:
    if method not in METHODS:
        raise ValueError(f"methods must be some of {', '.join(METHODS)}, got {method!r}")
    return str(method)
