"""Regression by a trained network whose ridge, time and depth are found by cross-validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .._validation import all_or_nothing
from ..inference import TargetScale, target_scale
from ._base import check_weights
from ._docs import estimator_docs
from ._left_out import LeftOutRegressor, r_squared
from ._progress import reports_progress
from ._rows import check_targets, joint_outputs, of_one_network
from ._search_data import Posed, Variance
from ._search_docs import search_docs
from ._training import make_schedule
from ._training_search import TrainingSearch
from .ntk_regressor import NTKRegressor, check_uncertainty

ALPHAS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@search_docs
@estimator_docs
class NTKRegressorCV(TrainingSearch, NTKRegressor):  # type: ignore[override]  # what is found is not set
    r"""`NTKRegressor` with its ridge, training time and depth found by cross-validation.

    The kernel is evaluated once for all rows and all depths. One eigendecomposition per fold and
    depth, :math:`W^{1/2} \Theta W^{1/2} = V \,\mathrm{diag}(v)\, V^T`, serves every ridge and time:
    the prediction for rows left out is

    .. math:: f_t(x) = \Theta(x, X)\, W^{1/2} V\, \frac{1 - e^{-(v + \rho) t}}{v + \rho}\,
              V^T W^{1/2} y.

    Scores equal those of ``GridSearchCV`` over `NTKRegressor` on the same folds.

    Parameters
    ----------
    {network}
    {grid}
    {cv}
        The mean and scale of `normalize_y` and the unit of `alphas` are then those of all rows.
    scoring : str, callable or None, default=None
        None is R^2. {scoring}
    loss_scale : {"sum", "mean"}, default="sum"
        As in `NTKRegressor`.
    uncertainty : {"ensemble", "ntkgp", None}, default="ensemble"
        As in `NTKRegressor`. With "ensemble" and several depths, the covariance of initial outputs
        is evaluated once more for the best depth: for all of them it would double the memory.
    normalize_y : bool, default=True
        Centre and scale y by its weighted mean and standard deviation, as in `NTKRegressor`; in
        folds, by those of the rows trained on.
    {evaluation}
    random_state : int, RandomState or None, default=None
        Of `sample_y`.
    {verbose}

    Attributes
    ----------
    {found}
    {found_training}
    dual_coef_ : ndarray, (n, n_targets)
        Coefficients of the rows of `X_fit_`, for normalized targets, trained on all rows.
    ridge_, jitter_ : float
    y_mean_, y_std_ : ndarray, (n_targets,)
    {trained}
    nngp_train_ : ndarray, (1, n, n)
    {fitted}

    See Also
    --------
    NTKRegressor : With given ridge, time and depth.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from ntk_sklearn import NTKRegressorCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> search = NTKRegressorCV(depths=(1, 2, 3), alphas=(0.01, 0.1, 1.0)).fit(X[:200], y[:200])
    >>> sorted(search.best_params_)
    ['alpha', 'depth', 't']
    >>> mean, std = search.predict(X[200:], return_std=True)
    """

    _estimator = NTKRegressor
    _known_scores: ClassVar[dict[Any, Any]] = {None: r_squared}

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
        uncertainty: str | None = "ensemble",
        normalize_y: bool = True,
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
        self.uncertainty = uncertainty
        self.normalize_y = normalize_y
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.verbose = verbose

    @reports_progress(4)
    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NTKRegressorCV:
        """Search, and train the best network on all rows.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        y : array-like, (n,) or (n, n_targets)
        sample_weight : array-like, (n,), default=None
            Weights in training and in the scores; rows of weight 0 are in no part of a split.

        Returns
        -------
        NTKRegressorCV
            Itself.
        """
        check_uncertainty(self.uncertainty)
        rows, y, kernel = self._fit_rows(X, y, multi_output=True, y_numeric=True)
        weight = check_weights(sample_weight, rows)
        y = np.asarray(y, dtype=np.float64)
        spread = self.uncertainty == "ensemble" and of_one_network(kernel)
        keep = self.uncertainty is not None
        check_targets(kernel, rows, _columns(y, weight)[0].shape[1])
        self._n_blocks = joint_outputs(kernel, rows) or 1
        found = self._search(kernel, rows, y, weight, sample_weight, spread, keep)
        scale = self._scale(*_columns(y, weight))
        self._set(found | {"y_mean_": scale.mean, "y_std_": scale.std})
        self._one_target = y.ndim == 1
        return self

    def _scale(self, columns: np.ndarray, weight: np.ndarray) -> TargetScale:
        return target_scale(columns, weight, self.normalize_y, common=self._n_blocks > 1)

    def _posed(self, y: np.ndarray, weight: np.ndarray) -> Posed:
        columns = y.reshape(len(y), -1)
        scale = self._scale(columns, weight)
        schedule = make_schedule(None, 0.0, self.loss_scale, weight, columns.shape[1])

        def answers(outputs: np.ndarray, _: Variance) -> LeftOutRegressor:
            return LeftOutRegressor(scale.restored(outputs).reshape(-1, *y.shape[1:]))

        return Posed(scale.normalized(columns), weight, schedule, answers)


def _columns(y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Targets (n, k) and weights of the rows of positive weight."""
    used = weight > 0
    return y[used].reshape(int(used.sum()), -1), weight[used]
