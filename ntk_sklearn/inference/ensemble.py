"""Spread over initializations of trained networks, and of Bayesian deep ensembles."""

from __future__ import annotations

import numpy as np

from .filters import gradient_flow
from .training import Learned, TrainingModes


def initialization_variance(
    A: np.ndarray, nngp_train: np.ndarray, nngp_cross: np.ndarray, nngp_diagonal: np.ndarray
) -> np.ndarray:
    """(m,): the diagonal of `initialization_covariance`; rounding below 0 is cut."""
    spread = ((A @ nngp_train) * A).sum(axis=1) - 2.0 * (A * nngp_cross).sum(axis=1)
    return np.maximum(nngp_diagonal + spread, 0.0)


def initialization_covariance(
    A: np.ndarray, nngp_train: np.ndarray, nngp_cross: np.ndarray, nngp_new: np.ndarray
) -> np.ndarray:
    """Covariance (m, m) of f = f_0 + A (y - f_0(X)) for f_0 with the NNGP covariance K.

    K(x, x') + A K(X, X) A^T - (A K(X, x') + transpose) (Lee et al. 2019, eq. 16).
    """
    mixed = A @ nngp_cross.T
    found: np.ndarray = nngp_new + A @ nngp_train @ A.T - (mixed + mixed.T)
    return found


def ensemble_covariance(
    modes: TrainingModes,
    learned: Learned,
    ridge: float,
    theta_cross: np.ndarray,
    nngp_train: np.ndarray,
    nngp_cross: np.ndarray,
    nngp_new: np.ndarray,
) -> np.ndarray:
    """Covariance of trained networks over their initializations (Lee et al. 2019, eq. 16).

    Parameters
    ----------
    modes, learned, ridge
        As for the mean.
    theta_cross, nngp_cross : ndarray, (m, n)
        New against training rows.
    nngp_train, nngp_new : ndarray, (n, n) and (m, m)
    """
    A = modes.smoother(theta_cross, learned, ridge)
    return initialization_covariance(A, nngp_train, nngp_cross, nngp_new)


def readout_covariance(
    modes: TrainingModes, t: float, nngp_cross: np.ndarray, nngp_new: np.ndarray, ridge: float = 0.0
) -> np.ndarray:
    """Covariance when only the readout is trained: the kernel of training is the NNGP itself.

    Without a ridge it is K(x, x') - K(x, X) K^-1 (1 - exp(-2 K t)) K(X, x'): the exponent has a
    factor 2, since 1 - (1 - e)^2 of the initial variance e = 1 - exp(-K t) is explained. (The
    printed formula of Lee et al. 2019, S23, lacks it.)
    """
    n = len(modes.root_weight)
    explained = modes.coefficients(np.eye(n), lambda v: gradient_flow(v, 2.0 * t), ridge)
    found: np.ndarray = nngp_new - nngp_cross @ explained @ nngp_cross.T
    return found
