"""Targets and weights of rows, checked against the outputs that they belong to."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .losses import BinaryCrossEntropy, ConvexLoss, Loss, SoftmaxCrossEntropy


def as_tensor(y: Any, outputs: Tensor) -> Tensor:
    """An array or tensor where the outputs are; floating-point numbers in their precision."""
    found = y.detach() if isinstance(y, Tensor) else torch.from_numpy(np.array(y))
    found = found.to(outputs.device)
    return found.to(outputs.dtype) if found.is_floating_point() else found


@singledispatch
def checked_targets(loss: Loss, y: Any, outputs: Tensor) -> Tensor:
    """Targets as `output_gradient` reads them: (n, k), of a `ConvexLoss` as they are.

    Raises
    ------
    ValueError
        For another shape than the outputs', or values that the loss has no meaning for.
    """
    found = as_tensor(y, outputs).to(outputs.dtype)
    if found.ndim == 1 and outputs.shape[1] == 1:
        found = found[:, None]
    if found.shape != outputs.shape:
        raise ValueError(
            f"y must have the shape {tuple(outputs.shape)} of the outputs, got {tuple(found.shape)}"
        )
    if not bool(torch.isfinite(found).all()):
        raise ValueError("y has infinite or undefined entries")
    return found


@checked_targets.register
def _(loss: SoftmaxCrossEntropy, y: Any, outputs: Tensor) -> Tensor:
    found, (n, k) = as_tensor(y, outputs), outputs.shape
    if found.ndim == 1 and not found.is_floating_point():
        if len(found) != n or not bool(((found >= 0) & (found < k)).all()):
            raise ValueError(f"y must hold {n} classes 0 to {k - 1}, as the module has {k} outputs")
        return torch.nn.functional.one_hot(found.long(), k).to(outputs.dtype)
    found = checked_targets.dispatch(object)(loss, found, outputs)
    sums = found.sum(1)
    if bool((found < 0).any()) or not torch.allclose(sums, torch.ones_like(sums)):
        raise ValueError("y must hold integers, or probabilities (n, k) that sum to 1 in each row")
    return found


@checked_targets.register
def _(loss: BinaryCrossEntropy, y: Any, outputs: Tensor) -> Tensor:
    found = checked_targets.dispatch(object)(loss, y, outputs)
    if bool(((found < 0) | (found > 1)).any()):
        raise ValueError("y must lie between 0 and 1 for BinaryCrossEntropy")
    return found


@checked_targets.register
def _(loss: ConvexLoss, y: Any, outputs: Tensor) -> Tensor:
    found = as_tensor(y, outputs)
    if found.ndim == 0 or len(found) != len(outputs):
        raise ValueError(f"y must have {len(outputs)} rows, got shape {tuple(found.shape)}")
    return found


def row_shares(sample_weight: Any, outputs: Tensor) -> Tensor:
    """w_i / sum_j w_j (n,): integers count how often a row stands in the data.

    Raises
    ------
    ValueError
        For weights of another shape, negative or infinite ones, or only zeros.
    """
    n = len(outputs)
    if sample_weight is None:
        return outputs.new_full((n,), 1 / n)
    weight = as_tensor(sample_weight, outputs).to(outputs.dtype)
    if weight.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), got {tuple(weight.shape)}")
    if not bool(torch.isfinite(weight).all() & (weight >= 0).all() & (weight.sum() > 0)):
        raise ValueError("sample_weight must be finite, not negative, and not zero throughout")
    return weight / weight.sum()
