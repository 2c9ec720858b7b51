"""Regression by the Bayesian infinitely wide network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin

from ..inference import (
    Posterior,
    TargetScale,
    condition,
    mean_diagonal,
    posterior_covariance,
    posterior_variance,
    target_scale,
)
from ..kernels import NNGP
from ..solvers import Factorization
from ._base import KernelEstimator, check_nonnegative, check_weights
from ._docs import estimator_docs

# Noise of "auto", in units of the weighted mean diagonal of the kernel (for normalized targets).
AUTO_NOISE = 1e-4


@estimator_docs
class NNGPRegressor(MultiOutputMixin, RegressorMixin, KernelEstimator):
    r"""Posterior of a Bayesian network of infinite width: prediction with error bars.

    A network with random weights is, at infinite width, a Gaussian process with covariance K
    (Lee et al. 2018; Matthews et al. 2018). Given targets with noise of variance s the posterior is

    .. math:: \mu(x) = K(x, X)(K(X, X) + s)^{-1} y, \qquad
              \sigma^2(x) = K(x, x) - K(x, X)(K(X, X) + s)^{-1} K(X, x),

    which is also what training only the readout gives, averaged over initializations.

    Parameters
    ----------
    {network}
    noise : float, array-like (n,) or "auto", default="auto"
        Variance of the noise of y, in units of y squared; one for all rows or one per row. "auto"
        is 1e-4 of the mean diagonal of the kernel, for normalized targets: nearly noise-free. This
        is not the relative `alpha` of the NTK estimators.
    normalize_y : bool, default=True
        Centre and scale y by its weighted mean and standard deviation: the prior is for normalized
        targets.
    {evaluation}

    Attributes
    ----------
    dual_coef_ : ndarray, (n, n_targets)
        (K + s)^-1 of the normalized targets.
    L_ : ndarray, (n_targets or 1, n, n)
        Cholesky factors of K + s; one if all outputs share the normalized noise.
    noise_ : ndarray, (n_targets,) or (n, n_targets)
        Variance of the noise in units of y squared.
    jitter_ : float
        The largest amount that had to be added to a diagonal besides, usually 0.
    log_marginal_likelihood_value_ : float
        Log density of y under the prior, summed over the outputs, in the units of y; the mean and
        scale used by `normalize_y` are held fixed.
    y_mean_, y_std_ : ndarray, (n_targets,)
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
    """

    _kernel_type = NNGP

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        noise: Any = "auto",
        normalize_y: bool = True,
        backend: str = "auto",
        device: str = "auto",
        dtype: str = "float64",
        memory_budget: int | str | None = None,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.noise = noise
        self.normalize_y = normalize_y
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.memory_budget = memory_budget

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NNGPRegressor:
        """Condition the prior on data.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        y : array-like, (n,) or (n, n_targets)
        sample_weight : array-like, (n,), default=None
            Divides the noise of a row: an integer weight counts like a repetition of the row, 0
            like its absence.

        Returns
        -------
        NNGPRegressor
            Itself.
        """
        rows, y, kernel = self._fit_rows(X, y, multi_output=True, y_numeric=True)
        weight = check_weights(sample_weight, rows)
        noise = self._checked_noise(len(rows))
        used = weight > 0
        rows, weight = rows[used], weight[used]
        targets = np.asarray(y, dtype=np.float64)[used].reshape(len(rows), -1)
        scale = target_scale(targets, weight, self.normalize_y)
        K = kernel(rows)
        noise = self._noise_of_outputs(noise, used, K, weight, scale)
        posteriors = _condition_outputs(K, scale.normalized(targets), noise / scale.std**2, weight)
        self._store(posteriors, targets.shape, scale)
        self.kernel_, self.X_fit_ = kernel, rows
        self.noise_ = np.array(noise[0] if (noise == noise[:1]).all() else noise)
        self._one_target = y.ndim == 1
        return self

    def _checked_noise(self, n: int) -> np.ndarray | None:
        """Noise per row in the units of y, or None for "auto"."""
        if isinstance(self.noise, str) and self.noise == "auto":
            return None
        if np.ndim(self.noise) == 0:
            return np.full(n, check_nonnegative(self.noise, "noise"))
        noise = np.asarray(self.noise, dtype=np.float64)
        if noise.shape != (n,) or not (np.isfinite(noise).all() and (noise >= 0).all()):
            raise ValueError(
                f"noise must be 'auto', a number >= 0 or {n} of them, one per row, got an array of "
                f"shape {noise.shape}"
            )
        return noise

    def _noise_of_outputs(
        self,
        noise: np.ndarray | None,
        used: np.ndarray,
        K: np.ndarray,
        weight: np.ndarray,
        scale: TargetScale,
    ) -> np.ndarray:
        """Noise (n, n_targets) in the units of y."""
        if noise is None:
            level = AUTO_NOISE * mean_diagonal(K, weight)
            return np.broadcast_to(level * scale.std**2, (len(K), len(scale.std)))
        return np.broadcast_to(noise[used, np.newaxis], (len(K), len(scale.std)))

    def _store(
        self, posteriors: list[Posterior], shape: tuple[int, ...], scale: TargetScale
    ) -> None:
        self.L_ = np.stack([p.factorization.lower for p in posteriors])
        self.jitter_ = max(p.factorization.jitter for p in posteriors)
        self.dual_coef_ = np.concatenate([p.coefficients for p in posteriors], axis=1)
        log_evidence = np.concatenate([p.log_evidence for p in posteriors])
        self.log_marginal_likelihood_value_ = float(
            np.sum(log_evidence - shape[0] * np.log(scale.std))
        )
        self.y_mean_, self.y_std_ = scale.mean, scale.std

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
        """
        if return_std and return_cov:
            raise ValueError("at most one of return_std and return_cov can be asked for")
        rows = self._new_rows(X)
        noise = self._new_noise() if include_noise else np.zeros(len(self.y_std_))
        K_cross = self.kernel_(rows, self.X_fit_)
        mean = self._one(K_cross @ self.dual_coef_ * self.y_std_ + self.y_mean_)
        if return_std:
            variance = self._per_output(posterior_variance, K_cross, self.kernel_.diag(rows))
            return mean, self._one(np.sqrt(variance + noise))
        if return_cov:
            cov = self._per_output(posterior_covariance, K_cross, self.kernel_(rows))
            return mean, self._one(cov + np.eye(len(rows))[..., np.newaxis] * noise)
        return mean

    def _new_noise(self) -> np.ndarray:
        if self.noise_.ndim > 1:
            raise ValueError("include_noise needs one noise level; noise was given per row")
        noise: np.ndarray = self.noise_
        return noise

    def _per_output(
        self, moment: Callable[..., np.ndarray], K_cross: np.ndarray, prior: np.ndarray
    ) -> np.ndarray:
        """A second moment for every factor, along a last axis of outputs, in units of y squared."""
        found = [moment(Factorization(lower, 0.0), K_cross, prior) for lower in self.L_]
        return np.stack(found, axis=-1) * self.y_std_**2

    def _one(self, values: np.ndarray) -> np.ndarray:
        return values[..., 0] if self._one_target else values


def _condition_outputs(
    K: np.ndarray, y: np.ndarray, noise: np.ndarray, weight: np.ndarray
) -> list[Posterior]:
    """One posterior for all outputs where they share the noise, else one per output."""
    noise = noise / weight[:, np.newaxis]
    if (noise == noise[:, :1]).all():
        return [condition(K, y, noise[:, 0])]
    return [condition(K, y[:, k : k + 1], noise[:, k]) for k in range(y.shape[1])]
