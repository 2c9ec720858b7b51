"""Regression by a trained network of infinite width."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from .._validation import all_or_nothing
from ..finite import Linearized
from ..inference import (
    LossGradient,
    huber,
    initialization_covariance,
    initialization_variance,
    target_scale,
)
from ..kernels.precomputed import Precomputed
from ._base import check_weights
from ._docs import estimator_docs
from ._progress import reports_progress
from ._regression import NetworkRegressor
from ._rows import check_targets, of_one_network, training_rows
from ._trained import TrainedNetwork


@estimator_docs
class NTKRegressor(NetworkRegressor, TrainedNetwork):
    r"""The mean prediction of an infinitely wide network, trained to convergence or for a time.

    Gradient descent on squared loss moves an infinitely wide network as a linear model in its
    tangent features; trained from a zero initial function it ends in
    :math:`f(x) = \Theta(x, X)\,\Theta(X, X)^{-1} y`, which is also the mean over initializations
    (Jacot et al. 2018; Lee et al. 2019, eq. 14). `alpha` penalizes the distance that the parameters
    travel: :math:`\Theta + \alpha\, m\, \mathrm{diag}(1 / w)` with m the weighted mean of the
    diagonal of :math:`\Theta` and w the sample weights. After a time t of gradient flow every
    eigenmode of :math:`\Theta` with eigenvalue v has been learned up to exp(-v t).

    Of a torch module, :math:`\Theta` is the kernel of its gradients as it is; of one with k outputs
    the matrix (n k, n k) of all pairs of outputs, trained for one target for each (see
    `Linearized`).

    Parameters
    ----------
    {network}
    {alpha}
    {time}
    {steps}
    loss : {"squared", "huber"} or callable, default="squared"
        Losses other than the squared one are trained for a finite `t`, by an ODE solver: "huber"
        (linear beyond 1, which is one standard deviation of y if it is normalized), or a function
        (outputs, targets) -> gradient of the summed loss, all of them arrays (n, n_targets), for
        normalized targets.
    {curriculum}
    uncertainty : {"ensemble", "ntkgp", None}, default="ensemble"
        What `return_std`, `return_cov` and `sample_y` mean. "ensemble": the spread of trained
        networks over their random initializations (Lee et al. 2019, eq. 16). "ntkgp": the posterior
        with the tangent kernel as prior covariance and the ridge as noise, which a Bayesian deep
        ensemble samples (He et al. 2020); only at ``t=inf``. None keeps nothing for them.
        A torch module has no spread, and the posterior: there parameters have the prior
        N(0, 1) around their present values, for normalized targets.
    {initial}
    normalize_y : bool, default=True
        Centre and scale y by its weighted mean and standard deviation before training; by one
        standard deviation, the root of the mean variance, for several outputs of a module.
    {evaluation}
    {random}
    {verbose}

    Attributes
    ----------
    dual_coef_ : ndarray, (n, n_targets)
        Coefficients of the rows of `X_fit_`, for normalized targets.
    ridge_ : float
        The ridge in the units of the kernel.
    jitter_ : float
        What had to be added to the diagonal besides, usually 0.
    y_mean_ : ndarray, (n_targets,)
        The constant added to the predictions.
    {trained}
    nngp_train_ : ndarray, (1, n, n)
        Covariance of the initial outputs; empty unless ``uncertainty="ensemble"``.
    y_std_ : ndarray, (n_targets,)
        What predictions and their spread are multiplied by.
    {fitted}

    See Also
    --------
    NNGPRegressor : Bayesian posterior with error bars.
    ntk_sklearn.kernels.NTK : The kernel, for other learners.

    Examples
    --------
    >>> import numpy as np
    >>> from ntk_sklearn import NTKRegressor
    >>> X = np.linspace(-2, 2, 20)[:, np.newaxis]
    >>> NTKRegressor().fit(X, np.sin(X[:, 0])).predict([[0.0]]).round(2) + 0.0
    array([0.])
    """

    _losses: ClassVar[dict[str, LossGradient]] = {"huber": huber()}

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        alpha: float = 1e-4,
        t: float = math.inf,
        learning_rate: float | None = None,
        momentum: float = 0.0,
        loss: Any = "squared",
        loss_scale: str = "sum",
        curriculum: Any = None,
        uncertainty: str | None = "ensemble",
        initial: str = "zero",
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
        self.alpha = alpha
        self.t = t
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.loss = loss
        self.loss_scale = loss_scale
        self.curriculum = curriculum
        self.uncertainty = uncertainty
        self.initial = initial
        self.normalize_y = normalize_y
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.verbose = verbose

    @reports_progress(2)
    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NTKRegressor:
        """Train the infinitely wide network.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        y : array-like, (n,) or (n, n_targets)
        sample_weight : array-like, (n,), default=None
            An integer weight counts like a repetition of the row, 0 like its absence.

        Returns
        -------
        NTKRegressor
            Itself.
        """
        check_uncertainty(self.uncertainty)
        rows, y, kernel = self._fit_rows(X, y, multi_output=True, y_numeric=True)
        weight = check_weights(sample_weight, rows)
        used = weight > 0
        data, weight = training_rows(kernel, rows, used), weight[used]
        targets = np.asarray(y, dtype=np.float64)[used].reshape(len(weight), -1)
        check_targets(kernel, data.rows, targets.shape[1])
        scale = target_scale(targets, weight, self.normalize_y, common=data.by_output.n > 1)
        # one network has no spread, and that after training on other losses has no formula
        has_spread = self.initial == "zero" and self.loss == "squared"
        spread = self.uncertainty == "ensemble" and of_one_network(kernel) and has_spread
        fitted = self._train(
            data,
            scale.normalized(targets),
            weight,
            ("ntk", "nngp") if spread else ("ntk",),
            keep_factor=self.uncertainty is not None,
            scale=scale,
        )
        self._set(fitted | {"y_mean_": scale.mean, "y_std_": scale.std})
        self._one_target = y.ndim == 1
        return self

    def predict(
        self,
        X: Any,
        t: Any = None,
        return_std: bool = False,
        return_cov: bool = False,
        include_noise: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Outputs of the trained network, with their spread.

        Parameters
        ----------
        X : array-like, (m, n_features) or images
        t : float or array-like, optional
            Training times instead of the constructor's. Unless `fit` was for a finite time or
            without a ridge, the first call decomposes the kernel of the training rows.
        return_std, return_cov : bool, default=False
            Standard deviation, or covariance, of the outputs: see `uncertainty`. At one time.
        include_noise : bool, default=False
            Add the variance of a new observation's noise, the ridge (``ridge_ * y_std_**2`` in
            units of y); for ``"ntkgp"``.

        Returns
        -------
        mean : ndarray, (m,) or (m, n_targets)
            With a leading axis for an array of times.
        std : ndarray, (m,) or (m, n_targets)
            Only with `return_std`.
        cov : ndarray, (m, m) or (m, m, n_targets)
            Only with `return_cov`. Of several outputs of a module, those of each by itself.
        """
        if return_std and return_cov:
            raise ValueError("at most one of return_std and return_cov can be asked for")
        rows = self._new_rows(X)
        spread = return_std or return_cov
        blocks = self._cross(rows, spread, t, include_noise)
        outputs = self._outputs(rows, blocks[0], t)
        mean = self._one(outputs * self.y_std_ + self.y_mean_)
        if not spread:
            return mean
        moment = self._moment(rows, blocks, t, return_cov)
        if include_noise:
            moment += self.ridge_ * (np.eye(len(moment)) if return_cov else 1.0)
        moment = self._by_output(moment, return_cov)
        return mean, self._one(
            moment * self.y_std_**2 if return_cov else np.sqrt(moment) * self.y_std_
        )

    def _by_output(self, moment: np.ndarray, full: bool) -> np.ndarray:
        """With a last axis for outputs: of length 1 where they have one moment in common."""
        if self._n_blocks == 1:
            return moment[..., np.newaxis]
        return self._blocks.own(moment) if full else moment.reshape(-1, self._n_blocks)

    def _normalized(self, outputs: np.ndarray) -> np.ndarray:
        return (outputs - self.y_mean_) / self.y_std_

    def sample_y(
        self, X: Any, n_samples: int = 1, random_state: Any = None, **at: Any
    ) -> np.ndarray:
        """Functions drawn from the predicted distribution; see `NNGPRegressor.sample_y`.

        Raises
        ------
        ValueError
            For several outputs of a module, which are not independent of each other.
        """
        if self._n_blocks > 1:
            raise ValueError(
                "sample_y draws outputs independently, and those of a module are not: take "
                "return_cov, the covariance of each output, or a module with one output"
            )
        return super().sample_y(X, n_samples, random_state, **at)

    def _cross(self, rows: np.ndarray, spread: bool, t: Any, include_noise: bool) -> np.ndarray:
        """Kernels (1 or 2, m, n) of new and training rows."""
        if include_noise and not (spread and self.uncertainty == "ntkgp"):
            raise ValueError(
                "include_noise adds noise to return_std or return_cov of uncertainty='ntkgp'; the "
                "spread over initializations has none"
            )
        if spread:
            self._check_spread(t)
        both = spread and self.uncertainty == "ensemble"
        kernel = self.kernel_.of_network(*(("ntk", "nngp") if both else ("ntk",)))
        return np.asarray(kernel.matrix(rows, self.X_fit_), dtype=np.float64)

    def _check_spread(self, t: Any) -> None:
        if self.uncertainty is None:
            raise ValueError("error bars need uncertainty='ensemble' or 'ntkgp', it is None")
        if self._seed >= 0:
            raise ValueError("one network has no error bars: they need initial='zero'")
        if self._loss != "squared":
            raise ValueError(f"error bars are known for loss='squared', not for {self._loss!r}")
        if isinstance(self.kernel_, Precomputed):
            if self.uncertainty == "ntkgp":
                self.kernel_.refuse_error_bars()
        elif self.uncertainty == "ensemble" and isinstance(self.kernel_.network, Linearized):
            raise ValueError(
                "uncertainty='ensemble' is the spread over random initializations, and a torch "
                "module is one network: set uncertainty='ntkgp', the posterior with its tangent "
                "kernel, or pass networks.from_module(module)"
            )
        elif self.uncertainty == "ensemble" and not of_one_network(self.kernel_):
            raise ValueError(
                "uncertainty='ensemble' is the spread of one network, and this kernel is that of "
                f"none: {self.kernel_.network!r}; its NNGP and NTK do not belong together. Take "
                "uncertainty='ntkgp', or NNGPRegressor"
            )
        elif self.uncertainty == "ensemble" and not self.nngp_train_.size:
            raise ValueError("uncertainty='ensemble' was set after fit: fit again")
        if np.ndim(t):
            raise ValueError("error bars are given at one time t, not at an array of them")
        if self.uncertainty == "ntkgp" and not math.isinf(self.t_ if t is None else t):
            raise ValueError("uncertainty='ntkgp' is a posterior: it needs t=inf")

    def _moment(self, rows: np.ndarray, blocks: np.ndarray, t: Any, full: bool) -> np.ndarray:
        """Variance (m,) or covariance (m, m) for normalized targets."""
        ensemble = self.uncertainty == "ensemble"
        kernel = self.kernel_.of_network("nngp" if ensemble else "ntk")
        prior = np.asarray(kernel.matrix(rows) if full else kernel.diagonal(rows), np.float64)[0]
        A = self._smoother(blocks[0], t)
        if ensemble:
            moment = initialization_covariance if full else initialization_variance
            return moment(A, self.nngp_train_[0], blocks[1], prior)
        if full:
            return prior - A @ blocks[0].T
        return np.maximum(prior - (A * blocks[0]).sum(axis=1), 0.0)


def check_uncertainty(uncertainty: Any) -> None:
    """Refuse an unknown kind of error bars."""
    if uncertainty not in ("ensemble", "ntkgp", None):
        raise ValueError(f"uncertainty must be 'ensemble', 'ntkgp' or None, got {uncertainty!r}")
