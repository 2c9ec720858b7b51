"""K v without K: a derivative along a gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from .function import ModuleFunction, n_rows, take, to_numpy
from .jacobian import Jacobian

NO_FORWARD_MODE = (
    "torch has no derivatives in forward mode of this module, which products of its kernel with "
    "vectors need: call the EmpiricalNTK for the matrix, with a method other than "
    "'vector_products': "
)


@dataclass(frozen=True)
class _Side:
    """Rows of a Jacobian, a few at a time."""

    function: ModuleFunction
    inputs: Any
    k: int
    step: int

    def _jacobians(self) -> list[tuple[slice, Jacobian]]:
        starts = range(0, n_rows(self.inputs), self.step)
        several = [slice(start, start + self.step) for start in starts]
        values = self.function.values
        return [(s, Jacobian(self.function, values, take(self.inputs, s))) for s in several]

    def pull(self, vector: Tensor) -> Tensor:
        """J^T u (n_parameters,)."""
        u = vector.reshape(n_rows(self.inputs), self.k)
        total = u.new_zeros(self.function.n_parameters)
        for rows, J in self._jacobians():
            total += J.vjp(u[rows])
        return total

    def push(self, direction: Tensor) -> Tensor:
        """J v (n * k,)."""
        try:
            found = [J.jvp(direction).flatten() for _, J in self._jacobians()]
        except (NotImplementedError, RuntimeError) as error:
            raise NotImplementedError(NO_FORWARD_MODE + str(error).splitlines()[0]) from error
        return torch.cat(found) if found else direction.new_zeros(0)


class TangentOperator(LinearOperator):
    """Products of the kernel (n * k, m * k), by sample and then by output, with vectors."""

    def __init__(self, function: ModuleFunction, left: Any, right: Any, k: int, step: int) -> None:
        self._left = _Side(function, left, k, step)
        self._right = _Side(function, right, k, step)
        dtype = to_numpy(torch.empty(0, dtype=function.dtype)).dtype
        super().__init__(dtype, (n_rows(left) * k, n_rows(right) * k))

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._through(self._right, self._left, x)

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self._through(self._left, self._right, x)

    def _through(self, source: _Side, target: _Side, x: np.ndarray) -> np.ndarray:
        if np.iscomplexobj(x):
            real, imaginary = (self._through(source, target, part) for part in (x.real, x.imag))
            return real + 1j * imaginary
        function = source.function
        vector = torch.from_numpy(np.array(x).reshape(-1)).to(function.device, function.dtype)
        return to_numpy(target.push(source.pull(vector)))
