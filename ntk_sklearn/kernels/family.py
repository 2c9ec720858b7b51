"""Kernels of several networks in one pass: networks that begin alike share what they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..backends import Problem
from . import _evaluate
from .network_kernel import NetworkKernel, _tensor


@dataclass(frozen=True)
class NetworkFamily:
    """NTK and NNGP of several networks, evaluated tile by tile in one pass over the layers.

    All depths of a preset cost one pass of the deepest, since each network is the beginning of the
    next one but for its readout. All matrices exist at once, and count for the memory budget.

    Parameters
    ----------
    kernels : tuple of NetworkKernel
        At least one; they differ in network and quantities only.
    """

    kernels: tuple[NetworkKernel, ...]

    def problem(self, n_features: int) -> Problem:
        """What the evaluators are asked for rows of `n_features` values.

        Raises
        ------
        ValueError
            If the networks read rows differently, or are of different finite widths.
        """
        problems = [kernel.problem(n_features) for kernel in self.kernels]
        outputs = tuple(output for problem in problems for output in problem.outputs)
        joint = replace(problems[0], outputs=outputs)
        if any(replace(problem, outputs=outputs) != joint for problem in problems):
            raise ValueError(
                "networks evaluated in one pass must have the same input shape, precision, device "
                "and finite width"
            )
        return joint

    def matrix(
        self, X: np.ndarray, progress: Callable[[int, int], object] | None = None
    ) -> np.ndarray:
        """The Grams (n_kernels * n_quantities, n, n) of checked rows, kernel by kernel.

        ``progress(done, total)`` is called with 0 before the first tile and after each tile.
        """
        first, x = self.kernels[0], _tensor(X)
        if len(self.kernels) == 1:
            return first.matrix(X, progress=progress)
        found: np.ndarray = _evaluate.matrix(
            self.problem(x.shape[1]), x, None, first.backend, first.memory_budget, progress=progress
        )
        return found
