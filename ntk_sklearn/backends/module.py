"""The evaluator of given torch modules: tangent kernels at the parameters that they have."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..finite.linearized import GivenModule, own_copy
from ..finite.tangent import EmpiricalNTK
from .problem import GivenParameters, Problem

# Beyond this a tile gains nothing, and takes too long to be interrupted.
_LARGEST_TILE = 256
# What the gradients of a tile may take at a time: those of so many rows, but no more bytes.
_ROWS, _BYTES = 64, 2**28
# Arrays of the size of a tile that live beside its kernel.
_COPIES = 3


@dataclass(frozen=True)
class Prepared:
    """Rows as the modules read them, and the kernel of every module."""

    rows: Tensor
    kernels: dict[Any, EmpiricalNTK]


class ModuleEvaluator:
    """Contracts the gradients of a module's outputs, tile by tile.

    With all pairs of outputs, ``problem.per_row`` rows of the matrix belong to a row of X: row
    i k + a is output a of k for row i.
    """

    name = "module"
    concurrent = False  # torch uses all cores within a tile

    def why_not(self, problem: Problem) -> list[str]:
        """Trees of layers belong to others."""
        if not isinstance(problem.finite, GivenParameters):
            return ["it computes given torch modules, the network is a tree of layers"]
        return []

    def prepare(self, problem: Problem, X: Tensor) -> Prepared:
        """Copy the parameters in the problem's precision, and give the rows their shape."""
        kernels = {layer: _kernel(layer, problem) for layer in _modules(problem)}
        return Prepared(problem.shaped(X.detach()), kernels)

    def tile(
        self,
        problem: Problem,
        x: Prepared,
        rows: slice,
        z: Prepared,
        cols: slice,
        on_diagonal: bool,
        out: Any,
        halt: np.ndarray | None = None,
    ) -> None:
        """Fill a tile; see `Evaluator`."""
        if 0 in out.shape:
            return
        found = {
            layer: _block(layer, kernel, x.rows, rows, z.rows, cols, on_diagonal)
            for layer, kernel in x.kernels.items()
        }
        _write(problem, found, out)

    def diagonal(self, problem: Problem, x: Prepared, rows: slice, out: Any) -> None:
        """Fill k(x_i, x_i); see `Evaluator`."""
        if 0 in out.shape:
            return
        found = {
            layer: _squares(layer, kernel, x.rows, rows) for layer, kernel in x.kernels.items()
        }
        _write(problem, found, out)

    def workspace(self, problem: Problem) -> tuple[int, int]:
        """Bytes per pair and per input: the kernel of a tile, and copies of its rows."""
        times = problem.per_row
        per_pair = max(_COPIES * (1 + layer.full) for layer in _modules(problem))
        per_input = _COPIES * (n_features(problem) // times + 1)
        return problem.dtype.itemsize * per_pair, problem.dtype.itemsize * per_input

    def tile_overhead(self, problem: Problem) -> int:
        """Bytes for gradients, by which `EmpiricalNTK` cuts a tile into smaller ones."""
        return max(_budget(layer, problem) for layer in _modules(problem))

    def tile_side(self, problem: Problem) -> int:
        """Rows at which products of gradients take as long as the gradients, or thereabouts."""
        return _LARGEST_TILE


def _kernel(layer: GivenModule, problem: Problem) -> EmpiricalNTK:
    return EmpiricalNTK(
        own_copy(layer.module, problem.device),
        parameters=layer.parameters,
        outputs="full" if layer.full else "mean",
        dtype=problem.dtype,
        memory_budget=_budget(layer, problem),
    )


def n_features(problem: Problem) -> int:
    """Numbers of a row."""
    shape = problem.input_shape
    return (shape.channels or 1) * prod(shape.spatial)


def _budget(layer: GivenModule, problem: Problem) -> int:
    """Bytes for the gradients of some rows, or for the least that one row and column need."""
    size, k = problem.dtype.itemsize, layer.n_outputs
    n_parameters = layer.function().n_parameters
    one = 3 * size * k * (n_parameters + k) + (2 + k) * size * _signal_numbers(layer, problem)
    return max(one, min(_ROWS * one, _BYTES))


def _modules(problem: Problem) -> list[GivenModule]:
    networks = dict.fromkeys(output.network for output in problem.outputs)
    return [network for network in networks if isinstance(network, GivenModule)]


def _signal_numbers(layer: GivenModule, problem: Problem) -> int:
    """Numbers that a module keeps of one row for its derivatives."""
    function, shape, found = layer.function(), problem.input_shape, 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal found
        found += tensor.numel()
        return tensor

    row = torch.zeros(1, shape.channels or 1, *shape.spatial, dtype=function.dtype)
    values = {name: value.requires_grad_() for name, value in function.values.items()}
    saving = torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor)
    with torch.enable_grad(), saving:
        function(values, function.prepare(row))
    return max(1, found - sum(value.numel() for value in values.values()))


def _block(
    layer: GivenModule,
    kernel: EmpiricalNTK,
    X: Tensor,
    rows: slice,
    Z: Tensor,
    cols: slice,
    on_diagonal: bool,
) -> Tensor:
    """The kernel of rows and columns of the matrix."""
    (i, inside), (j, beside) = _inputs(rows, layer), _inputs(cols, layer)
    x, z = X[i], X[i] if on_diagonal else Z[j]
    limited = _within_budget(kernel, layer, len(x) * len(z))
    found: Tensor = limited(x, None if on_diagonal else z)
    return found.flatten(2, 3).flatten(0, 1)[inside, beside] if layer.full else found


def _squares(layer: GivenModule, kernel: EmpiricalNTK, X: Tensor, rows: slice) -> Tensor:
    """The kernel of rows of the matrix with themselves."""
    i, inside = _inputs(rows, layer)
    found: Tensor = _within_budget(kernel, layer, len(X[i])).diag(X[i])
    return found.flatten()[inside] if layer.full else found


def _within_budget(kernel: EmpiricalNTK, layer: GivenModule, n_pairs: int) -> EmpiricalNTK:
    """The kernel, which may take so much beside a result."""
    limited = copy(kernel)
    blocks = layer.n_outputs**2 if layer.full else 1
    work = kernel.memory_budget
    assert isinstance(work, int)
    limited.memory_budget = work + kernel.function.dtype.itemsize * n_pairs * blocks
    return limited


def _inputs(rows: slice, layer: GivenModule) -> tuple[slice, slice]:
    """The rows of X that rows of the matrix belong to, and their place among all rows of these."""
    k = layer.n_outputs if layer.full else 1
    first = rows.start // k
    return slice(first, -(-rows.stop // k)), slice(rows.start - first * k, rows.stop - first * k)


def _write(problem: Problem, found: dict[GivenModule, Tensor], out: Any) -> None:
    for k, output in enumerate(problem.outputs):
        value = found[output.network]  # type: ignore[index]
        out[k] = value if isinstance(out, Tensor) else value.cpu().numpy()
