"""Kernel matrices contracted with weights and differentiated: what backpropagation asks for.

Reverse mode, tile by tile: the recursion of a tile is computed again, followed backwards and
forgotten, so that no array has more entries than the matrix, for any number of scales.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..backends import mirrored
from ._differentiable import DifferentiableKernel, Piece
from ._terms_graph import differentiable

Slopes = tuple[Tensor | None, Tensor | None, Tensor | None]


def contracted(
    kernel: DifferentiableKernel,
    weights: Tensor,
    x: Tensor,
    z: Tensor | None,
    scales: Tensor,
    diag: bool = False,
) -> Slopes:
    r"""Derivatives of :math:`\sum_{bij} W_{bij} K_{bij}` in x, z and the scales.

    None for tensors that require no gradient. The derivatives are differentiable in turn where
    gradients are enabled; what that needs is then kept.

    Parameters
    ----------
    kernel : DifferentiableKernel
    weights : Tensor, (B, n, m), or (B, n) with `diag`
    x, z : Tensor, (B, n, n_features) and (B, m, n_features)
        K is the Gram of x where z is None; W need not be symmetric.
    scales : Tensor, (B, n_scales)
    diag : bool
        Whether K is the diagonal of the Gram.
    """
    other, sums = (x if z is None else z), (_Blocks(x), _Blocks(z), _Blocks(scales))
    into = sums[0] if z is None else sums[1]
    shape = len(x), x.shape[1], 1 if diag else other.shape[1]
    for piece in kernel.pieces(shape, symmetric=z is None and not diag):
        batch, rows, cols = piece.batch, piece.rows, piece.cols
        with torch.enable_grad():
            left, values = x[batch, rows], scales[batch]
            right = left if piece.on_diagonal else None if diag else other[batch, cols]
            K = kernel.entries(left, right, values)
            K = mirrored(K) if piece.on_diagonal else K
        leaves = {left: (sums[0], rows), values: (sums[2], slice(0, 0))}
        if right is not None:
            leaves.setdefault(right, (into, cols))
        slopes = _slopes(K, _weights(weights, piece, z is None, diag), leaves)
        for slope, (total, place) in zip(slopes, leaves.values(), strict=True):
            total.add(slope, batch, place)
    return sums[0].joined(), sums[1].joined(), sums[2].joined()


def _weights(weights: Tensor, piece: Piece, symmetric: bool, diag: bool) -> Tensor:
    """The weights of a piece, and of its mirror image below the diagonal."""
    batch, rows, cols = piece.batch, piece.rows, piece.cols
    if diag:
        return _part(weights, batch, rows)
    own = _part(weights, batch, rows, cols)
    if piece.on_diagonal or not symmetric:
        return own
    return own + _part(weights, batch, cols, rows).mT


def _part(x: Tensor, *where: slice) -> Tensor:
    """x[where], by an operation that torch can map over batches of weights."""
    for axis, place in enumerate(where):
        x = x.narrow(axis, place.start, place.stop - place.start)
    return x


def _slopes(K: Tensor, weights: Tensor, leaves: Iterable[Tensor]) -> list[Tensor | None]:
    """Derivatives in each leaf, None for those that require no gradient."""
    wanted, again = [leaf for leaf in leaves if leaf.requires_grad], torch.is_grad_enabled()
    if not K.requires_grad:  # a network that forgets its inputs
        found = [torch.zeros_like(leaf) for leaf in wanted]
    else:
        options = {"create_graph": again, "allow_unused": True, "materialize_grads": True}
        found = list(torch.autograd.grad(K, wanted, weights, **options))
    return [found.pop(0) if leaf.requires_grad else None for leaf in leaves]


class _Blocks:
    """Sums of blocks of rows; never in place, so that torch may map over and differentiate them."""

    def __init__(self, like: Tensor | None) -> None:
        self._like = like
        self._sums: dict[int, dict[int, Tensor]] = {}

    def add(self, block: Tensor | None, batch: slice, rows: slice) -> None:
        """Add a block for these rows of these batches, which come in order."""
        if block is not None:
            sums = self._sums.setdefault(batch.start, {})
            sums[rows.start] = sums[rows.start] + block if rows.start in sums else block

    def joined(self) -> Tensor | None:
        """The whole; None where no gradient is required."""
        if self._like is None or not self._like.requires_grad:
            return None
        if not self._sums:
            return torch.zeros_like(self._like)
        return torch.cat([torch.cat([*s.values()], 1) for s in self._sums.values()])


def contracted_gradient(
    problem: Any,
    X: Tensor,
    weights: Tensor,
    rebuild: Any,
    values: Mapping[str, float],
    input_scale: np.ndarray | None = None,
    memory_budget: int | str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Contract weights W (n, n) with the derivatives of the Gram K of one output.

    :math:`\sum_{ij} W_{ij}\, \partial K_{ij} / \partial \log s` for every scale s in `values`, and
    for every factor of a feature in `input_scale` (X is given without it): what the chain rule
    asks of the kernel for a function of K with the derivatives W.

    Returns
    -------
    scales : ndarray, (len(values),)
    features : ndarray, (n_features,) or (0,)
    """
    if not values and input_scale is None:
        return np.zeros(0), np.zeros(0)
    kernel = differentiable(problem, rebuild, tuple(values), memory_budget)
    x = X.to(device=problem.device, dtype=problem.dtype)
    x = x if input_scale is None else x * torch.as_tensor(input_scale).to(x)
    scales = torch.tensor([*values.values()], dtype=x.dtype, device=x.device)
    leaves = x[None].requires_grad_(input_scale is not None), scales[None].requires_grad_()
    with torch.no_grad():
        by_row, _, by_scale = contracted(kernel, weights.to(x)[None], leaves[0], None, leaves[1])
        by_logarithm = scales if by_scale is None else by_scale[0] * scales
        by_feature = x.new_empty(0) if by_row is None else (by_row[0] * x).sum(0)
    return by_logarithm.cpu().numpy(), by_feature.cpu().numpy()
