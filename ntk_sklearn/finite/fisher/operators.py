"""F = A^T A on the side of the parameters and A A^T on that of the rows, as linear operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from ..tangent.pieces import gram, sum_of
from .factor import Factor


class SymmetricOperator(LinearOperator):
    """A symmetric operator on numpy vectors, from its products with the rows of a tensor."""

    def __init__(self, factor: Factor, size: int) -> None:
        self.factor = factor
        super().__init__(dtype=to_numpy(factor.amplitude[:0]).dtype, shape=(size, size))

    def _rows(self, V: Tensor) -> Tensor:
        raise NotImplementedError

    def _matmat(self, X: np.ndarray) -> np.ndarray:
        return to_numpy(self._rows(to_rows(X, self.factor))).T

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._matmat(x.reshape(-1, 1))[:, 0]

    def _adjoint(self) -> LinearOperator:
        return self

    def _transpose(self) -> LinearOperator:
        return self

    def trace(self) -> float:
        """The sum of all eigenvalues, exactly: that of the squared entries of A."""
        return sum(float((rows**2).sum()) for rows in self.factor.dense())

    def dense(self) -> np.ndarray:
        """The matrix itself, where it is small."""
        raise NotImplementedError


class Normal(SymmetricOperator):
    """A^T A (n_parameters, n_parameters)."""

    def __init__(self, factor: Factor) -> None:
        super().__init__(factor, factor.shape[1])

    def _rows(self, V: Tensor) -> Tensor:
        return self.factor.normal(V)

    def diagonal(self) -> np.ndarray:
        """The diagonal (n_parameters,), exactly, from the gradients of each row."""
        return to_numpy(sum_of((rows**2).sum(0) for rows in self.factor.dense()))

    def dense(self) -> np.ndarray:
        """The matrix itself, for few parameters."""
        return to_numpy(sum_of(rows.T @ rows for rows in self.factor.dense()))


class Dual(SymmetricOperator):
    """A A^T (n * rank, n * rank), by sample and then by column of the root of its curvature."""

    def __init__(self, factor: Factor) -> None:
        super().__init__(factor, factor.shape[0])

    def _rows(self, V: Tensor) -> Tensor:
        return self.factor.forward(self.factor.adjoint(V))

    def diagonal(self) -> np.ndarray:
        """The diagonal (n * rank,), exactly, from the gradients of each row."""
        return to_numpy(torch.cat([(rows**2).sum(1) for rows in self.factor.dense()]))

    def dense(self) -> np.ndarray:
        """The matrix itself, for few rows."""
        return to_numpy(gram(self.factor.dense, self.shape[0]))


def to_rows(X: Any, factor: Factor) -> Tensor:
    """Columns of an array as rows of a tensor, where and in the precision that the factor is."""
    columns = np.array(np.asarray(X).T, order="C", ndmin=2)
    return torch.from_numpy(columns).to(factor.amplitude)


def to_numpy(found: Tensor) -> np.ndarray:
    """A tensor as an array."""
    array: np.ndarray = found.cpu().numpy()
    return array
