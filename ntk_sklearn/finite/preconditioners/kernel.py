"""Kernels J D^-1 J^T."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..tangent import Inputs, Jacobian, ModuleFunction
from ..tangent.function import n_rows, take
from .base import Preconditioner, as_function


def preconditioned_kernel(
    function: ModuleFunction | nn.Module,
    X: Inputs,
    Z: Inputs | None = None,
    *,
    preconditioner: Preconditioner,
    memory_budget: int = 2**30,
) -> Tensor:
    r"""The kernel ``K_D = J D^{-1} J^T`` of gradient flow that a constant D preconditions.

    .. math:: \theta' = -D^{-1} J^T r \;\Rightarrow\; f' = -K_D r

    It is symmetric and positive semi-definite. For a linear model, or in so far as J and D stay,
    ``f_t = f_0 + K_D(x, X) K_D^{-1} (1 - e^{-K_D t}) (y - f_0)``, which ends at the smallest change
    of parameters in the norm ``theta^T D theta`` if K_D(X, X) is invertible.

    Parameters
    ----------
    function : ModuleFunction or torch.nn.Module
    X, Z : inputs
        Rows and columns, as the module reads them; None for Z gives the Gram, exactly symmetric.
    preconditioner : Preconditioner
        With as many parameters as the function.
    memory_budget : int
        Bytes for gradients of rows, n_parameters numbers per row and output; with less than all of
        them need, those of pieces of rows are computed several times. One row is always held.

    Returns
    -------
    Tensor, (n, k, m, k)
        All products of outputs; ``.flatten(2).flatten(0, 1)`` is the matrix (n k, m k).

    Raises
    ------
    ValueError
        If the preconditioner belongs to another number of parameters.
    """
    function = as_function(function)
    if preconditioner.n_parameters != function.n_parameters:
        raise ValueError(
            f"preconditioner has {preconditioner.n_parameters} parameters, the function "
            f"{function.n_parameters}: make both of the same ModuleFunction"
        )
    left = _Rows(function, function.prepare(X), preconditioner, memory_budget)
    return left.gram() if Z is None else left.products(_Rows(
        function, function.prepare(Z), preconditioner, memory_budget
    ))  # fmt: skip


class _Rows:
    """D^-1/2 times the gradients of rows, by pieces."""

    def __init__(
        self, function: ModuleFunction, inputs: object, D: Preconditioner, budget: int
    ) -> None:
        self.function, self.inputs, self.D = function, inputs, D
        self.n = n_rows(inputs)  # type: ignore[arg-type]
        self.k = Jacobian(function, function.values, take(inputs, slice(0, 1))).outputs().shape[1]
        # a piece of rows, one of columns, and one on its way through D
        row = 3 * self.k * function.n_parameters * function.dtype.itemsize
        self.size = max(1, min(self.n, budget // row))

    def pieces(self, until: int | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Rows of J D^-1/2 (size * k, n_parameters), and which outputs of which they are."""
        for start in range(0, self.n if until is None else until, self.size):
            some = take(self.inputs, slice(start, start + self.size))
            J = Jacobian(self.function, self.function.values, some)
            here = slice(start * self.k, (start + len(J)) * self.k)
            yield here, self.D.root(J.dense())

    def products(self, other: _Rows) -> Tensor:
        found = self._empty(other)
        for rows, left in self.pieces():
            for columns, right in other.pieces():
                found[rows, columns] = left @ right.mT
        return found.view(self.n, self.k, other.n, other.k)

    def gram(self) -> Tensor:
        found = self._empty(self)
        for rows, left in self.pieces():
            own = left @ left.mT
            found[rows, rows] = (own + own.mT) / 2.0
            for columns, right in self.pieces(until=rows.start // self.k):
                found[rows, columns] = left @ right.mT
                found[columns, rows] = found[rows, columns].mT
        return found.view(self.n, self.k, self.n, self.k)

    def _empty(self, other: _Rows) -> Tensor:
        like = next(iter(self.function.values.values()))
        return torch.empty(self.n * self.k, other.n * other.k, dtype=like.dtype, device=like.device)
