"""Classification by Gaussian processes on log-normal approximations of Dirichlet labels."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax
from scipy.stats import norm, qmc

# Concentration given to every class before its label is seen.
EPSILON = 0.01
_N_DRAWS = 256


def dirichlet_labels(codes: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Regression targets and noise variances (n, n_classes) of class labels.

    A gamma variable of shape a is matched in mean and variance by a log-normal one, with
    ``noise = log(1 / a + 1)`` and ``target = log(a) - noise / 2``, where a = 1 + eps for the label
    and eps for the other classes (Milios et al. 2018, eqs. 5 and 6).
    """
    shape = np.eye(n_classes)[codes] + EPSILON
    noise = np.log1p(1.0 / shape)
    return np.log(shape) - noise / 2.0, noise


def class_probabilities(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """E softmax(f) for f ~ N(mean, variance), (n, n_classes).

    By one fixed set of 256 scrambled Sobol normals for all rows: deterministic, and the
    probabilities of a row do not depend on the other rows.

    Parameters
    ----------
    mean : ndarray, (n, n_classes)
    variance : ndarray, (n, n_classes) or (n, n_classes, n_classes)
        Variances of independent classes, or covariances.
    """
    full = variance.ndim == 3
    root = _symmetric_roots(variance) if full else np.sqrt(variance)
    total = np.zeros_like(mean)
    for draw in _normals(mean.shape[1]):
        total += softmax(mean + (root @ draw if full else root * draw), axis=1)
    return total / _N_DRAWS


def _symmetric_roots(covariance: np.ndarray) -> np.ndarray:
    """The one root that is a continuous function of the covariance, also where it is singular."""
    values, vectors = np.linalg.eigh(covariance)
    scaled = vectors * np.sqrt(np.maximum(values, 0.0))[:, np.newaxis]
    found: np.ndarray = scaled @ vectors.swapaxes(1, 2)
    return found


def _normals(n_classes: int) -> np.ndarray:
    uniform = qmc.Sobol(n_classes, scramble=True, seed=0).random(_N_DRAWS)
    found: np.ndarray = norm.ppf(np.clip(uniform, 1e-12, 1.0 - 1e-12))
    return found
