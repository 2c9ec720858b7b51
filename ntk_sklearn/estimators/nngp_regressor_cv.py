"""Regression by a Bayesian network whose noise and depth are found by cross-validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._validation import all_or_nothing
from ..inference import Schedule, mean_diagonal, target_scale
from ._base import check_nonnegative, check_weights
from ._docs import estimator_docs
from ._evidence import OptimalScales
from ._grid import Grid, check_axis
from ._left_out import LeftOutRegressor, log_density, r_squared
from ._noise import merge_outputs
from ._progress import reports_progress
from ._search import NetworkSearch
from ._search_data import Posed, SearchData, Variance
from ._search_docs import search_docs
from .nngp_regressor import NNGPRegressor, _posterior

NOISES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@search_docs
@estimator_docs
class NNGPRegressorCV(NetworkSearch, NNGPRegressor):
    r"""`NNGPRegressor` with its noise and depth found by cross-validation.

    The kernel is evaluated once for all rows and all depths. One eigendecomposition per depth (and
    fold) serves every noise. `NNGPRegressor(optimizer="lbfgs")` maximizes the evidence instead.

    Parameters
    ----------
    {network}
    noises : sequence of float, default=(1e-4, 1e-3, 1e-2, 1e-1, 1)
        Positive variances of the noise, in units of the (weighted) mean diagonal of the kernel,
        for normalized targets: 1e-4 is the "auto" of `NNGPRegressor`.
    {depths}
    cv : int, splitter, iterable or None, default=None
        As in scikit-learn. None leaves out one row of X at a time, in closed form (Rasmussen and
        Williams 2006, section 5.4.2) and scores all left-out predictions at once, as one split. The
        mean and scale of `normalize_y` and the unit of `noises` are then those of all rows.
    scoring : str, callable or None, default=None
        None is R^2; "log_density" the mean log density of the observations, which judges error
        bars too. {scoring} Its ``predict(X, return_std=True)`` includes the noise.
    normalize_y : bool, default=True
        Centre and scale y by its weighted mean and standard deviation; in folds, by those of the
        rows trained on.
    {evaluation}
    random_state : int, RandomState or None, default=None
        Of `sample_y`.
    verbose : int, default=0
        1 reports the phases of `fit`, 2 also their progress.

    Attributes
    ----------
    {found}
    noise_ : ndarray, (n_targets,)
        Variance of the noise in units of y squared.
    dual_coef_, L_, jitter_, log_marginal_likelihood_value_, y_mean_, y_std_
        As in `NNGPRegressor`, from all rows.
    {fitted}

    See Also
    --------
    NNGPRegressor : With given noise and depth, or those of the largest evidence.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from ntk_sklearn import NNGPRegressorCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> search = NNGPRegressorCV(depths=(1, 2), scoring="log_density").fit(X[:200], y[:200])
    >>> sorted(search.best_params_)
    ['depth', 'noise']
    >>> mean, std = search.predict(X[200:], return_std=True, include_noise=True)
    """

    _estimator = NNGPRegressor
    # What is not searched: the scales of the network.
    optimizer: str | None = None
    n_restarts: int = 0
    ard: bool = False
    scale_bounds: Any = None

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        noises: Sequence[float] = NOISES,
        depths: Sequence[int] | None = None,
        cv: Any = None,
        scoring: Any = None,
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
        self.noises = noises
        self.depths = depths
        self.cv = cv
        self.scoring = scoring
        self.normalize_y = normalize_y
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.verbose = verbose

    @property
    def noise(self) -> np.ndarray:
        """The noise that was found, in units of y squared."""
        return self.noise_

    @reports_progress(2)
    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NNGPRegressorCV:
        """Search, and condition the prior of the best network on all rows.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        y : array-like, (n,) or (n, n_targets)
        sample_weight : array-like, (n,), default=None
            Divides the noise of a row, and weighs its score; rows of weight 0 are in no part of a
            split.

        Returns
        -------
        NNGPRegressorCV
            Itself.
        """
        noises = check_axis(self.noises, "noises", _check_noise)
        rows, y, kernel = self._fit_rows(X, y, multi_output=True, y_numeric=True)
        weight = check_weights(sample_weight, rows)
        known = {None: r_squared, "log_density": log_density}
        y = np.asarray(y, dtype=np.float64)
        data = self._search_data(kernel, rows, y, weight, sample_weight, True, known)
        blocks = self._grams(data, ("nngp",))[:, 0]
        scores = self._scores(data, blocks, noises, [math.inf])[:, :, 0]
        found, place = self._chosen(Grid({"depth": data.depths, "noise": noises}), scores)
        K = np.asarray(blocks[place["depth"]], dtype=np.float64)
        found |= self._conditioned(data, K, noises[place["noise"]])
        found |= self._of_depth(data, place["depth"]) | {"X_fit_": data.merged.reference}
        self.__dict__.update(found, _one_target=y.ndim == 1)
        return self

    def _conditioned(self, data: SearchData, K: np.ndarray, relative: float) -> dict[str, Any]:
        """Fitted attributes of the posterior."""
        groups, columns = data.groups, data.y.reshape(len(data.y), -1)
        scale = target_scale(columns, data.weight, self.normalize_y)
        targets = scale.normalized(columns)
        level = relative * mean_diagonal(K, groups.total(data.weight))
        noise = np.full(targets.shape, level)
        parts = merge_outputs(targets, noise, data.weight, groups)
        given = OptimalScales(input_scale=np.ones(self.n_features_in_))
        found = _posterior(K, parts, noise, scale, given)
        return found | {"targets_": targets, "weight_": data.weight, "group_": groups.of_row}

    def _posed(self, y: np.ndarray, weight: np.ndarray) -> Posed:
        columns = y.reshape(len(y), -1)
        scale = target_scale(columns, weight, self.normalize_y)

        def answers(outputs: np.ndarray, variance: Variance) -> LeftOutRegressor:
            shape = (len(outputs), *y.shape[1:])

            def std() -> np.ndarray:
                return (np.sqrt(variance())[:, np.newaxis] * scale.std).reshape(shape)

            return LeftOutRegressor(scale.restored(outputs).reshape(shape), std)

        return Posed(scale.normalized(columns), weight, Schedule(), answers)


def _check_noise(noise: Any) -> float:
    found = check_nonnegative(noise, "noise")
    if found == 0:
        raise ValueError("noises must be positive, got 0")
    return found
