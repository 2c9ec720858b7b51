"""Derivatives of a function of the Gram in the network's scales, without the Gram's derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..architecture import Layer
from ..backends import Problem, ReferenceEvaluator, layout
from ..recursion import pair_state, propagate
from ._evaluate import gram_tiles

Rebuild = Callable[[Mapping[str, Tensor]], Layer]


def contracted_gradient(
    problem: Problem,
    X: Tensor,
    weights: Tensor,
    rebuild: Rebuild,
    values: Mapping[str, float],
    input_scale: np.ndarray | None = None,
    memory_budget: int | str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Contract symmetric weights W (n, n) with the derivatives of the Gram K of one output.

    :math:`\sum_{ij} W_{ij}\, \partial K_{ij} / \partial \log s` for every scale s in `values`, and
    for every factor of a feature in `input_scale` (X is given without it): what the chain rule
    asks of the kernel for a function of K with the derivatives W.

    Reverse mode, tile by tile: each tile of the recursion is computed again and forgotten, so that
    no array has more entries than the Gram, for any number of scales.

    Returns
    -------
    scales : ndarray, (len(values),)
    features : ndarray, (n_features,) or (0,)
    """
    if not values and input_scale is None:
        return np.zeros(0), np.zeros(0)
    x = X.to(device=problem.device, dtype=problem.dtype)
    w = weights.to(x)
    factors = np.ones(0) if input_scale is None else input_scale
    logs, features = (_logarithms(v, x) for v in ([*values.values()], factors))
    total = [torch.zeros_like(logs), torch.zeros_like(features)]
    # of what a layer needs while it is computed, less than half is kept (measured)
    copies = 1 + _n_layers(problem.outputs[0].network) // 2
    for tile in gram_tiles(problem, len(x), memory_budget, copies):
        with torch.enable_grad():
            rows = x * features.exp() if len(features) else x
            network = rebuild(dict(zip(values, logs.exp(), strict=True)))
            K = _entries(problem, network, rows[tile.rows], rows[tile.cols], tile.on_diagonal)
            part = (K * w[tile.rows, tile.cols]).sum() * (1.0 if tile.on_diagonal else 2.0)
        if part.requires_grad:
            slopes = torch.autograd.grad(part, (logs, features), allow_unused=True)
            for sums, slope in zip(total, slopes, strict=True):
                sums += 0.0 if slope is None else slope
    scales, by_feature = (t.cpu().numpy() for t in total)
    return scales, by_feature


def _n_layers(layer: Layer) -> int:
    """Layers of a tree that compute something."""
    children = [*getattr(layer, "layers", ()), *getattr(layer, "branches", ())]
    return sum(map(_n_layers, children)) if children else 1


def _logarithms(values: np.ndarray | list[float], like: Tensor) -> Tensor:
    found = torch.tensor(values, dtype=like.dtype, device=like.device).log()
    return found.requires_grad_()


def _entries(problem: Problem, network: Layer, x: Tensor, z: Tensor, on_diagonal: bool) -> Tensor:
    """The entries of a tile of the one output."""
    prepare = ReferenceEvaluator().prepare
    state = pair_state(prepare(problem, x), prepare(problem, z), *layout(problem), on_diagonal)
    found: Tensor = getattr(propagate(network, state), problem.outputs[0].quantity)
    return found
