"""Regression by the Bayesian infinitely wide network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._validation import all_or_nothing
from ..inference import (
    Groups,
    MergedTargets,
    TargetScale,
    condition,
    mean_diagonal,
    posterior_covariance,
    posterior_variance,
    target_scale,
)
from ..kernels import NNGP
from ..kernels._lowering import averages
from ..kernels._network import as_network, finite_width
from ..kernels.precomputed import Precomputed, is_precomputed
from ..solvers import Factorization
from ._base import check_weights
from ._docs import estimator_docs
from ._evidence import OptimalScales, optimal_scales
from ._leave_one_out import LeaveOneOutPrediction, left_out
from ._noise import check_noise, in_units_of_y, is_auto, merge_outputs, normalized_noise
from ._progress import reports_progress
from ._regression import NetworkRegressor
from ._rows import TrainingRows, training_rows
from ._search_space import search_space


@estimator_docs
class NNGPRegressor(NetworkRegressor):
    r"""Posterior of a Bayesian network of infinite width: prediction with error bars.

    A network with random weights is, at infinite width, a Gaussian process with covariance K
    (Lee et al. 2018; Matthews et al. 2018). Given targets with noise of variance s the posterior is

    .. math:: \mu(x) = K(x, X)(K(X, X) + s)^{-1} y, \qquad
              \sigma^2(x) = K(x, x) - K(x, X)(K(X, X) + s)^{-1} K(X, x),

    which is also what training only the readout gives, averaged over initializations. Scales can
    be chosen by maximizing the marginal likelihood, the *evidence* of the data,

    .. math:: \log p(y) = -\tfrac12 y^T (K + s)^{-1} y - \tfrac12 \log |K + s|
              - \tfrac n2 \log 2 \pi

    (Rasmussen and Williams 2006, algorithm 2.1 and eqs. 5.8 and 5.9). Equal rows are merged, which
    changes no result.

    Parameters
    ----------
    {network}
    noise : float, array-like (n,) or "auto", default="auto"
        Variance of the noise of y, in units of y squared; one for all rows or one per row. "auto"
        is 1e-4 of the mean diagonal of the kernel, for normalized targets: nearly noise-free. This
        is not the relative `alpha` of the NTK estimators.
    optimizer : {"lbfgs", None}, default=None
        "lbfgs" maximizes the evidence over the logarithms of the network's scales (those of
        ``NNGP(network).theta``), a common factor of the noise (unless that is 0 or per row), a
        factor `output_scale_` of K and, with `ard`, factors `input_scale_` of the features, in
        float64. Of a network of finite width only noise and output scale are free. The values
        given are candidates, too; with ``noise="auto"`` the search starts from a tenth of the
        variance of y. Constant targets say nothing and leave all as it is.
    n_restarts : int, default=0
        Further starts of the optimizer, drawn log-uniformly within the bounds.
    ard : bool, default=False
        Give every feature a factor of its own (automatic relevance determination), where there is
        an `optimizer`.
    scale_bounds : None, "fixed" or mapping, default=None
        Bounds by name, each (low, high) or "fixed": of the network's scales (by default those of
        `ntk_sklearn.kernels.NNGP`, where the readout's are fixed), of "noise" and "output_scale",
        for normalized targets (by default 1e-8 to 100 and 1e-5 to 1e5, for targets of variance 1),
        and of "input_scale" (1e-3 to 1e3). "fixed" fixes all.
    normalize_y : bool, default=True
        Centre and scale y by its weighted mean and standard deviation: the prior is for normalized
        targets.
    {evaluation}
    random_state : int, RandomState or None, default=None
        Of the restarts, and of `sample_y`.
    verbose : int, default=0
        1 reports the phases of `fit`, 2 also the progress of the kernel and of the optimizer.

    Attributes
    ----------
    dual_coef_ : ndarray, (n_distinct, n_targets)
        (K + s)^-1 of the normalized targets, for the distinct rows `X_fit_`.
    L_ : ndarray, (n_targets or 1, n_distinct, n_distinct)
        Cholesky factors of K + s; one if all outputs share the normalized noise.
    noise_ : ndarray, (n_targets,) or (n, n_targets)
        Variance of the noise in units of y squared, for rows of weight 1.
    output_scale_ : float
        What the kernel is multiplied by; 1 without an optimizer.
    input_scale_ : ndarray, (n_features_in_,)
        What the features are multiplied by; 1 without `ard`.
    n_iter_ : int
        Iterations of the optimizer's best run; 0 if the given values were kept.
    jitter_ : float
        The largest amount that had to be added to a diagonal besides, usually 0.
    log_marginal_likelihood_value_ : float
        Log density of y under the prior, summed over the outputs, in the units of y; the mean and
        scale used by `normalize_y` are held fixed.
    y_mean_, y_std_ : ndarray, (n_targets,)
    targets_, weight_, group_ : ndarray, (n, n_targets), (n,) and (n,)
        Normalized targets and weights of the rows of positive weight, and the row of `X_fit_` that
        each is equal to.
    {fitted}

    See Also
    --------
    NTKRegressor : The network trained in all layers.

    Examples
    --------
    >>> import numpy as np
    >>> from ntk_sklearn import NNGPRegressor
    >>> X = np.linspace(-2, 2, 20)[:, np.newaxis]
    >>> gp = NNGPRegressor(noise=0.01).fit(X, np.sin(X[:, 0]))
    >>> mean, std = gp.predict([[0.0], [9.0]], return_std=True)
    >>> bool(std[0] < std[1])
    True
    >>> from ntk_sklearn.networks import FullyConnected
    >>> y = np.sin(X[:, 0]) + 0.1 * np.random.default_rng(0).normal(size=20)
    >>> gp = NNGPRegressor(FullyConnected(1), optimizer="lbfgs").fit(X, y)
    >>> np.sqrt(gp.noise_).round(2)
    array([0.07])
    >>> gp.leave_one_out().log_density.shape
    (20,)
    """

    _kernel_type = NNGP

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        noise: Any = "auto",
        optimizer: str | None = None,
        n_restarts: int = 0,
        ard: bool = False,
        scale_bounds: Mapping[str, Any] | str | None = None,
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
        self.noise = noise
        self.optimizer = optimizer
        self.n_restarts = n_restarts
        self.ard = ard
        self.scale_bounds = scale_bounds
        self.normalize_y = normalize_y
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.verbose = verbose

    @reports_progress(3)
    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NNGPRegressor:
        """Condition the prior on data.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        y : array-like, (n,) or (n, n_targets)
        sample_weight : array-like, (n,), default=None
            Divides the noise of a row: an integer weight counts like a repetition of the row, 0
            like its absence. (The evidence of a weighted row is that of one observation.)

        Returns
        -------
        NNGPRegressor
            Itself.
        """
        self._check_optimizer()
        rows, y, kernel = self._fit_rows(X, y, multi_output=True, y_numeric=True)
        weight = check_weights(sample_weight, rows)
        noise = check_noise(self.noise, len(rows))
        used = weight > 0
        data, groups = training_rows(kernel, rows, used).merged()
        weight, noise = weight[used], None if noise is None else noise[used]
        values = np.asarray(y, dtype=np.float64)[used].reshape(len(weight), -1)
        scale = target_scale(values, weight, self.normalize_y)
        targets = scale.normalized(values)
        K = self._gram(data, "nngp")[0]
        noise = normalized_noise(noise, len(weight), mean_diagonal(K, groups.total(weight)), scale)
        parts = merge_outputs(targets, noise, weight, groups)
        best = OptimalScales(input_scale=np.ones(rows.shape[1]))
        if self.optimizer is not None and targets.any():
            best = self._optimum(data, parts, targets, noise, weight)
            data = _rescaled(data, best)
            K = self._gram(data, "nngp")[0]
        fitted = _posterior(K, parts, noise, scale, best)
        fitted |= {"targets_": targets, "weight_": weight, "group_": groups.of_row}
        fitted |= {"kernel_": kernel, "X_fit_": data.reference}
        self.__dict__.update(fitted, _one_target=y.ndim == 1)
        return self

    def _check_optimizer(self) -> None:
        if self.optimizer not in (None, "lbfgs"):
            raise ValueError(f"optimizer must be 'lbfgs' or None, got {self.optimizer!r}")
        if self.optimizer is None:
            if self.ard or self.scale_bounds is not None:
                raise ValueError("ard and scale_bounds need optimizer='lbfgs', it is None")
            return
        if is_precomputed(self.network):
            raise ValueError(
                "optimizer='lbfgs' varies the scales of a network: network='precomputed' has none"
            )
        if isinstance(self.n_restarts, bool) or not isinstance(self.n_restarts, Integral):
            raise TypeError(f"n_restarts must be an integer >= 0, got {self.n_restarts!r}")
        if self.n_restarts < 0:
            raise ValueError(f"n_restarts must be >= 0, got {self.n_restarts!r}")
        if self.ard and finite_width(as_network(self.network)) is not None:
            raise ValueError("ard=True needs a network of infinite width")
        if self.ard and averages(as_network(self.network)):
            raise ValueError(
                "ard=True scales features differently, and Averaged permutes them: its averages "
                "would not be over the transformed rows. Use one without the other"
            )

    def _optimum(
        self,
        data: TrainingRows,
        parts: list[MergedTargets],
        targets: np.ndarray,
        noise: np.ndarray,
        weight: np.ndarray,
    ) -> OptimalScales:
        """The scales of the largest evidence."""
        assert isinstance(data.kernel, NNGP)
        varied = np.ndim(self.noise) == 0 and noise.all()
        space = search_space(
            data.kernel,
            self.scale_bounds,
            noise=float(np.exp(np.log(noise[0]).mean())) if varied else None,
            n_inputs=data.rows.shape[1] if self.ard else 0,
            mean_square=float(np.average(np.mean(targets**2, axis=1), weights=weight)),
            auto=is_auto(self.noise),
        )
        random = check_random_state(self.random_state)
        with self._progress("evidence", "evaluation") as report:
            return optimal_scales(
                data.kernel, data.rows, parts, space, self.n_restarts, random, report
            )

    def predict(
        self,
        X: Any,
        return_std: bool = False,
        return_cov: bool = False,
        include_noise: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Posterior mean, with the standard deviation or covariance of the function.

        Parameters
        ----------
        X : array-like, (m, n_features) or images
        return_std : bool, default=False
        return_cov : bool, default=False
        include_noise : bool, default=False
            Add the noise of a new observation; for one noise level only.

        Returns
        -------
        mean : ndarray, (m,) or (m, n_targets)
        std : ndarray, (m,) or (m, n_targets)
            Only with `return_std`.
        cov : ndarray, (m, m) or (m, m, n_targets)
            Only with `return_cov`.

        Raises
        ------
        ValueError
            For error bars with ``network="precomputed"``, which does not give k(x, x) of new rows.
        """
        if return_std and return_cov:
            raise ValueError("at most one of return_std and return_cov can be asked for")
        if include_noise and not (return_std or return_cov):
            raise ValueError("include_noise adds noise to return_std or return_cov: ask for one")
        rows = self._new_rows(X)
        noise = self._new_noise() if include_noise else np.zeros(len(self.y_std_))
        rows, reference = self._scaled(rows), self._scaled(self.X_fit_)
        K_cross = self._covariance("matrix", rows, reference)
        mean = self._one(K_cross @ self.dual_coef_ * self.y_std_ + self.y_mean_)
        if not (return_std or return_cov):
            return mean
        if isinstance(self.kernel_, Precomputed):
            self.kernel_.refuse_error_bars()
        if return_std:
            prior = self._covariance("diagonal", rows)
            std = np.sqrt(self._per_output(posterior_variance, K_cross, prior)) * self.y_std_
            return mean, self._one(np.hypot(std, np.sqrt(noise)))
        cov = self._per_output(posterior_covariance, K_cross, self._covariance("matrix", rows))
        return mean, self._one(cov * self.y_std_**2 + np.eye(len(rows))[..., np.newaxis] * noise)

    def _scaled(self, rows: np.ndarray) -> np.ndarray:
        """Rows with scaled features; the column numbers of a precomputed kernel stay."""
        return rows if rows.ndim == 1 else rows * self.input_scale_

    def _covariance(self, kind: str, *rows: np.ndarray) -> np.ndarray:
        """A matrix or diagonal of the scaled kernel."""
        found = getattr(self.kernel_.of_network("nngp"), kind)(*rows)[0]
        return self.output_scale_ * np.asarray(found, dtype=np.float64)

    def _new_noise(self) -> np.ndarray:
        if self.noise_.ndim > 1:
            raise ValueError("include_noise needs one noise level; noise was given per row")
        noise: np.ndarray = self.noise_
        return noise

    def _per_output(
        self, moment: Callable[..., np.ndarray], K_cross: np.ndarray, prior: np.ndarray
    ) -> np.ndarray:
        """A second moment for every factor and normalized targets; the last axis is of outputs."""
        found = [moment(Factorization(lower, 0.0), K_cross, prior) for lower in self.L_]
        return np.stack(found, axis=-1)

    def leave_one_out(self) -> LeaveOneOutPrediction:
        r"""What all other rows say of each training row, in closed form.

        With A = K + s and :math:`\alpha = A^{-1} y` the residual is
        :math:`\alpha_i / [A^{-1}]_{ii}` and the variance :math:`1 / [A^{-1}]_{ii}` (Rasmussen and
        Williams 2006, eqs. 5.10 to 5.12); of equal rows one is left out at a time. No kernel is
        evaluated.

        The scales, and the mean and standard deviation of ``normalize_y=True``, are held fixed:
        they were found with the row that is left out.

        Returns
        -------
        LeaveOneOutPrediction
            `mean`, `std` (of the observation, its noise included) and `log_density`, each (n,) or
            (n, n_targets), for the rows of positive weight in their order.

        Raises
        ------
        ValueError
            If rows that equal others have no noise.
        """
        check_is_fitted(self)
        groups = Groups(np.unique(self.group_, return_index=True)[1], self.group_)
        noise = np.broadcast_to(self.noise_ / self.y_std_ / self.y_std_, self.targets_.shape)
        noise = noise / self.weight_[:, np.newaxis]
        mean, std, log_density = left_out(
            self.targets_, noise, groups, self.dual_coef_, [Factorization(L, 0.0) for L in self.L_]
        )
        units = (mean * self.y_std_ + self.y_mean_, std * self.y_std_)
        return LeaveOneOutPrediction(*map(self._one, (*units, log_density - np.log(self.y_std_))))


