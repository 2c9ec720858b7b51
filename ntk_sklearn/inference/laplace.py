"""Classification by Gaussian processes: Laplace's approximation with the softmax likelihood."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotri
from scipy.special import logsumexp, softmax
from sklearn.exceptions import ConvergenceWarning

from ..solvers import Factorization, factorize

_HALVINGS = 40
# Steps of this fraction of |K| |a| are rounding: latent values are K a.
_ROUNDING = 1e-13
# Predictive covariances of so many rows at a time: they hold n_classes arrays like K_cross.
_ROWS = 256


@dataclass(frozen=True)
class LaplacePosterior:
    r"""Gaussian approximation of the latent functions of all classes at their mode.

    With D = diag(curvature) the curvature of the likelihood is W = D - V V^T, and
    (K + W^-1)^-1 = E - E R (R^T E R)^-1 R^T E, where E is block diagonal with
    E_c = (K + D_c^-1)^-1 and R stacks identities (Rasmussen and Williams 2006, eq. 3.47).

    Attributes
    ----------
    coefficients : ndarray, (n, n_classes)
        K^-1 mode; rows sum to zero.
    mode : ndarray, (n, n_classes)
        The most probable latent values.
    curvature : ndarray, (n, n_classes)
        Weights times class probabilities at the mode.
    lower : ndarray, (n_classes, n, n)
        Cholesky factors of I + D_c^1/2 K D_c^1/2.
    shared : ndarray, (n, n)
        Cholesky factor of R^T E R, the sum over classes of E_c.
    log_evidence : float
        Approximation of log p(labels).
    """

    coefficients: np.ndarray
    mode: np.ndarray
    curvature: np.ndarray
    lower: np.ndarray
    shared: np.ndarray
    log_evidence: float


def laplace_posterior(
    K: np.ndarray,
    codes: np.ndarray,
    n_classes: int,
    weight: np.ndarray | None = None,
    *,
    start: np.ndarray | None = None,
    tol: float = 1e-7,
    max_iter: int = 100,
) -> LaplacePosterior:
    r"""Laplace's approximation for labels under one prior covariance for every class.

    The mode maximizes ``sum_i w_i log softmax(f_i)[code_i] - 1/2 sum_c f_c^T K^-1 f_c``, found by
    Newton's method (Rasmussen and Williams 2006, algorithm 3.3) with steps that are halved where
    they overshoot. A weight of 2 is the row twice.

    Parameters
    ----------
    K : ndarray, (n, n)
        Positive semidefinite; equal rows do no harm.
    codes : ndarray of int, (n,)
        Labels, from 0 to n_classes - 1.
    n_classes : int
    weight : ndarray, (n,), optional
        Positive factors of the rows' log likelihoods; 1 by default.
    start : ndarray, (n, n_classes), optional
        First guess of the coefficients; zero by default.
    tol : float, default=1e-7
        Newton's method ends with a step that changes no latent value by more (or by no more than
        rounding does). It converges quadratically, so that what is left after that step is of the
        order of the square.
    max_iter : int, default=100

    Warns
    -----
    ConvergenceWarning
        If `max_iter` steps do not suffice.
    """
    weight = np.ones(len(K)) if weight is None else weight
    labels = np.eye(n_classes)[codes]
    a = np.zeros_like(labels) if start is None else start
    rounding = _ROUNDING * float(np.abs(K).sum(axis=1).max())
    for _ in range(max_iter):
        step = _newton_step(K, a, labels, weight)
        # coefficients sum to zero over classes at the mode: what classes share is not in the data
        step -= (a + step).mean(axis=1, keepdims=True)
        a = _ascend(K, a, step, labels, weight)
        if np.abs(K @ step).max() <= max(tol, rounding * np.abs(a).max()):
            break
    else:
        warnings.warn(
            f"Laplace's approximation did not converge in {max_iter} Newton steps",
            ConvergenceWarning,
            stacklevel=2,
        )
    return _posterior(K, a, labels, weight)


def _newton_step(
    K: np.ndarray, a: np.ndarray, labels: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """K^-1 (K^-1 + W)^-1 (gradient - a), the full step of the coefficients.

    From the gradient of likelihood and prior together, which vanishes at the mode, and rounding
    errors with it; the book's form of the same step does not.
    """
    p = softmax(K @ a, axis=1)
    curvature = weight[:, np.newaxis] * p
    lower, shared = _factors(K, curvature)
    b = weight[:, np.newaxis] * (labels - p) - a
    c = _apply_E(lower, curvature, K @ b)
    common = Factorization(shared, 0.0).solve(c.sum(axis=1))
    return b - c + _apply_E(lower, curvature, np.tile(common[:, np.newaxis], len(lower)))


def _ascend(
    K: np.ndarray, a: np.ndarray, step: np.ndarray, labels: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """The longest of a + step, a + step / 2, ... that is no worse than a; a if none is."""
    before = _objective(K, a, labels, weight)
    allowed = 1e-13 * (abs(before) + weight.sum())  # rounding
    for halving in range(_HALVINGS):
        found = a + 0.5**halving * step
        if _objective(K, found, labels, weight) >= before - allowed:
            return found
    return a


def _objective(K: np.ndarray, a: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> float:
    """Log of likelihood times prior, without the prior's constant."""
    mode = K @ a
    likelihood = weight @ ((labels * mode).sum(axis=1) - logsumexp(mode, axis=1))
    return float(likelihood - 0.5 * (a * mode).sum())


