"""Losses of outputs and targets: their gradients and Hessians in the outputs, row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from math import inf
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, hessian, vmap


@dataclass(frozen=True)
class SquaredLoss:
    """|f - y|^2 / (2 sigma^2): Gaussian noise of standard deviation sigma, up to a constant.

    Attributes
    ----------
    sigma : float, default=1.0
        ``sqrt(k / 2)`` for `torch.nn.MSELoss`, the mean over rows and the k outputs.

    Raises
    ------
    ValueError
        Unless sigma is finite and positive.
    """

    sigma: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.sigma, Real) or not 0 < self.sigma < inf:
            raise ValueError(f"sigma must be a positive number, got {self.sigma!r}")


@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """-sum_c y_c log softmax(f)_c, for classes (n,) or probabilities (n, k) that sum to 1.

    All outputs of a row are one distribution, also where the module returns them along several
    axes: positions with a distribution each have to be rows.
    """


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """-y log s(f) - (1 - y) log(1 - s(f)) summed over outputs, s the logistic, y in [0, 1]."""


@dataclass(frozen=True)
class ConvexLoss:
    """Any loss that is convex in the outputs; one of the two functions suffices for the curvature.

    Attributes
    ----------
    function : callable, optional
        Of the outputs (k,) and the target of one row: the row's loss, of which torch.func takes
        gradients, and the Hessian unless `hessian` is given.
    hessian : callable, optional
        Of all outputs (n, k) and targets: the Hessians in the outputs, (n, k, k), which are held
        for all rows.

    Raises
    ------
    ValueError
        If neither is given.
    """

    function: Callable[[Tensor, Any], Tensor] | None = None
    hessian: Callable[[Tensor, Any], Tensor] | None = None

    def __post_init__(self) -> None:
        if self.function is None and self.hessian is None:
            raise ValueError("ConvexLoss needs function(outputs, target) or hessian(outputs, y)")


Loss = SquaredLoss | SoftmaxCrossEntropy | BinaryCrossEntropy | ConvexLoss

# The losses that are negative log-likelihoods in the natural parameters of their distribution.
LIKELIHOODS = (SquaredLoss, SoftmaxCrossEntropy, BinaryCrossEntropy)


@singledispatch
def output_gradient(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Gradient of each row's loss in its outputs, (n, k).

    Parameters
    ----------
    loss
        One of this file's.
    outputs : Tensor, (n, k)
    targets : Tensor
        As `checked_targets` returns them.
    """
    raise TypeError(
        "loss must be a SquaredLoss, SoftmaxCrossEntropy, BinaryCrossEntropy or ConvexLoss, got "
        f"{loss!r}"
    )


@output_gradient.register
def _(loss: SquaredLoss, outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets) / loss.sigma**2


@output_gradient.register
def _(loss: SoftmaxCrossEntropy, outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.softmax(outputs, 1) - targets


@output_gradient.register
def _(loss: BinaryCrossEntropy, outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.sigmoid(outputs) - targets


@output_gradient.register
def _(loss: ConvexLoss, outputs: Tensor, targets: Tensor) -> Tensor:
    if loss.function is None:
        raise ValueError("ConvexLoss has a hessian only: gradients need its function, too")
    found: Tensor = vmap(grad(loss.function))(outputs, targets)
    return found.detach()


@singledispatch
def output_hessian(loss: Loss, outputs: Tensor, targets: Tensor | None = None) -> Tensor:
    """Hessian of each row's loss in its outputs, (n, k, k); see `output_gradient`."""
    return torch.diag_embed(output_variance(loss, outputs))


@output_hessian.register
def _(loss: SoftmaxCrossEntropy, outputs: Tensor, targets: Tensor | None = None) -> Tensor:
    p = torch.softmax(outputs, 1)
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


@output_hessian.register
def _(loss: ConvexLoss, outputs: Tensor, targets: Tensor | None = None) -> Tensor:
    if loss.hessian is not None:
        found = torch.as_tensor(loss.hessian(outputs, targets)).to(outputs)
    elif targets is None:
        raise ValueError("y is missing: the Hessian of a ConvexLoss may depend on the targets")
    else:
        assert loss.function is not None  # one of the two is there
        found = vmap(hessian(loss.function))(outputs, targets).detach()
    n, k = outputs.shape
    if found.shape != (n, k, k):
        raise ValueError(
            f"ConvexLoss must have Hessians of shape {(n, k, k)}, got {tuple(found.shape)}"
        )
    return found


@singledispatch
def output_variance(loss: Loss, outputs: Tensor) -> Tensor:
    """The diagonal (n, k) of a Hessian that is diagonal."""
    return output_gradient(loss, outputs, outputs)  # refuses what is no loss


@output_variance.register
def _(loss: SquaredLoss, outputs: Tensor) -> Tensor:
    return torch.full_like(outputs, loss.sigma**-2)


@output_variance.register
def _(loss: BinaryCrossEntropy, outputs: Tensor) -> Tensor:
    return torch.sigmoid(outputs) * torch.sigmoid(-outputs)
