"""Grams with all their derivatives in the scales of the network, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..backends import ReferenceEvaluator, layout, mirrored
from ..recursion import KernelState, pair_state, propagate
from . import _evaluate
from ._differentiable import DifferentiableKernel, equal_side

# Values and slopes (1 + n_scales, rows, columns) of a tile, given the state of its inputs.
Partials = Callable[[DifferentiableKernel, KernelState, Tensor], Tensor]


def gradient(
    kernel: DifferentiableKernel, X: Tensor, values: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """The Gram (n, n) of one output and its derivatives (n, n, p) in the logarithms of `values`.

    Nothing of the recursion outlives its tile.
    """
    problem = kernel.problem
    scales = torch.tensor([*values.values()], dtype=problem.dtype, device=problem.device)
    n, x = len(X), ReferenceEvaluator().prepare(problem, X)
    side, partials = _mode(kernel, (1 + len(values), n, n))

    def of_tile(tile: Any) -> Tensor:
        state = pair_state(x[tile.rows], x[tile.cols], *layout(problem), tile.on_diagonal)
        return partials(kernel, state, scales)

    return tile_by_tile(of_tile, (1 + len(values), n, n), side, problem.numpy_dtype)


def tile_by_tile(
    of_tile: Callable[[Any], Tensor], shape: tuple[int, int, int], side: int, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """A Gram (n, n) and derivatives (n, n, p), from values and slopes (1 + p, ...) of its tiles."""
    out = np.empty(shape, dtype=dtype)
    for tile in _evaluate.gradient_tiles(*shape[1:], side, symmetric=True):
        found = of_tile(tile)
        found = mirrored(found) if tile.on_diagonal else found
        out[:, tile.rows, tile.cols] = found.cpu().numpy()
        out[:, tile.cols, tile.rows] = found.mT.cpu().numpy()
    return out[0], np.moveaxis(out[1:], 0, -1)


def _mode(kernel: DifferentiableKernel, shape: tuple[int, int, int]) -> tuple[int, Partials]:
    """The side of tiles, and how they are differentiated."""
    problem = kernel.problem
    if not problem.input_shape.spatial:
        return equal_side(shape[1], kernel.side(shape, times=2)), _pull
    # pairs of positions are too many to keep them of all layers: forward mode has every array of
    # one layer once per scale, and once more
    best = ReferenceEvaluator().tile_side(problem)
    copies, budget = shape[0], kernel.memory_budget
    return _evaluate.gradient_side(problem, shape, budget, best, copies), _push


def _pull(kernel: DifferentiableKernel, state: KernelState, scales: Tensor) -> Tensor:
    """Values and slopes of flat rows, in reverse mode for all scales at once.

    Every pair gets scales of its own: the gradient of the sum of all entries in them then holds
    the derivative of each entry.
    """
    own = [s.expand(state.nngp.shape).clone().requires_grad_() for s in scales]
    with torch.enable_grad():
        K = getattr(propagate(kernel.network(own), state), kernel.problem.outputs[0].quantity)
    slopes = torch.autograd.grad(K.sum(), own, allow_unused=True, materialize_grads=True)
    return torch.stack([K.detach(), *(d * s for d, s in zip(slopes, scales, strict=True))])


def _push(kernel: DifferentiableKernel, state: KernelState, scales: Tensor) -> Tensor:
    """Values and slopes in forward mode, of all scales at once."""

    def entries(logarithms: Tensor) -> Tensor:
        network = kernel.network(logarithms.exp())
        found: Tensor = getattr(propagate(network, state), kernel.problem.outputs[0].quantity)
        return found

    return with_slopes(entries, scales.log())


def with_slopes(entries: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """A function of numbers (p,), and its derivatives in each, by forward mode: (1 + p, ...)."""

    def push(direction: Tensor) -> Any:
        return torch.func.jvp(entries, (at,), (direction,))

    axes: Any = (None, 0)  # one value, one slope per direction
    with torch.no_grad():
        value, slopes = torch.vmap(push, out_dims=axes)(torch.eye(len(at)).to(at))
    return torch.cat((value.unsqueeze(0), slopes))
