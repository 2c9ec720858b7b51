"""The one place where evaluators of tiles meet the drivers that fill matrices."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from ..architecture import Layer, Shape, ShapeError, infer_shape
from ..backends import (
    EmpiricalEvaluator,
    Evaluator,
    Output,
    Problem,
    Quantity,
    ReferenceEvaluator,
    choose,
    layout,
    mirrored,
)
from ..gram import (
    Tile,
    compute_diagonal,
    compute_matrix,
    parse_budget,
    tile_side,
    tiles,
    workspace_budget,
)
from ..recursion import pair_state, propagate

EVALUATORS: tuple[Evaluator, ...] = (ReferenceEvaluator(), EmpiricalEvaluator())
DTYPES = {"float64": torch.float64, "float32": torch.float32}

if hasattr(os, "register_at_fork"):
    # OpenMP's threads do not survive a fork: the first parallel loop of the child would wait for
    # them forever. The workers of torch's own DataLoader are limited likewise.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def resolve_device(device: Any) -> torch.device:
    """CUDA for "auto" where there is any, else the CPU; or the device by name.

    Raises
    ------
    ValueError
        For a device that does not exist here, naming those that do.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ["cpu"] + ["cuda"] * bool(count) + [f"cuda:{k}" for k in range(count)]
    name = str(device)
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    if name not in known:
        raise ValueError(f"device must be 'auto' or one of {known} on this machine, got {device!r}")
    return torch.device(name)


def resolve_dtype(dtype: Any) -> torch.dtype:
    """The precision "float64" or "float32", by name or as a numpy type."""
    try:
        return DTYPES[dtype if isinstance(dtype, str) else np.dtype(dtype).name]
    except (KeyError, TypeError):
        raise ValueError(f"dtype must be one of {list(DTYPES)}, got {dtype!r}") from None


def input_shape(network: Layer, image_shape: tuple[int, ...] | None, n_features: int) -> Shape:
    """The shape of one row of X, checked against the network."""
    flat = Shape(n_features)
    if image_shape is None or _reads(network, flat):
        shape = flat  # a dense network reads images as rows
    else:
        shape = Shape(image_shape[0], image_shape[1:])
    end = infer_shape(network, shape)
    if end.spatial:
        raise ValueError(
            f"the network ends in {end.spatial} positions: end it with Flatten() or "
            "GlobalAvgPool(), before or after the readout"
        )
    return shape


def _reads(network: Layer, shape: Shape) -> bool:
    try:
        infer_shape(network, shape)
    except ShapeError:
        return False
    return True


def matrix(
    problem: Problem,
    X: Tensor,
    Z: Tensor | None,
    backend: str = "auto",
    memory_budget: int | str | None = None,
    out: Any = None,
    progress: Callable[[int, int], object] | None = None,
) -> Any:
    """The matrices (n_outputs, n, m) of all outputs; a Gram where Z is None.

    Filled into `out`, a new array unless given (an array, or a tensor on any device).
    ``progress(done, total)`` is called with 0 before the first tile and after each tile.
    """
    evaluator = choose(problem, EVALUATORS, backend)
    symmetric = Z is None
    shape = (len(problem.outputs), len(X), len(X) if Z is None else len(Z))
    side = _side(evaluator, problem, shape, memory_budget)
    x = evaluator.prepare(problem, X)
    z = x if Z is None else evaluator.prepare(problem, Z)

    def fill(tile: Tile, view: Any) -> None:
        evaluator.tile(problem, x, tile.rows, z, tile.cols, tile.on_diagonal, view)
        check_finite(view)

    if out is None:
        out = np.empty(shape, dtype=_numpy(problem.dtype))
    return compute_matrix(fill, out, side, symmetric, progress)


def diagonal(
    problem: Problem, X: Tensor, backend: str = "auto", memory_budget: int | str | None = None
) -> np.ndarray:
    """The diagonals (n_outputs, n) of the Grams, without the Grams."""
    evaluator = choose(problem, EVALUATORS, backend)
    shape = (len(problem.outputs), len(X))
    side = _side(evaluator, problem, shape, memory_budget)
    x = evaluator.prepare(problem, X)

    def fill(rows: slice, view: np.ndarray) -> None:
        evaluator.diagonal(problem, x, rows, view)
        check_finite(view)

    return compute_diagonal(fill, np.empty(shape, dtype=_numpy(problem.dtype)), side)


def check_finite(values: Any) -> None:
    """Refuse entries that are infinite or undefined, of an array or a tensor."""
    finite = torch.isfinite if isinstance(values, Tensor) else np.isfinite
    if not finite(values).all():
        dtype = str(values.dtype).removeprefix("torch.")
        raise ValueError(
            f"the kernel overflows {dtype}: scale X down, or take smaller weight scales or fewer "
            "layers"
        )