def _rescaled(data: TrainingRows, best: OptimalScales) -> TrainingRows:
    """The rows with scaled features, and their kernel with other scales of the network."""
    assert isinstance(data.kernel, NNGP)
    data.kernel.network = best.network
    return TrainingRows(data.kernel, data.rows * best.input_scale, data.reference)


def _posterior(
    K: np.ndarray,
    parts: list[MergedTargets],
    noise: np.ndarray,
    scale: TargetScale,
    best: OptimalScales,
) -> dict[str, Any]:
    """Fitted attributes of the posterior, for normalized targets with `noise` (n, n_targets)."""
    scaled, parts = best.output_scale * K, [part.times(best.noise) for part in parts]
    found = [condition(scaled, part.mean, part.noise) for part in parts]
    log_evidence = [
        float((posterior.log_evidence + part.log_within()).sum())
        for posterior, part in zip(found, parts, strict=True)
    ]
    noise = in_units_of_y(best.noise * noise, scale)
    return {
        "noise_": np.array(noise[0] if (noise == noise[:1]).all() else noise),
        "y_mean_": scale.mean,
        "y_std_": scale.std,
        "output_scale_": best.output_scale,
        "input_scale_": best.input_scale,
        "n_iter_": best.n_iter,
        "L_": np.stack([p.factorization.lower for p in found]),
        "jitter_": max(p.factorization.jitter for p in found),
        "dual_coef_": np.concatenate([p.coefficients for p in found], axis=1),
        "log_marginal_likelihood_value_": sum(log_evidence)
        - len(noise) * float(np.log(scale.std).sum()),
    }
