"""Several outputs of a module trained together: rows of the matrix are rows with an output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..inference import LossGradient


@dataclass(frozen=True)
class Blocks:
    """How arrays of rows become arrays of rows of the kernel matrix, and back.

    Attributes
    ----------
    n : int
        Rows of the matrix for every row: the outputs that are trained together, or 1, with which
        nothing changes.
    """

    n: int = 1

    def flat(self, values: np.ndarray) -> np.ndarray:
        """Values (n_rows, k) as (n_rows * n, k / n), by row and then by output."""
        return values if self.n == 1 else values.reshape(len(values) * self.n, -1)

    def shaped(self, values: np.ndarray) -> np.ndarray:
        """Values (..., n_rows * n, k / n) as (..., n_rows, k)."""
        if self.n == 1:
            return values
        *times, n, k = values.shape
        return values.reshape(*times, n // self.n, k * self.n)

    def weights(self, weight: np.ndarray) -> np.ndarray:
        """Those of a row for all its outputs."""
        return np.repeat(weight, self.n)

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Row numbers as numbers of the rows of the matrix."""
        return (rows[:, np.newaxis] * self.n + np.arange(self.n)).ravel()

    def gradient(self, loss: LossGradient | None) -> LossGradient | None:
        """The gradient of a loss of all outputs of a row, for flat outputs and targets."""
        if loss is None or self.n == 1:
            return loss
        return lambda f, y: self.flat(loss(self.shaped(f), self.shaped(y)))

    def own(self, covariance: np.ndarray) -> np.ndarray:
        """(m n, m n) as the covariances (m, m, n) of every output with itself."""
        m = len(covariance) // self.n
        return np.einsum("iaja->ija", covariance.reshape(m, self.n, m, self.n))
