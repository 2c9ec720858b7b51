"""Tangent kernels of modules along training, and how alike they stay."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..finite.tangent import Jacobian, ModuleFunction
from ..finite.tangent.function import Values, take
from ._descent import Task


def tangent_gram(function: ModuleFunction, values: Values, inputs: Any) -> np.ndarray:
    """J J^T (n k, n k) by sample and then by output, float64; it holds J."""
    fixed = {name: value.detach() for name, value in values.items()}
    J = Jacobian(function, fixed, inputs).dense().double()
    found: np.ndarray = (J @ J.T).cpu().numpy()
    return found


class KernelAtStart:
    """The tangent kernel before training, to compare with; of the first `n_rows` rows."""

    def __init__(self, given: Task, n_rows: int | None = None) -> None:
        self.function = given.function
        self.inputs = take(given.inputs, slice(n_rows))
        self.empty = n_rows == 0
        if not self.empty:
            self.start = self.at(given.function.values)

    def at(self, values: Values) -> np.ndarray:
        """The kernel (n k, n k) at other parameters."""
        return tangent_gram(self.function, values, self.inputs)

    def drift(self, values: Values) -> float:
        """Its relative distance from the start; NaN of no rows."""
        return np.nan if self.empty else drift(self.at(values), self.start)


def drift(K: np.ndarray, start: np.ndarray) -> float:
    """|K - K_0| / |K_0| in the Frobenius norm."""
    return float(np.linalg.norm(K - start) / np.linalg.norm(start))


def alignment(K: np.ndarray, other: np.ndarray) -> float:
    """The cosine of two matrices in the Frobenius inner product."""
    return float(np.sum(K * other) / (np.linalg.norm(K) * np.linalg.norm(other)))


def target_alignment(K: np.ndarray, y: np.ndarray) -> float:
    """y^T K y / (|K| |y|^2), the alignment of K with y y^T (Cristianini et al. 2001)."""
    y = y.ravel()
    if not y.any():
        return np.nan
    return float(y @ K @ y / (np.linalg.norm(K) * (y @ y)))