def _factors(K: np.ndarray, curvature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cholesky factors of I + D_c^1/2 K D_c^1/2 for every class, and of the sum of the E_c."""
    lower = np.empty((curvature.shape[1], *K.shape))
    total = np.zeros(K.shape)
    for c, root in enumerate(np.sqrt(curvature).T):
        B = root[:, np.newaxis] * K * root
        B[np.diag_indices_from(B)] += 1.0
        lower[c] = factorize(B).lower
        inverse, _ = dpotri(lower[c].T, lower=False)  # the upper triangle, of a Fortran array
        total += root[:, np.newaxis] * inverse * root
    total = np.triu(total)
    return lower, factorize(total + np.triu(total, 1).T).lower


def _apply_E(lower: np.ndarray, curvature: np.ndarray, B: np.ndarray) -> np.ndarray:
    """E_c B_c for the columns c of B, (n, n_classes)."""
    root = np.sqrt(curvature)
    solved = [Factorization(lower[c], 0.0).solve(root[:, c] * B[:, c]) for c in range(len(lower))]
    found: np.ndarray = root * np.stack(solved, axis=1)
    return found


def _posterior(
    K: np.ndarray, a: np.ndarray, labels: np.ndarray, weight: np.ndarray
) -> LaplacePosterior:
    """The approximation at a mode K a, with the evidence of eq. 3.44."""
    mode = K @ a
    curvature = weight[:, np.newaxis] * softmax(mode, axis=1)
    lower, shared = _factors(K, curvature)
    # log det(I + K W) = sum_c log det(I + K D_c) + log det(sum_c E_c) - sum_i log w_i
    half = sum(Factorization(factor, 0.0).log_determinant for factor in (*lower, shared))
    evidence = _objective(K, a, labels, weight) - 0.5 * (half - np.log(weight).sum())
    return LaplacePosterior(a, mode, curvature, lower, shared, float(evidence))


def laplace_covariance(
    curvature: np.ndarray,
    lower: np.ndarray,
    shared: np.ndarray,
    K_cross: np.ndarray,
    K_diagonal: np.ndarray,
) -> np.ndarray:
    """Covariances (m, n_classes, n_classes) over classes of the latent functions at new rows.

    Rasmussen and Williams 2006, algorithm 3.4. The latent means are ``K_cross @ coefficients``.

    Parameters
    ----------
    curvature, lower, shared : ndarray
        Of a `LaplacePosterior`.
    K_cross : ndarray, (m, n)
        Prior covariance of new and training rows.
    K_diagonal : ndarray, (m,)
        Prior variances of the new rows.
    """
    blocks = range(0, len(K_cross), _ROWS)
    found = [
        _covariance(curvature, lower, shared, K_cross[k : k + _ROWS].T, K_diagonal[k : k + _ROWS])
        for k in blocks
    ]
    return np.concatenate(found)


def _covariance(
    curvature: np.ndarray,
    lower: np.ndarray,
    shared: np.ndarray,
    cross: np.ndarray,
    K_diagonal: np.ndarray,
) -> np.ndarray:
    """`laplace_covariance` of rows with the covariances ``cross`` (n, m)."""
    parts, variance = [], []
    for factor, root in zip(lower, np.sqrt(curvature).T[:, :, np.newaxis], strict=True):
        factorization = Factorization(factor, 0.0)
        half = factorization.half_solve(root * cross)
        variance.append(np.maximum(K_diagonal - (half * half).sum(axis=0), 0.0))
        backward = root * factorization.solve(root * cross)
        parts.append(Factorization(shared, 0.0).half_solve(backward))
    stacked = np.stack(parts)
    found: np.ndarray = np.einsum("cnm,dnm->mcd", stacked, stacked)
    found[:, np.arange(len(lower)), np.arange(len(lower))] += np.stack(variance, axis=1)
    return found
