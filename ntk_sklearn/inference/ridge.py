"""The network trained to convergence by gradient descent: kernel ridge regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..solvers import LEAST, Factorization, factorize, solve_checked


@dataclass(frozen=True)
class RidgeSolution:
    """Dual coefficients c with (K + ridge diag(1 / weight)) c = y.

    Attributes
    ----------
    coefficients : ndarray, (n, k)
    ridge : float
        The ridge in the units of the kernel.
    factorization : Factorization
        Of K + ridge diag(1 / weight).
    """

    coefficients: np.ndarray
    ridge: float
    factorization: Factorization


def mean_diagonal(K: np.ndarray, weight: np.ndarray) -> float:
    """The weighted mean of the diagonal of K: the unit of relative ridges and noises.

    1 for a kernel that is 0, or whose inverse would overflow.
    """
    mean = float(np.average(np.diag(K), weights=weight))
    return mean if mean > LEAST else 1.0


def solve_ridge(K: np.ndarray, y: np.ndarray, weight: np.ndarray, alpha: float) -> RidgeSolution:
    """The infinitely wide network trained until convergence, with a relative ridge.

    Gradient descent on squared loss from zero initial function ends in
    ``f(x) = K(x, X) K^-1 y`` (Lee et al. 2019, eq. 14 at t = infinity); the ridge is the penalty
    ``alpha mean(diag K) |theta - theta_0|^2`` on the distance travelled.

    Parameters
    ----------
    K : ndarray, (n, n)
        Tangent kernel of the training rows.
    y : ndarray, (n, k)
    weight : ndarray, (n,)
        Positive weights of the rows; an integer weight counts like a repetition.
    alpha : float
        Ridge in units of the weighted mean of the diagonal of K.
    """
    ridge = alpha * mean_diagonal(K, weight)
    A = np.array(K, dtype=np.float64)
    A[np.diag_indices_from(A)] += ridge / weight
    factorization = factorize(A)
    return RidgeSolution(solve_checked(A, factorization, y), ridge, factorization)
