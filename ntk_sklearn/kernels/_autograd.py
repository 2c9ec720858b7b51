"""Kernel matrices in torch's graph, without the recursion in it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..backends import mirrored
from . import _evaluate
from ._contracted import contracted
from ._differentiable import DifferentiableKernel


def kernel_matrix(
    kernel: DifferentiableKernel, x: Tensor, z: Tensor | None, scales: Tensor, diag: bool = False
) -> Tensor:
    """Matrices (B, n, m), Grams of x where z is None, or their diagonals (B, n).

    Differentiable as often as the recursion is, in rows and scales. Values come from the
    evaluators, tile by tile; the backward pass computes the recursion again, tile by tile.

    Raises
    ------
    MemoryError
        If the matrices do not fit, or what the backward pass keeps of one pair of rows.
    RuntimeError
        For gradients of a finite width.
    ValueError
        If the kernel overflows.
    """
    tensors = [t for t in (x, z, scales) if t is not None]
    differentiated = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    transformed = _transformed(tensors)
    if kernel.problem.finite is not None and (differentiated or transformed):
        raise RuntimeError("kernels of a finite width have no gradients in their inputs")
    if transformed:
        return _together(kernel, x, z, scales, diag)
    if differentiated:
        n, m = x.shape[1], 1 if diag else tensors[-2].shape[1]
        side = kernel.side((len(x), n, m))  # refuses what the backward pass could not do
        if len(x) * n * m <= min(kernel.n_small(), side**2):
            return _together(kernel, x, z, scales, diag)  # kept, which is less work
    found: Tensor = _Matrix.apply(kernel, x, z, scales, diag)
    return found


def _transformed(tensors: list[Tensor]) -> bool:
    """Whether torch differentiates forwards, or by the transforms of torch.func.

    These need the recursion itself: torch.autograd.grad, by which a backward pass recomputes,
    silently finds nothing within them.
    """
    active: bool = torch._C._are_functorch_transforms_active()
    return active or any(forward_ad.unpack_dual(t).tangent is not None for t in tensors)


class _Matrix(torch.autograd.Function):
    """Values of the evaluators with the derivatives of `contracted`."""

    @staticmethod
    def forward(
        ctx: Any,
        kernel: DifferentiableKernel,
        x: Tensor,
        z: Tensor | None,
        scales: Tensor,
        diag: bool,
    ) -> Tensor:
        ctx.kernel, ctx.diag = kernel, diag
        ctx.save_for_backward(x, z, scales)
        shape = len(x), x.shape[1], 1 if diag else (x if z is None else z).shape[1]
        out = x.new_empty(shape[:-1] if diag else shape)
        for batch in kernel.batches(shape, 0):
            parts = x[batch], None if z is None else z[batch], scales[batch]
            fill = _fill_one if batch.stop - batch.start == 1 else _fill_together
            fill(kernel, *parts, diag, out[batch])
        return out

    @staticmethod
    def backward(ctx: Any, weights: Tensor) -> Any:
        x, z, scales = ctx.saved_tensors
        return None, *contracted(ctx.kernel, weights, x, z, scales, ctx.diag), None


def _fill_one(
    kernel: DifferentiableKernel,
    x: Tensor,
    z: Tensor | None,
    scales: Tensor,
    diag: bool,
    out: Tensor,
) -> None:
    """One matrix by the evaluators, which are made for large ones."""
    problem, budget = kernel.at(scales[0]), kernel.memory_budget
    if diag:
        found = _evaluate.diagonal(problem, x[0], memory_budget=budget)
        out.copy_(torch.from_numpy(found))
    else:
        z = None if z is None else z[0]
        _evaluate.matrix(problem, x[0], z, memory_budget=budget, out=out)


def _fill_together(
    kernel: DifferentiableKernel,
    x: Tensor,
    z: Tensor | None,
    scales: Tensor,
    diag: bool,
    out: Tensor,
) -> None:
    """Many small matrices in one call per layer."""
    out.copy_(_together(kernel, x, z, scales, diag))


def _together(
    kernel: DifferentiableKernel, x: Tensor, z: Tensor | None, scales: Tensor, diag: bool
) -> Tensor:
    """Small matrices of a batch in one pass of the recursion."""
    found = kernel.entries(x, None if diag else x if z is None else z, scales)
    if z is None and not diag:
        found = mirrored(found)  # products of matrices are symmetric up to rounding only
    _evaluate.check_finite(found.detach())
    return found
