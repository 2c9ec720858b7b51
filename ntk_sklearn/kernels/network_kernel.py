"""A network's kernels as functions of arrays: what the adapters and estimators share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..backends import FiniteWidth, Quantity
from ..finite import INITIAL_WIDTH, Linearized, initial_outputs
from ..finite.linearized import module_outputs
from . import _evaluate
from ._contracted import contracted_gradient
from ._expression import Expression
from ._gradient import gradient
from ._lowering import problem_of, rebuilding
from ._network import Network, finite_width, free_scales, tree
from ._output import check_out
from ._terms_graph import DifferentiableTerms, differentiable
from ._terms_graph import gradient as gradient_of_terms


@dataclass(frozen=True)
class NetworkKernel:
    """NTK and NNGP of one network, evaluated tile by tile.

    Takes rows that have been checked, numpy arrays or tensors; returns numpy arrays
    (n_quantities, n, m) in the kernel's precision.

    Parameters
    ----------
    network : Preset, Layer or Expression
    quantities : tuple of {"nngp", "ntk"}
        What is computed, in one pass.
    image_shape : tuple of int or None
        (channels, *spatial) of a row, without -1.
    backend, device, dtype, memory_budget
        As in `NTK`.
    """

    network: Network
    quantities: tuple[Quantity, ...] = ("ntk",)
    image_shape: tuple[int, ...] | None = None
    backend: str = "auto"
    device: str = "auto"
    dtype: str = "float64"
    memory_budget: int | str | None = None

    def problem(self, n_features: int) -> Any:
        """What the evaluators are asked for rows of `n_features` values."""
        dtype, device = _evaluate.resolve_dtype(self.dtype), _evaluate.resolve_device(self.device)
        read = self.image_shape, n_features
        return problem_of(self.network, self.quantities, *read, dtype, device)

    def matrix(
        self,
        X: np.ndarray,
        Z: np.ndarray | None = None,
        progress: _evaluate.Progress = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """(n_quantities, n, m); the Gram of X where Z is None or the same memory as X.

        Parameters
        ----------
        X, Z : ndarray, (n, n_features) and (m, n_features)
        progress : callable, bool or None, default=None
            ``progress(done, total)`` is called with 0 before the first tile and after each tile;
            True shows a bar.
        out : ndarray or memmap, (n_quantities, n, m), optional
            Where the matrices are written, in the kernel's precision. A new array unless given.

        Returns
        -------
        ndarray
            `out`, if given.

        Raises
        ------
        MemoryError
            If the matrices do not fit, before anything is allocated.
        TypeError, ValueError
            If `out` is no array, or not one of this shape and precision, or overlaps the rows.
        """
        x = _tensor(X)
        z = None if Z is None or same_memory(X, Z) else _tensor(Z)
        problem = self.problem(x.shape[1])
        if out is not None:
            sizes = (problem.per_row * len(rows) for rows in (x, x if z is None else z))
            shape = (len(self.quantities), *sizes)
            check_out(out, shape, np.dtype(self.dtype), X=X, Z=Z)
        found: np.ndarray = _evaluate.matrix(
            problem, x, z, self.backend, self.memory_budget, out, progress
        )
        return found

    def diagonal(self, X: np.ndarray) -> np.ndarray:
        """(n_quantities, n): k(x, x) without the Gram."""
        x = _tensor(X)
        return _evaluate.diagonal(self.problem(x.shape[1]), x, self.backend, self.memory_budget)

    def initial_outputs(self, X: np.ndarray, n_outputs: int, random_state: int) -> np.ndarray:
        """Outputs (n, n_outputs) of one untrained network: a finite one, wide unless it says so."""
        if isinstance(self.network, Expression):
            raise ValueError(
                "initial='random' needs one network, not the kernel expression "
                f"{type(self.network).__name__}"
            )
        if isinstance(self.network, Linearized):
            raise ValueError(
                "initial='random' draws a network, and a torch module is given: take "
                "initial='network', which starts from its outputs, or networks.from_module(module)"
            )
        finite = finite_width(self.network)
        width = finite.width if isinstance(finite, FiniteWidth) else INITIAL_WIDTH
        shape = self.problem(X.shape[1]).input_shape
        return initial_outputs(tree(self.network), shape, X, n_outputs, random_state, width)

    def module_outputs(self, X: np.ndarray) -> np.ndarray:
        """Outputs (n, k) of a given module, as it is."""
        if not isinstance(self.network, Linearized):
            raise ValueError(
                "initial='network' starts from the outputs of a given torch module, and the "
                "network is none: take initial='random', which draws one"
            )
        problem = self.problem(X.shape[1])
        shape, layer = problem.input_shape, problem.outputs[0].network
        found: np.ndarray = module_outputs(
            layer, (shape.channels, *shape.spatial), X, problem.dtype
        )
        return found

    def joint_outputs(self, n_features: int) -> int | None:
        """How many outputs of a given module have one matrix together; None for all else."""
        if not isinstance(self.network, Linearized):
            return None
        layer = self.problem(n_features).outputs[0].network
        return layer.n_outputs if layer.full else None

    def gradient(self, X: np.ndarray, free: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """The Gram of the one quantity and its derivatives in log scales, (n, n, n_scales)."""
        x, values = _tensor(X), self._values(free)
        problem, rebuild = self.problem(x.shape[1]), self._rebuild(x.shape[1])
        kernel = differentiable(problem, rebuild, tuple(values), self.memory_budget)
        if isinstance(kernel, DifferentiableTerms):
            return gradient_of_terms(kernel, x, values)
        return gradient(kernel, x, values)

    def _values(self, free: Sequence[str]) -> dict[str, float]:
        scales = free_scales(self.network)
        return {name: scales[name] for name in free}

    def _rebuild(self, n_features: int) -> Any:
        return rebuilding(self.network, self.quantities[0], self.image_shape, n_features)

    def gram_tensor(self, X: np.ndarray) -> Tensor:
        """The Gram (n, n) of the one quantity, as a tensor that stays on the device."""
        x = _tensor(X)
        problem = self.problem(x.shape[1])
        out = torch.empty((1, len(x), len(x)), dtype=problem.dtype, device=problem.device)
        _evaluate.matrix(problem, x, None, self.backend, self.memory_budget, out)
        return out[0]

    def contracted_gradient(
        self,
        X: np.ndarray,
        weights: Tensor,
        free: Sequence[str],
        input_scale: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """sum_ij W_ij dK_ij / d log scale, for symmetric weights (n, n), tile by tile.

        For the scales named in `free`, (n_scales,), and for the factors `input_scale` of the
        features, (n_features,) or, where they are None, (0,). K is the Gram of the rows times
        these factors.
        """
        x, values = _tensor(X), self._values(free)
        problem, rebuild = self.problem(x.shape[1]), self._rebuild(x.shape[1])
        return contracted_gradient(
            problem, x, weights, rebuild, values, input_scale, self.memory_budget
        )

    def explain(self, X: np.ndarray) -> str:
        """Who would compute the Gram of X, in which tiles and threads, in how much memory."""
        return _evaluate.explain(
            self.problem(np.shape(X)[1]), len(X), self.backend, self.memory_budget
        )


def same_memory(X: Any, Z: Any) -> bool:
    """Whether two arrays or tensors are one and the same memory; values are never compared."""
    if X is Z:
        return True
    return type(X) is type(Z) and _memory(X) == _memory(Z)


def _memory(X: Any) -> tuple[Any, ...]:
    if isinstance(X, Tensor):
        return X.data_ptr(), X.shape, X.stride(), X.dtype, X.device
    return X.__array_interface__["data"], X.shape, X.strides, X.dtype


def _tensor(X: np.ndarray) -> Tensor:
    """Rows as a tensor; a copy of what torch does not take: read-only, byte-swapped."""
    rows = np.ascontiguousarray(X, dtype=np.float64)
    return torch.from_numpy(rows if rows.flags.writeable else rows.copy())