def gradient(
    problem: Problem,
    X: Tensor,
    rebuild: Callable[[Mapping[str, Tensor]], Layer],
    values: Mapping[str, float],
    memory_budget: int | str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The Gram (n, n) of one output and its derivatives (n, n, p) in the logarithms of `values`.

    Forward mode, tile by tile: nothing of the recursion is stored.
    """
    evaluator, output = ReferenceEvaluator(), problem.outputs[0]
    n = len(X)
    side = _side(evaluator, problem, (1 + len(values), n, n), memory_budget, len(values) + 1)
    x = evaluator.prepare(problem, X)

    def fill(tile: Tile, view: np.ndarray) -> None:
        state = pair_state(x[tile.rows], x[tile.cols], *layout(problem), tile.on_diagonal)

        def entries(logarithms: Tensor) -> Tensor:
            scales = dict(zip(values, logarithms.exp(), strict=True))
            found: Tensor = getattr(propagate(rebuild(scales), state), output.quantity)
            return found

        found = _with_partials(entries, values, problem)
        view[:] = (mirrored(found) if tile.on_diagonal else found).cpu().numpy()

    out = np.empty((1 + len(values), n, n), dtype=_numpy(problem.dtype))
    compute_matrix(fill, out, side, symmetric=True)
    return out[0], np.moveaxis(out[1:], 0, -1)


def _with_partials(
    entries: Callable[[Tensor], Tensor], values: Mapping[str, float], problem: Problem
) -> Tensor:
    """The entries of a tile and their partial derivatives in each logarithm, stacked."""
    point = torch.tensor([*values.values()], dtype=problem.dtype, device=problem.device).log()

    def push(direction: Tensor) -> Any:
        return torch.func.jvp(entries, (point,), (direction,))

    axes: Any = (None, 0)  # one value, one slope per direction
    with torch.no_grad():
        value, slopes = torch.vmap(push, out_dims=axes)(torch.eye(len(point)).to(point))
    return torch.cat((value.unsqueeze(0), slopes))


def gram_tiles(
    problem: Problem, n: int, memory_budget: int | str | None = None, copies: int = 1
) -> Iterator[Tile]:
    """The upper tiles of a Gram, for work that keeps the reference's arrays `copies` times."""
    side = _side(ReferenceEvaluator(), problem, (1, n, n), memory_budget, copies)
    return tiles(n, n, side, symmetric=True)


def explain(
    problem: Problem, n: int, backend: str = "auto", memory_budget: int | str | None = None
) -> str:
    """Which evaluator would run a Gram of n rows, in which tiles and with how much memory."""
    lines = [f"Gram of {n} x {n}, {problem.dtype} on {problem.device}"]
    for evaluator in EVALUATORS:
        why = evaluator.why_not(problem)
        lines.append(f"{evaluator.name}: {'; '.join(why) if why else 'can run'}")
    chosen = choose(problem, EVALUATORS, backend)
    shape = (len(problem.outputs), n, n)
    side = min(n, _side(chosen, problem, shape, memory_budget))
    per_pair, per_input = chosen.workspace(problem)
    output = np.prod(shape) * problem.dtype.itemsize
    lines.append(
        f"chosen: {chosen.name}, tiles of {side} x {side}, "
        f"{output / 2**20:.4g} MB for the matrix and about "
        f"{(side * side * per_pair + side * per_input) / 2**20:.4g} MB to work in"
    )
    return "\n".join(lines)


def _side(
    evaluator: Evaluator,
    problem: Problem,
    shape: tuple[int, ...],
    memory_budget: int | str | None,
    tangents: int = 1,
) -> int:
    """The side of the tiles; every array of the work exists once per tangent."""
    workspace = workspace_budget(shape, _numpy(problem.dtype), parse_budget(memory_budget))
    best = evaluator.tile_side(problem)
    return tile_side(*evaluator.workspace(problem), best, workspace // tangents)


def _numpy(dtype: torch.dtype) -> np.dtype:
    return np.dtype(str(dtype).removeprefix("torch."))


def outputs(network: Layer, *quantities: Quantity) -> tuple[Output, ...]:
    """The outputs of one network.

    Raises
    ------
    ValueError
        For an unknown quantity.
    """
    known = get_args(Quantity)
    for quantity in quantities:
        if quantity not in known:
            raise ValueError(f"a quantity must be one of {known}, got {quantity!r}")
    return tuple(Output(network, quantity) for quantity in quantities)
