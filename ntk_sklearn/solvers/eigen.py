"""Eigendecomposition in float64: one for every ridge and every training time."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, LinAlgWarning, eigh

# Entries of a kernel below this count as 0: their inverses would overflow.
LEAST = 1e-290
# From this size on the workspace of LAPACK's divide and conquer, the faster one, has more entries
# than its 32-bit integers count.
_WORKSPACE_LIMIT = 32767


@dataclass(frozen=True)
class Eigensystem:
    """A = V diag(values) V^T of a symmetric positive semidefinite matrix.

    Attributes
    ----------
    values : ndarray, (n,)
        Ascending; those below the cut-off are exactly 0.
    vectors : ndarray, (n, n)
    """

    values: np.ndarray
    vectors: np.ndarray

    def apply(self, filtered: np.ndarray, B: np.ndarray) -> np.ndarray:
        """V diag(filtered) V^T B, for a function of the eigenvalues."""
        found: np.ndarray = self.vectors @ (filtered[:, np.newaxis] * (self.vectors.T @ B))
        return found

    @property
    def largest(self) -> float:
        """The largest eigenvalue."""
        return float(self.values[-1])


def eigendecompose(A: np.ndarray) -> Eigensystem:
    """Eigendecomposition with a relative cut-off: rounding below n eps of the largest is 0.

    Warns
    -----
    LinAlgWarning
        If ``A x`` and ``V diag(values) V^T x`` differ by more than ``100 n eps |A| |x|`` for a
        vector x of ones with alternating signs.

    Raises
    ------
    LinAlgError
        If the matrix is not finite.
    """
    if not np.isfinite(A).all():
        raise LinAlgError("the kernel matrix has infinite or undefined entries: scale X down")
    driver = "evd" if len(A) < _WORKSPACE_LIMIT else "evr"
    values, vectors = eigh(np.asarray(A, dtype=np.float64), driver=driver, check_finite=False)
    _check(A, values, vectors)
    cutoff = max(len(values) * np.finfo(np.float64).eps * float(values[-1]), LEAST)
    return Eigensystem(np.where(values > cutoff, values, 0.0), vectors)


def _check(A: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> None:
    """Try the decomposition on one vector, which costs next to nothing."""
    x = np.where(np.arange(len(A)) % 2, -1.0, 1.0)
    residual = np.abs(A @ x - vectors @ (values * (vectors.T @ x))).max()
    scale = np.abs(values).max() * np.sqrt(len(A))
    if residual > max(100.0 * len(A) * np.finfo(np.float64).eps * scale, LEAST):
        warnings.warn(
            f"the eigendecomposition is off by {residual:.3g} for a kernel of size {scale:.3g}: "
            "the result is not to be trusted",
            LinAlgWarning,
            stacklevel=3,
        )
