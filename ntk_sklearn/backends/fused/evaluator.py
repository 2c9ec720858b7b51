"""The fused evaluator: networks of infinite width on the CPU, without their recursion's arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ...architecture import Layer
from ..problem import GivenParameters, Problem
from ..reference import mirrored
from .program import NotFusedError

if TYPE_CHECKING:
    from .dense import DensePlan
    from .images import ImagePlan


class FusedEvaluator:
    """Runs whole networks on pieces of a tile that stay in the cache, compiled by numba.

    Images are followed displacement by displacement: nothing of the size of all pairs of positions
    is ever stored. Every tile is computed by one thread, which lets others run.
    """

    name = "fused"
    concurrent = True

    def why_not(self, problem: Problem) -> list[str]:
        """What keeps the problem from being lowered to a table of layers."""
        reasons = []
        if isinstance(problem.finite, GivenParameters):
            return [f"it computes infinite width, the network has {problem.finite}"]
        if problem.finite is not None:
            reasons.append(f"it computes infinite width, the network has {problem.finite}")
        if problem.device.type != "cpu":
            reasons.append(f"it runs on the CPU, the device is {problem.device}")
        try:
            _plan(problem)
        except ImportError as error:
            reasons.append(f"it needs numba, which cannot be imported ({error})")
        except NotFusedError as error:
            reasons.append(f"it does not cover {error}")
        return reasons

    def prepare(self, problem: Problem, X: Tensor) -> Any:
        """The rows in the problem's precision, with what follows from their lengths."""
        return _plan(problem).prepare(X.detach().numpy())

    def prepared_bytes(self, problem: Problem) -> int:
        """Bytes per row that `prepare` keeps."""
        return _plan(problem).prepared_bytes()

    def tile(
        self,
        problem: Problem,
        x: Any,
        rows: slice,
        z: Any,
        cols: slice,
        on_diagonal: bool,
        out: Any,
        halt: np.ndarray | None = None,
    ) -> None:
        """Fill a tile; see `Evaluator`."""
        found = _plan(problem).tile(x[rows], z[cols], on_diagonal, halt)
        for k, matrix in enumerate(_chosen(problem, found)):
            whole = mirrored(torch.from_numpy(matrix)) if on_diagonal else torch.from_numpy(matrix)
            out[k] = whole if isinstance(out, Tensor) else whole.numpy()

    def diagonal(self, problem: Problem, x: Any, rows: slice, out: Any) -> None:
        """Fill k(x_i, x_i); see `Evaluator`."""
        for k, values in enumerate(_chosen(problem, _plan(problem).diagonal(x[rows]))):
            out[k] = values

    def workspace(self, problem: Problem) -> tuple[int, int]:
        """Bytes per pair and per input of a tile."""
        return _plan(problem).workspace()

    def tile_overhead(self, problem: Problem) -> int:
        """Bytes of the planes that a tile of any size is computed on."""
        return _plan(problem).tile_overhead()

    def tile_side(self, problem: Problem) -> int:
        """Rows of a tile that keeps one thread busy for a while."""
        return _plan(problem).tile_side()

    def least_side(self, problem: Problem) -> int:
        """Rows of a tile that is worth its preparations."""
        return _plan(problem).least_side()


def _chosen(problem: Problem, found: np.ndarray) -> Iterator[np.ndarray]:
    """The outputs that the problem asks for, from NNGP and NTK of its networks."""
    places = {network: k for k, network in enumerate(_networks(problem))}
    for output in problem.outputs:
        yield found[places[output.network], int(output.quantity == "ntk")]


def _networks(problem: Problem) -> tuple[Layer, ...]:
    return tuple(dict.fromkeys(output.network for output in problem.outputs))


def _plan(problem: Problem) -> DensePlan | ImagePlan:
    shape, dtype = problem.input_shape, problem.numpy_dtype
    if not shape.channels:
        raise NotFusedError("inputs with infinitely many channels")
    return _planned(_networks(problem), shape.channels, shape.spatial, dtype)


@lru_cache(maxsize=64)
def _planned(
    networks: tuple[Layer, ...], n_channels: int, spatial: tuple[int, ...], dtype: np.dtype
) -> DensePlan | ImagePlan:
    for network in networks:
        _refuse_tensors(network)
    # numba takes a while to import, and may be missing
    if spatial:
        from .images import ImagePlan

        return ImagePlan(networks, n_channels, spatial, dtype)
    from .dense import DensePlan

    return DensePlan(networks, n_channels, dtype)


def _refuse_tensors(layer: Layer) -> None:
    """Numbers only: a tensor may change, or ask for a gradient."""
    for f in fields(layer):  # type: ignore[arg-type]
        value = getattr(layer, f.name)
        if isinstance(value, Tensor):
            raise NotFusedError(f"tensors as scales ({type(layer).__name__}.{f.name})")
        for child in value if isinstance(value, tuple) else ():
            if isinstance(child, Layer):
                _refuse_tensors(child)
