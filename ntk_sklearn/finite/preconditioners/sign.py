"""Sign descent: products with signs of gradients, which make no kernel in general."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..tangent import Inputs, Jacobian, ModuleFunction, as_function
from ..tangent.tiles import as_given


def sign_kernel(
    module: nn.Module | ModuleFunction,
    X: Inputs,
    Z: Inputs | None = None,
    *,
    symmetric: bool = False,
) -> Any:
    r"""Products of gradients with *signs* of gradients.

    .. math:: A_{ij}(x, z) = \langle \nabla f_i(x), \operatorname{sign} \nabla f_j(z) \rangle
              \qquad \text{or} \qquad
              S_{ij}(x, z) = \langle \operatorname{sign} \nabla f_i(x),
                             \operatorname{sign} \nabla f_j(z) \rangle

    A is what sign descent does in steps on one example with one output:
    :math:`\Delta f(x) = -\eta \operatorname{sign}(\ell') A(x, z)`, with the derivative
    :math:`\ell'` of the loss at z of which only the sign counts. In steps on several examples the
    sign of the sum is no sum of signs, and nothing of the form (matrix) times (residuals) holds.

    .. warning::
       A is not symmetric, and its symmetric part is in general not positive semi-definite: it is
       no kernel, and no estimator takes it. S is a kernel, but not that of sign descent's dynamics.

    Parameters
    ----------
    module : torch.nn.Module or ModuleFunction
    X, Z : inputs
        Rows and columns, as the module reads them; None for Z is X. Gradients of all are held.
    symmetric : bool
        S instead of A.

    Returns
    -------
    ndarray or Tensor, (n, k, m, k)
        A tensor if X or Z has one.

    References
    ----------
    Malladi, Wettig, Yu, Chen and Arora, "A kernel-based view of language model fine-tuning", ICML
    2023: A as the asymmetric SignGD kernel, S as the SignGD kernel, for the early phase of Adam.
    """
    function = as_function(module)
    left = _gradients(function, X)
    right = (left if Z is None else _gradients(function, Z)).sign()
    products = (left.sign() if symmetric else left).flatten(0, 1) @ right.flatten(0, 1).mT
    return as_given(products.view(*left.shape[:2], *right.shape[:2]), X, Z)


def _gradients(function: ModuleFunction, inputs: Inputs) -> Tensor:
    return Jacobian(function, function.values, function.prepare(inputs)).by_row()
