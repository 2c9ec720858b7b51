"""The prior amplitude of Laplace's method, by the probability of labels that are left out."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from .dirichlet import class_probabilities
from .laplace import LaplacePosterior, laplace_covariance, laplace_posterior
from .ridge import mean_diagonal

# Range of amplitude times mean diagonal of the kernel, and tolerance of its log.
AMPLITUDES = (1e-3, 1e4)
_TOLERANCE = 1e-2


def left_out_log_probabilities(
    K: np.ndarray, codes: np.ndarray, weight: np.ndarray, posterior: LaplacePosterior
) -> np.ndarray:
    r"""Log probability (n,) of each label when its row, or one copy of it, is left out.

    The likelihood of a row, in Laplace's approximation a normal distribution, is taken out of the
    posterior, which leaves ``cov_-i = (cov_i^-1 - W_i)^-1`` and ``mean_-i = mode_i - cov_-i
    gradient_i``, n_classes x n_classes per row; no refit (Vehtari et al. 2016, "Bayesian
    leave-one-out cross-validation approximations for Gaussian latent variable models"). Of a row
    of weight 3 one third is taken out, a row of weight below 1 as a whole.

    Parameters
    ----------
    K, codes, weight
        What `laplace_posterior` was given.
    posterior : LaplacePosterior
        What it returned.
    """
    n_classes = posterior.mode.shape[1]
    p = posterior.curvature / weight[:, np.newaxis]
    taken = np.minimum(weight, 1.0)[:, np.newaxis]
    cov = laplace_covariance(posterior.curvature, posterior.lower, posterior.shared, K, np.diag(K))
    identity = np.eye(n_classes)
    W = (taken * p)[:, :, np.newaxis] * (identity - p[:, np.newaxis, :])
    cavity = np.linalg.solve(identity - cov @ W, cov)
    gradient = taken * (identity[codes] - p)
    mean = posterior.mode - (cavity @ gradient[:, :, np.newaxis])[:, :, 0]
    found = class_probabilities(mean, (cavity + cavity.swapaxes(1, 2)) / 2.0)
    log_probability: np.ndarray = np.log(found[np.arange(len(codes)), codes])
    return log_probability


def best_amplitude(
    K: np.ndarray, codes: np.ndarray, n_classes: int, weight: np.ndarray | None = None
) -> tuple[float, LaplacePosterior, float]:
    """The factor of K under which labels that are left out are most probable.

    By scipy's bounded scalar search over the log of the factor, to a hundredth; times the mean
    diagonal of K it lies between 1e-3, where all classes are equally probable, and 1e4. The
    evidence would be cheaper, but the approximation is too low and too wide where the posterior is
    skewed: its maximum lies at amplitudes whose predictions are underconfident.

    Parameters
    ----------
    K, codes, n_classes, weight
        As of `laplace_posterior`.

    Returns
    -------
    amplitude : float
    posterior : LaplacePosterior
        For the prior covariance ``amplitude * K``.
    log_probability : float
        The weighted mean of `left_out_log_probabilities`.
    """
    weight = np.ones(len(K)) if weight is None else weight
    unit = mean_diagonal(K, weight)
    found: dict[float, tuple[LaplacePosterior, float]] = {}

    def loss(x: float) -> float:
        start = None
        if found:  # the latent values of the latest amplitude
            last = next(reversed(found))
            start = np.exp(last - x) * found[last][0].coefficients
        prior = np.exp(x) / unit * K
        posterior = laplace_posterior(prior, codes, n_classes, weight, start=start)
        left_out = left_out_log_probabilities(prior, codes, weight, posterior)
        found[x] = posterior, float(weight @ left_out / weight.sum())
        return -found[x][1]

    bounds, options = np.log(AMPLITUDES), {"xatol": _TOLERANCE}
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options=options)
    return float(np.exp(best.x) / unit), *found[best.x]
