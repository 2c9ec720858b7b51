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
    """E softmax(f) for independent f_c ~ N(mean_c, variance_c), (n, n_classes).

    By one fixed set of 256 scrambled Sobol normals for all rows: deterministic, and the
    probabilities of a row do not depend on the other rows.
    """
    draws = _normals(mean.shape[1])
    total = np.zeros_like(mean)
    for draw in draws:
        total += softmax(mean + np.sqrt(variance) * draw, axis=1)
    return total / len(draws)


def _normals(n_classes: int) -> np.ndarray:
    uniform = qmc.Sobol(n_classes, scramble=True, seed=0).random(_N_DRAWS)
    found: np.ndarray = norm.ppf(np.clip(uniform, 1e-12, 1.0 - 1e-12))
    return found
