"""The evaluator of given torch modules: tangent kernels at the parameters that they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..finite.linearized import GivenModule, own_copy
from ..finite.tangent import EmpiricalNTK, Jacobian
from .problem import GivenParameters, Problem
from .reference import mirrored

# Beyond this a tile gains nothing, and takes too long to be interrupted.
_LARGEST_TILE = 128
# Gradients in all parameters that are held at once, for rows, columns and what they are made from.
_GRADIENTS = 4
# Derivatives of a row's signals that are held at once, for every row and output of a tile: the
# Jacobian is that of all rows together.
_SIGNALS = 6


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
        shape = problem.input_shape
        X = X.detach().to(device=problem.device, dtype=problem.dtype)
        kernels = {layer: _kernel(layer, problem) for layer in _modules(problem)}
        return Prepared(X.reshape(len(X), shape.channels or -1, *shape.spatial), kernels)

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
        found = {}
        for layer, kernel in x.kernels.items():
            found[layer] = _block(layer, kernel, x.rows, rows, z.rows, cols, on_diagonal)
            if on_diagonal:  # with the numbers of `diagonal`, to the last bit
                own = _squares(layer, kernel, x.rows, rows)
                found[layer] = mirrored(found[layer]).diagonal_scatter(own)
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
        """Bytes per pair and per input: blocks of all outputs, and gradients in all parameters."""
        pairs, inputs, times = [], [], problem.per_row
        for layer in _modules(problem):
            k = layer.n_outputs
            signals = _SIGNALS * k * _signal_numbers(layer, problem) // times**2
            pairs.append(3 * (k // times) ** 2 + len(problem.outputs) + signals)
            inputs.append(_GRADIENTS * -(-k // times) * layer.function().n_parameters)
        return problem.dtype.itemsize * max(pairs), problem.dtype.itemsize * max(inputs)

    def tile_side(self, problem: Problem) -> int:
        """Rows at which products of gradients take as long as the gradients, or thereabouts."""
        return _LARGEST_TILE


def _kernel(layer: GivenModule, problem: Problem) -> EmpiricalNTK:
    module = own_copy(layer.module, problem.device)
    return EmpiricalNTK(module, parameters=layer.parameters, dtype=problem.dtype)


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
    if not layer.full:
        blocks = kernel.blocks(X[rows], None if on_diagonal else Z[cols])
        return blocks.diagonal(dim1=1, dim2=3).mean(-1)
    (i, inside), (j, beside) = _inputs(rows, layer.n_outputs), _inputs(cols, layer.n_outputs)
    blocks = kernel.blocks(X[i], None if on_diagonal else Z[j])
    return blocks.flatten(2, 3).flatten(0, 1)[inside, beside]


def _squares(layer: GivenModule, kernel: EmpiricalNTK, X: Tensor, rows: slice) -> Tensor:
    """The kernel of rows of the matrix with themselves."""
    i, inside = _inputs(rows, layer.n_outputs) if layer.full else (rows, slice(None))
    function = kernel.function
    J = Jacobian(function, function.values, function.prepare(X[i]))
    squares = J.dense().square().sum(1)
    return squares[inside] if layer.full else squares.unflatten(0, (len(J), -1)).mean(1)


def _inputs(rows: slice, k: int) -> tuple[slice, slice]:
    """The rows of X that rows of the matrix belong to, and their place among all rows of these."""
    first = rows.start // k
    return slice(first, -(-rows.stop // k)), slice(rows.start - first * k, rows.stop - first * k)


def _write(problem: Problem, found: dict[GivenModule, Tensor], out: Any) -> None:
    for k, output in enumerate(problem.outputs):
        value = found[output.network]  # type: ignore[index]
        out[k] = value if isinstance(out, Tensor) else value.cpu().numpy()
