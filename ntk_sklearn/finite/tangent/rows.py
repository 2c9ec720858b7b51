"""Jacobians row by row, in some of the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from .function import ModuleFunction, n_rows, take


def row_jacobians(
    function: ModuleFunction, names: Sequence[str], inputs: Any, vectorized: bool
) -> dict[str, Tensor]:
    """Derivatives (n, k, size) of the outputs of each row in its own pass, by parameter.

    Parameters
    ----------
    function : ModuleFunction
    names : sequence of str
    inputs
        From ``function.prepare``.
    vectorized : bool
        All rows and outputs at once, by `torch.func.vmap`; else one after another, which every
        module supports.
    """
    if not names:
        return {}
    found = (_vectorized if vectorized else _looped)(function, names, inputs)
    sizes = {name: found[name].shape[:2] for name in names}
    return {name: found[name].detach().reshape(*sizes[name], -1) for name in names}


def _vectorized(function: ModuleFunction, names: Sequence[str], inputs: Any) -> dict[str, Tensor]:
    def outputs(part: dict[str, Tensor], row: Any) -> Tensor:
        one = take(row, None)  # an axis of length 1 in front
        return function({**function.values, **part}, one)[0]

    part = {name: function.values[name] for name in names}
    found: dict[str, Tensor] = vmap(jacrev(outputs), in_dims=(None, 0))(part, inputs)
    return found


def _looped(function: ModuleFunction, names: Sequence[str], inputs: Any) -> dict[str, Tensor]:
    rows = [_of_row(function, names, take(inputs, slice(i, i + 1))) for i in range(n_rows(inputs))]
    return {name: torch.stack(several) for name, *several in zip(names, *rows, strict=True)}


def _of_row(function: ModuleFunction, names: Sequence[str], row: Any) -> list[Tensor]:
    """(k, *shape) by parameter."""
    with torch.enable_grad():
        leaves = [function.values[name].clone().requires_grad_() for name in names]
        outputs = function({**function.values, **dict(zip(names, leaves, strict=True))}, row)[0]
        found = [gradients(output, leaves) for output in outputs.unbind()]
    return [torch.stack(several) for several in zip(*found, strict=True)]


def gradients(output: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Derivatives of one number; zero by what it does not depend on."""
    if not output.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    return list(torch.autograd.grad(output, leaves, retain_graph=True, materialize_grads=True))
