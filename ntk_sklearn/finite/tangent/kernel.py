"""The empirical tangent kernel of any torch module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .function import Inputs, ModuleFunction
from .jacobian import Jacobian


class EmpiricalNTK:
    r"""Products of gradients in the trained parameters of a given module.

    .. math:: \hat\Theta_{ij}(x, z) = \sum_\theta \partial_\theta f_i(x)\, \partial_\theta f_j(z)

    Parameters
    ----------
    module : torch.nn.Module
    parameters : sequence of str or None
        See `ModuleFunction`.
    dtype : torch.dtype or None
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        parameters: Sequence[str] | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.function = ModuleFunction(module, parameters, dtype)

    def blocks(self, X: Inputs, Z: Inputs | None = None) -> Tensor:
        """All products of outputs, (n, k, m, k)."""
        left = self._jacobian(X)
        right = left if Z is None else self._jacobian(Z)
        return torch.einsum("nkp,mlp->nkml", left, right)

    def _jacobian(self, X: Inputs) -> Tensor:
        J = Jacobian(self.function, self.function.values, self.function.prepare(X))
        return J.dense().unflatten(0, (len(J), -1))
