"""Classification by a trained network whose ridge, time and depth are cross-validated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._validation import all_or_nothing
from ..inference import centred_one_hot
from ._base import check_weights, encode_labels
from ._docs import estimator_docs
from ._left_out import LeftOutClassifier
from ._progress import reports_progress
from ._rows import count_targets, joint_outputs
from ._search_data import Posed, Variance
from ._search_docs import search_docs
from ._training import make_schedule
from ._training_search import TrainingSearch
from .ntk_classifier import NTKClassifier
from .ntk_regressor_cv import ALPHAS


@search_docs
@estimator_docs
class NTKClassifierCV(TrainingSearch, NTKClassifier):  # type: ignore[override]  # what is found is not set
    r"""`NTKClassifier` with its ridge, training time and depth found by cross-validation.

    The kernel is evaluated once for all rows and all depths, and one eigendecomposition per fold
    and depth serves every ridge and time; see `NTKRegressorCV`. Scores equal those of
    ``GridSearchCV`` over `NTKClassifier` on the same folds.

    Parameters
    ----------
    {network}
    {grid}
    {cv}
        The classes, their weights and the unit of `alphas` are then those of all rows.
    scoring : str, callable or None, default=None
        None is the accuracy. {scoring}
    loss_scale : {"sum", "mean"}, default="sum"
        As in `NTKClassifier`.
    class_weight : dict, "balanced" or None, default=None
        Multiplies the sample weights in training, not in scores; "balanced" goes by the rows
        trained on.
    {evaluation}
    {random}
    {verbose}

    Attributes
    ----------
    {found}
    {found_training}
    classes_ : ndarray, (n_classes,)
    dual_coef_ : ndarray, (n, n_outputs)
        Trained on all rows; one output for two classes.
    ridge_, jitter_ : float
    {trained}
    {fitted}

    See Also
    --------
    NTKClassifier : With given ridge, time and depth.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.preprocessing import scale
    >>> from ntk_sklearn import NTKClassifierCV
    >>> X, y = load_wine(return_X_y=True)
    >>> search = NTKClassifierCV(depths=(1, 2, 3)).fit(scale(X), y)
    >>> bool(search.best_score_ > 0.97)
    True
    """

    _estimator = NTKClassifier

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        alphas: Sequence[float] = ALPHAS,
        times: Sequence[float] = (math.inf,),
        depths: Sequence[int] | None = None,
        cv: Any = None,
        scoring: Any = None,
        loss_scale: str = "sum",
        class_weight: Any = None,
        backend: str = "auto",
        device: str = "auto",
        dtype: str = "float64",
        memory_budget: int | str | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.alphas = alphas
        self.times = times
        self.depths = depths
        self.cv = cv
        self.scoring = scoring
        self.loss_scale = loss_scale
        self.class_weight = class_weight
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.verbose = verbose

    @reports_progress(4)
    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NTKClassifierCV:
        """Search, and train the best network on all rows.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        y : array-like, (n,)
            Labels of at least two classes, in the rows trained on of every fold.
        sample_weight : array-like, (n,), default=None
            Weights in training and in the scores; rows of weight 0 are in no part of a split.

        Returns
        -------
        NTKClassifierCV
            Itself.
        """
        rows, y, kernel = self._fit_rows(X, y)
        weight = check_weights(sample_weight, rows)
        classes, _, _ = encode_labels(y, weight, self.class_weight)
        count_targets(kernel, rows, len(classes))
        self._n_blocks = joint_outputs(kernel, rows) or 1
        found = self._search(kernel, rows, y, weight, sample_weight)
        self._set(found | {"classes_": classes})
        return self

    def _posed(self, y: np.ndarray, weight: np.ndarray) -> Posed:
        classes, codes, weight = encode_labels(y, weight, self.class_weight)
        k = self._n_blocks
        if k > 1 and len(classes) != k:
            raise ValueError(
                f"a fold has {len(classes)} of the classes that the module's {k} outputs stand "
                "for: take a cv that is stratified, or fewer folds"
            )
        targets = centred_one_hot(codes, len(classes), k)
        schedule = make_schedule(None, 0.0, self.loss_scale, weight, targets.shape[1])

        def answers(outputs: np.ndarray, _: Variance) -> LeftOutClassifier:
            if k == 2:  # what decides between two classes is the difference
                outputs = outputs[:, 1:] - outputs[:, :1]
            return LeftOutClassifier(outputs, classes)

        return Posed(targets, weight, schedule, answers)
