"""Gaussian-process posterior: the Bayesian infinitely wide network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..solvers import Factorization, factorize, solve_checked


@dataclass(frozen=True)
class Posterior:
    """A Gaussian-process prior conditioned on noisy targets (Rasmussen and Williams, alg. 2.1).

    Attributes
    ----------
    coefficients : ndarray, (n, k)
        (K + noise)^-1 y.
    factorization : Factorization
        Of K + noise.
    log_evidence : ndarray, (k,)
        log p(y) of each output.
    """

    coefficients: np.ndarray
    factorization: Factorization
    log_evidence: np.ndarray

    def mean(self, K_cross: np.ndarray) -> np.ndarray:
        """(m, k) from the covariance (m, n) of new and training rows."""
        return K_cross @ self.coefficients

    def variance(self, K_cross: np.ndarray, K_diagonal: np.ndarray) -> np.ndarray:
        """(m,); see `posterior_variance`."""
        return posterior_variance(self.factorization, K_cross, K_diagonal)

    def covariance(self, K_cross: np.ndarray, K_new: np.ndarray) -> np.ndarray:
        """(m, m); see `posterior_covariance`."""
        return posterior_covariance(self.factorization, K_cross, K_new)


def posterior_variance(
    factorization: Factorization, K_cross: np.ndarray, K_diagonal: np.ndarray
) -> np.ndarray:
    """(m,): the prior variance less what the data explain; rounding below 0 is cut."""
    explained = factorization.half_solve(K_cross.T)
    return np.maximum(K_diagonal - (explained * explained).sum(axis=0), 0.0)


def posterior_covariance(
    factorization: Factorization, K_cross: np.ndarray, K_new: np.ndarray
) -> np.ndarray:
    """(m, m) covariance of the latent function at new rows."""
    explained = factorization.half_solve(K_cross.T)
    found: np.ndarray = K_new - explained.T @ explained
    return found


def condition(K: np.ndarray, y: np.ndarray, noise: np.ndarray) -> Posterior:
    """Posterior for targets (n, k) with independent noise of variances (n,).

    Parameters
    ----------
    K : ndarray, (n, n)
        Prior covariance of the training rows.
    y : ndarray, (n, k)
    noise : ndarray, (n,)

    Notes
    -----
    Where the prior says that the targets are zero (rows of zeros in a network without biases, and
    no noise) they are not believed: the prior stays, and their log probability is 0 or -inf.
    """
    A = np.array(K, dtype=np.float64)
    A[np.diag_indices_from(A)] += noise
    if not np.diag(A).any():
        impossible = np.where(y.any(axis=0), -np.inf, 0.0)
        return Posterior(np.zeros(y.shape), Factorization(np.eye(len(A)), 0.0), impossible)
    factorization = factorize(A)
    coefficients = solve_checked(A, factorization, y)
    fit = (y * coefficients).sum(axis=0)
    constant = factorization.log_determinant + len(y) * np.log(2.0 * np.pi)
    return Posterior(coefficients, factorization, -0.5 * (fit + constant))
