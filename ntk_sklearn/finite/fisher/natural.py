"""(A^T A + damping I)^-1 applied through whichever of A^T A and A A^T is smaller."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh

from .operators import Dual, Normal, to_numpy, to_rows


@dataclass(frozen=True)
class Inverse:
    """The damped inverse of F = A^T A, or its pseudo-inverse where there is no damping.

    Attributes
    ----------
    normal, dual
        A^T A and A A^T.
    damping : float
    pinv : bool
        Whether directions without curvature are left out where there is no damping.
    """

    normal: Normal
    dual: Dual
    damping: float
    pinv: bool

    @property
    def through_dual(self) -> bool:
        """Whether the side of the rows is the smaller one."""
        return self.dual.shape[0] <= self.normal.shape[0]

    def of_row_space(self, s: np.ndarray) -> np.ndarray:
        """(A^T A + damping I)^-1 A^T s = A^T (A A^T + damping I)^-1 s."""
        if self.through_dual:
            return self._adjoint(self._solve(s))
        return self._solve(self._adjoint(s))

    def of(self, g: np.ndarray) -> np.ndarray:
        """(A^T A + damping I)^-1 g of any g, by Woodbury's formula on the side of the rows."""
        if not self.through_dual:
            return self._solve(g)
        if self.damping == 0:  # F^+ = A^T (A A^T)^+2 A
            return self._adjoint(self._solve(self._solve(self._forward(g))))
        found = self._woodbury(g)
        # g - A^T(...) cancels where the damping is small; once more on what is left repairs it
        return found + self._woodbury(g - self.normal.matvec(found) - self.damping * found)

    def _woodbury(self, g: np.ndarray) -> np.ndarray:
        found: np.ndarray = (g - self._adjoint(self._solve(self._forward(g)))) / self.damping
        return found

    def _forward(self, v: np.ndarray) -> np.ndarray:
        return to_numpy(self.dual.factor.forward(to_rows(v, self.dual.factor)))[0]

    def _adjoint(self, u: np.ndarray) -> np.ndarray:
        return to_numpy(self.dual.factor.adjoint(to_rows(u, self.dual.factor)))[0]

    def _solve(self, b: np.ndarray) -> np.ndarray:
        if self.damping > 0:
            found: np.ndarray = cho_solve(self._cholesky, b)
            return found
        values, vectors = self._eigen
        inverse = np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)
        return vectors @ (inverse * (vectors.T @ b))

    @cached_property
    def _small(self) -> np.ndarray:
        return (self.dual if self.through_dual else self.normal).dense()

    @cached_property
    def _cholesky(self) -> tuple[np.ndarray, bool]:
        damped = self._small + self.damping * np.eye(len(self._small), dtype=self._small.dtype)
        try:
            found: tuple[np.ndarray, bool] = cho_factor(damped, lower=True)
        except LinAlgError:
            raise ValueError(
                f"damping {self.damping:.3g} drowns in the rounding of a matrix whose largest "
                f"diagonal entry is {self._small.diagonal().max():.3g}: raise it, or compute in "
                "float64"
            ) from None
        return found

    @cached_property
    def _eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues, zero below the cut-off, and vectors.

        Raises
        ------
        ValueError
            If there are zeros and the pseudo-inverse was not asked for.
        """
        values, vectors = eigh(self._small)
        cutoff = len(values) * np.finfo(values.dtype).eps * values[-1]
        rank = int(np.count_nonzero(values > cutoff))
        if rank < len(values) and not self.pinv:
            raise ValueError(
                f"the Jacobian, weighted by the curvature, has rank {rank} and not full "
                f"{'row' if self.through_dual else 'column'} rank {len(values)}: without damping "
                "there is no inverse. Give damping > 0, or pinv=True for the shortest step"
            )
        return np.where(values > cutoff, values, 0.0), vectors
