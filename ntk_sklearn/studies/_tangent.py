"""Tangent kernels of modules along training, and how alike they stay."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..finite.tangent import EmpiricalNTK, ModuleFunction
from ..finite.tangent.function import Prepared, Values, take
from ._descent import Task


def tangent_gram(function: ModuleFunction, values: Values, inputs: Prepared) -> np.ndarray:
    """J J^T (n k, n k) by sample and then by output, float64."""
    return as_matrix(EmpiricalNTK(function.at(values)).blocks(inputs))


def as_matrix(blocks: Tensor) -> np.ndarray:
    """All products of outputs (n, k, m, k) as a matrix (n k, m k) of float64."""
    n, k = blocks.shape[:2]
    found: np.ndarray = blocks.reshape(n * k, -1).double().cpu().numpy()
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
        """The kernel (n k, n k) at other parameters; NaN where training has diverged."""
        with torch.no_grad():
            outputs = self.function(values, self.inputs)
        if not bool(torch.isfinite(outputs).all()):
            return np.full((outputs.numel(), outputs.numel()), np.nan)
        return tangent_gram(self.function, values, self.inputs)

    def drift(self, values: Values) -> float:
        """Its relative distance from the start; NaN of no rows."""
        return np.nan if self.empty else relative_distance(self.at(values), self.start)


def relative_distance(K: np.ndarray, start: np.ndarray) -> float:
    """|K - K_0| / |K_0| in the Frobenius norm."""
    return float(np.linalg.norm(K - start) / np.linalg.norm(start))
