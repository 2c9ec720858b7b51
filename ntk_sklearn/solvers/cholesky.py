"""Cholesky factorization in float64, with jitter only where needed and checked residuals."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, LinAlgWarning, cho_solve, cholesky, solve_triangular

# Jitter is tried from this fraction of the mean diagonal on, in steps of 10, up to the last one.
_JITTERS = (0.0, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)
# A backward stable solve leaves a residual of a small multiple of n eps.
_RESIDUAL = 10.0


@dataclass(frozen=True)
class Factorization:
    """L with A + jitter I = L L^T.

    Attributes
    ----------
    lower : ndarray, (n, n)
    jitter : float
        What was added to the diagonal of A to make it positive definite, usually 0.
    """

    lower: np.ndarray
    jitter: float

    def solve(self, B: np.ndarray) -> np.ndarray:
        """(A + jitter I)^-1 B."""
        found: np.ndarray = cho_solve((self.lower, True), B, check_finite=False)
        return found

    def half_solve(self, B: np.ndarray) -> np.ndarray:
        """L^-1 B, whose squared columns sum to the explained variances."""
        found: np.ndarray = solve_triangular(self.lower, B, lower=True, check_finite=False)
        return found

    @property
    def log_determinant(self) -> float:
        """log det(A + jitter I)."""
        return 2.0 * float(np.log(np.diag(self.lower)).sum())


def factorize(A: np.ndarray) -> Factorization:
    """Factorize a symmetric positive semidefinite matrix; `A` is left as it is.

    Warns
    -----
    LinAlgWarning
        If jitter was needed, since the factorization failed or only rounding kept it from failing
        (a pivot below n eps times its diagonal entry); it is relative to the mean diagonal.

    Raises
    ------
    LinAlgError
        If the matrix is not finite or not positive definite up to a relative jitter of 1e-6.
    """
    if not np.isfinite(A).all():
        raise LinAlgError("the kernel matrix has infinite or undefined entries: scale X down")
    mean_diagonal = float(np.mean(np.diag(A)))
    least = len(A) * np.finfo(np.float64).eps * np.diag(A)
    for relative in _JITTERS:
        jitter = relative * mean_diagonal
        try:
            lower = cholesky(_shifted(A, jitter), lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            continue
        if (np.diag(lower) ** 2 < least).any():
            continue
        if jitter:
            warnings.warn(
                f"the kernel matrix is singular to working precision; {jitter:.3g} ({relative:g} "
                "times the mean diagonal) was added to its diagonal. A larger ridge or noise "
                "avoids this",
                LinAlgWarning,
                stacklevel=2,
            )
        return Factorization(lower, jitter)
    raise LinAlgError(
        "the kernel matrix is not positive definite even with 1e-6 times its mean diagonal added: "
        "use a larger ridge or noise, or dtype='float64'"
    )


def _shifted(A: np.ndarray, jitter: float) -> np.ndarray:
    shifted = np.array(A, dtype=np.float64, order="F")
    shifted[np.diag_indices_from(shifted)] += jitter
    return shifted


def solve_checked(A: np.ndarray, factorization: Factorization, B: np.ndarray) -> np.ndarray:
    """A^-1 B, with its residual checked.

    Warns
    -----
    LinAlgWarning
        If ``|A x - b|`` exceeds ``10 n eps (|A| |x| + |b|)`` in the maximum norm.
    """
    X = factorization.solve(B)
    residual = A @ X + factorization.jitter * X - B
    scale = np.abs(A).sum(axis=1).max() * np.abs(X).max(initial=0.0) + np.abs(B).max(initial=0.0)
    # below the smallest normal number rounding is not relative
    bound = _RESIDUAL * len(A) * (np.finfo(np.float64).eps * scale + np.finfo(np.float64).tiny)
    if np.abs(residual).max(initial=0.0) > bound:
        warnings.warn(
            f"the residual of the solve is {np.abs(residual).max():.3g}, above the bound "
            f"{bound:.3g} of a stable one: the result is not to be trusted",
            LinAlgWarning,
            stacklevel=2,
        )
    return X
