"""Jacobians row by row, in some of the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from .function import ModuleFunction, n_rows, take


def row_jacobians(
    function: ModuleFunction,
    names: Sequence[str],
    inputs: Any,
    vectorized: bool | None = None,
    directions: Tensor | None = None,
) -> dict[str, Tensor]:
    """Derivatives (n, q, size) of the outputs of each row in its own pass, by parameter.

    Parameters
    ----------
    function : ModuleFunction
    names : sequence of str
    inputs
        From ``function.prepare``.
    vectorized : bool or None
        All rows and outputs at once, by `torch.func.vmap`; else one after another, which every
        module supports. None tries the first.
    directions : Tensor, (n, q, k), or None
        Combinations of each row's outputs whose derivatives are taken; None for the outputs
        themselves, q = k.
    """
    if not names:
        return {}
    if vectorized is None:
        try:
            return row_jacobians(function, names, inputs, True, directions)
        except (RuntimeError, ValueError, TypeError):  # what vmap has no rule for, or cannot follow
            vectorized = False
    found = (_vectorized if vectorized else _looped)(function, names, inputs, directions)
    sizes = {name: found[name].shape[:2] for name in names}
    return {name: found[name].detach().reshape(*sizes[name], -1) for name in names}


def _vectorized(
    function: ModuleFunction, names: Sequence[str], inputs: Any, directions: Tensor | None
) -> dict[str, Tensor]:
    def outputs(part: dict[str, Tensor], row: Any, u: Tensor | None) -> Tensor:
        one = take(row, None)  # an axis of length 1 in front
        return _combined(function({**function.values, **part}, one)[0], u)

    part = {name: function.values[name] for name in names}
    by_row = vmap(jacrev(outputs), in_dims=(None, 0, None if directions is None else 0))
    found: dict[str, Tensor] = by_row(part, inputs, directions)
    return found


def _looped(
    function: ModuleFunction, names: Sequence[str], inputs: Any, directions: Tensor | None
) -> dict[str, Tensor]:
    each = [None] * n_rows(inputs) if directions is None else directions
    rows = [_of_row(function, names, take(inputs, slice(i, i + 1)), u) for i, u in enumerate(each)]
    return {name: torch.stack(several) for name, *several in zip(names, *rows, strict=True)}


def _combined(outputs: Tensor, u: Tensor | None) -> Tensor:
    return outputs if u is None else u @ outputs


def _of_row(
    function: ModuleFunction, names: Sequence[str], row: Any, u: Tensor | None
) -> list[Tensor]:
    """(q, *shape) by parameter."""
    with torch.enable_grad():
        leaves = [function.values[name].clone().requires_grad_() for name in names]
        at = {**function.values, **dict(zip(names, leaves, strict=True))}
        outputs = _combined(function(at, row)[0], u)
        found = [gradients(output, leaves) for output in outputs.unbind()]
    return [torch.stack(several) for several in zip(*found, strict=True)]


def gradients(output: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Derivatives of one number; zero by what it does not depend on."""
    if not output.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    return list(torch.autograd.grad(output, leaves, retain_graph=True, materialize_grads=True))
