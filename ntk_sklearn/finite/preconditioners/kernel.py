"""Kernels J D^-1 J^T."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import Tensor, nn

from ..tangent import Inputs, Jacobian, ModuleFunction, as_function
from ..tangent.pieces import Pieces, gram, products
from ..tangent.tiles import as_given
from .base import Preconditioner


def preconditioned_kernel(
    module: nn.Module | ModuleFunction,
    X: Inputs,
    Z: Inputs | None = None,
    *,
    preconditioner: Preconditioner,
    memory_budget: int | str | None = None,
) -> Any:
    r"""The kernel ``K_D = J D^{-1} J^T`` of gradient flow that a constant D preconditions.

    .. math:: \theta' = -D^{-1} J^T r \;\Rightarrow\; f' = -K_D r

    It is symmetric and positive semi-definite. For a linear model, or in so far as J and D stay,
    ``f_t = f_0 + K_D(x, X) K_D^{-1} (1 - e^{-K_D t}) (y - f_0)``, which ends at the smallest change
    of parameters in the norm ``theta^T D theta`` if K_D(X, X) is invertible.

    Parameters
    ----------
    module : torch.nn.Module or ModuleFunction
    X, Z : inputs
        Rows and columns, as the module reads them; None for Z gives the Gram, exactly symmetric.
    preconditioner : Preconditioner
        With as many parameters as the function.
    memory_budget : int, str or None
        Bytes for gradients of rows, n_parameters numbers per row and output, as a number or "2GB";
        None is scikit-learn's `working_memory`. With less than all of them need, those of pieces of
        rows are computed several times. One row is always held.

    Returns
    -------
    ndarray or Tensor, (n, k, m, k)
        All products of outputs; ``.reshape(n * k, m * k)`` is the matrix. A tensor if X or Z has
        one.

    Raises
    ------
    ValueError
        If the preconditioner belongs to another number of parameters; for an unknown budget, and
        inputs without rows.
    """
    function = as_function(module)
    if preconditioner.n_parameters != function.n_parameters:
        raise ValueError(
            f"preconditioner has {preconditioner.n_parameters} parameters, the function "
            f"{function.n_parameters}: make both of the same ModuleFunction"
        )
    several = [
        Pieces(Jacobian(function, function.values, function.prepare(x)), memory_budget)
        for x in ((X,) if Z is None else (X, Z))
    ]
    k = several[0].jacobian.rows(slice(0, 1)).outputs().shape[1]
    sides = [partial(_roots, pieces, k, preconditioner) for pieces in several]
    n, m = len(several[0].jacobian), len(several[-1].jacobian)
    found = gram(sides[0], n * k) if Z is None else products(sides[0], sides[1], m * k)
    return as_given(found.view(n, k, m, k), X, Z)


def _roots(pieces: Pieces, k: int, D: Preconditioner) -> Iterator[Tensor]:
    """J D^-1/2 in pieces (rows * k, n_parameters)."""
    function = pieces.jacobian.function
    row = k * function.n_parameters * function.dtype.itemsize
    for rows in pieces.rows(k, extra=row):
        yield D.root(pieces.jacobian.rows(rows).dense())
