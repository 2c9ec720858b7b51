"""The one place where evaluators of tiles meet the drivers that fill matrices."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from .._validation import parse_budget
from ..architecture import Layer, Shape, ShapeError, check_random_outputs, infer_shape
from ..backends import (
    EmpiricalEvaluator,
    Evaluator,
    FusedEvaluator,
    ModuleEvaluator,
    Output,
    Problem,
    Quantity,
    ReferenceEvaluator,
    choose,
    least_side,
    prepared_bytes,
    tile_overhead,
)
from ..gram import (
    Threads,
    Tile,
    compute_diagonal,
    compute_matrix,
    concurrent_side,
    n_tiles,
    reporting,
    tile_bytes,
    tile_side,
    tiles,
    workspace_budget,
)
from ._output import is_file
from ._terms import Mean, TermsProblem, walk
from ._terms_evaluator import TermsEvaluator
from ._torch_threads import single_threaded_torch

AnyProblem = Problem | TermsProblem
Progress = Callable[[int, int], object] | bool | None
EVALUATORS: tuple[Evaluator, ...] = (
    FusedEvaluator(),
    ReferenceEvaluator(),
    EmpiricalEvaluator(),
    ModuleEvaluator(),
)
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


def evaluator_of(problem: AnyProblem, backend: str = "auto") -> Any:
    """Who evaluates a problem: the evaluator of its networks, or what combines several.

    Raises
    ------
    ValueError
        If the named evaluator does not exist or cannot run a network, with its reasons.
    """
    if isinstance(problem, TermsProblem):
        return TermsEvaluator(problem, lambda part: choose(part, EVALUATORS, backend))
    return choose(problem, EVALUATORS, backend)


def matrix(
    problem: AnyProblem,
    X: Tensor,
    Z: Tensor | None,
    backend: str = "auto",
    memory_budget: int | str | None = None,
    out: Any = None,
    progress: Progress = None,
) -> Any:
    """The matrices (n_outputs, n, m) of all outputs; a Gram where Z is None.

    Filled into `out`, a new array unless given (an array, or a tensor on any device).
    ``progress(done, total)`` is called with 0 before the first tile and after each tile, in the
    calling thread; True shows a bar.
    """
    evaluator = evaluator_of(problem, backend)
    n, m = (problem.per_row * len(rows) for rows in (X, X if Z is None else Z))
    plan = plan_matrix(evaluator, problem, (n, m), Z is None, memory_budget, out)
    with reporting(progress, n * (n + 1) // 2 if Z is None else n * m) as report:
        x = evaluator.prepare(problem, X)
        z = x if Z is None else evaluator.prepare(problem, Z)
        threads = plan.threads()
        halt = None if threads is None else threads.halt

        def fill(tile: Tile, view: Any) -> None:
            if halt is not None:
                single_threaded_torch()
            evaluator.tile(problem, x, tile.rows, z, tile.cols, tile.on_diagonal, view, halt)
            if halt is None or not halt[0]:
                check_finite(view)

        if out is None:
            out = np.empty((len(problem.outputs), n, m), dtype=problem.numpy_dtype)
        return compute_matrix(fill, out, plan.side, Z is None, report, threads)


def diagonal(
    problem: AnyProblem, X: Tensor, backend: str = "auto", memory_budget: int | str | None = None
) -> np.ndarray:
    """The diagonals (n_outputs, n) of the Grams, without the Grams."""
    evaluator = evaluator_of(problem, backend)
    n = problem.per_row * len(X)
    plan = plan_matrix(evaluator, problem, (n, 1), False, memory_budget)
    x = evaluator.prepare(problem, X)
    threads = plan.threads()

    def fill(rows: slice, view: np.ndarray) -> None:
        if threads is not None:
            single_threaded_torch()
        evaluator.diagonal(problem, x, rows, view)
        check_finite(view)

    out = np.empty((len(problem.outputs), n), dtype=problem.numpy_dtype)
    return compute_diagonal(fill, out, plan.side, threads)


@dataclass(frozen=True)
class Plan:
    """How a matrix is computed.

    Attributes
    ----------
    evaluator : Evaluator
    side, n_tiles : int
        The largest side of a tile, and how many tiles there are.
    workers : int
        Threads that the process may take.
    at_once : int
        Tiles that run at the same time.
    matrix, kept, work : int
        Bytes: of the matrix, of the prepared rows, of the work on the tiles that run at once.
    """

    evaluator: Any
    side: int
    n_tiles: int
    workers: int
    at_once: int
    matrix: int
    kept: int
    work: int

    def threads(self) -> Threads | None:
        """What the drivers are told, once per computation."""
        return Threads(self.workers, self.at_once) if self.evaluator.concurrent else None


def plan_matrix(
    evaluator: Any,
    problem: Any,
    size: tuple[int, int],
    symmetric: bool,
    memory_budget: int | str | None,
    out: Any = None,
) -> Plan:
    """The tiles of a matrix of the given size, within the memory budget.

    Only how many run at once depends on the threads: tiles, and so the last bits, do not.

    Raises
    ------
    MemoryError
        If the matrix, or the work on one pair, does not fit.
    """
    budget, shape = parse_budget(memory_budget), (len(problem.outputs), *size)
    kept = prepared_bytes(evaluator, problem) * (size[0] if symmetric else sum(size))
    # an array of the caller's is there already, and counts for what the caller allows only; the
    # tensors are made by the adapters, just before
    given = isinstance(out, np.ndarray)
    counts = not is_file(out) and not (given and budget is None)
    dtype = problem.numpy_dtype
    workspace = workspace_budget(shape, dtype, budget, kept=kept, matrix_counts=counts)

    def count(side: int) -> int:
        return n_tiles(*size, side, symmetric)

    bytes_of: tuple[int, int] = evaluator.workspace(problem)
    best = evaluator.tile_side(problem)
    overhead = tile_overhead(evaluator, problem)
    if evaluator.concurrent:
        least = least_side(evaluator, problem)
        side = concurrent_side(*bytes_of, best, least, workspace, count, overhead)
    else:
        side = tile_side(*bytes_of, best, workspace, overhead)
    work, total = tile_bytes(*bytes_of, min(side, max(size)), overhead), count(side)
    workers = torch.get_num_threads()
    at_once = max(1, min(workers, total, workspace // max(work, 1))) if evaluator.concurrent else 1
    matrix = prod(shape) * dtype.itemsize
    return Plan(evaluator, side, total, workers, at_once, matrix, kept, at_once * work)


def check_finite(values: Any) -> None:
    """Refuse entries that are infinite or undefined, of an array or a tensor."""
    finite = torch.isfinite if isinstance(values, Tensor) else np.isfinite
    if not finite(values).all():
        dtype = str(values.dtype).removeprefix("torch.")
        raise ValueError(
            f"the kernel overflows {dtype}: scale X down, or take smaller weight scales or fewer "
            "layers"
        )


def gradient_side(
    problem: Problem,
    shape: tuple[int, ...],
    memory_budget: int | str | None,
    best: int,
    copies: int,
) -> int:
    """Rows of a tile, at most `best`, for work that keeps the reference's arrays `copies` times."""
    per_pair, per_input = ReferenceEvaluator().workspace(problem)
    return side_within(problem, shape, memory_budget, best, copies * per_pair, copies * per_input)


def side_within(
    problem: AnyProblem,
    shape: tuple[int, ...],
    memory_budget: int | str | None,
    best: int,
    per_pair: int,
    per_input: int,
) -> int:
    """Rows of a tile, at most `best`, for work of so many bytes beside matrices of a shape."""
    workspace = workspace_budget(shape, problem.numpy_dtype, parse_budget(memory_budget))
    return tile_side(per_pair, per_input, best, workspace)


def gradient_tiles(n: int, m: int, side: int, symmetric: bool) -> Iterator[Tile]:
    """Tiles of at most `side` x `side`, or the upper ones of a Gram."""
    return tiles(n, m, side, symmetric)


def explain(
    problem: AnyProblem, n: int, backend: str = "auto", memory_budget: int | str | None = None
) -> str:
    """Which evaluator would run a Gram of n rows, in which tiles and threads, in how much memory.

    What would be refused is told, not raised; but for a `backend` that does not exist.
    """
    names = [evaluator.name for evaluator in EVALUATORS]
    if backend not in ("auto", *names):
        raise ValueError(f"backend must be 'auto' or one of {names}, got {backend!r}")
    n *= problem.per_row
    lines = [f"Gram of {n} x {n}, {problem.dtype} on {problem.device}"]
    if isinstance(problem, TermsProblem):
        return "\n".join([*lines, *_explain_terms(problem, n, backend, memory_budget)])
    for evaluator in EVALUATORS:
        why = evaluator.why_not(problem)
        lines.append(f"{evaluator.name}: {'; '.join(why) if why else 'can run'}")
    if not _able(problem, backend):
        return "\n".join([*lines, f"chosen: none, backend={backend!r} would be refused"])
    chosen = choose(problem, EVALUATORS, backend)
    try:
        plan = plan_matrix(chosen, problem, (n, n), True, memory_budget)
    except MemoryError as error:
        return "\n".join([*lines, f"chosen: {chosen.name}", f"refused: {error}"])
    return "\n".join([*lines, *_told(plan, n)])


def _explain_terms(
    problem: TermsProblem, n: int, backend: str, memory_budget: int | str | None
) -> list[str]:
    """The same for an expression: who runs its networks, and how groups act."""
    try:
        chosen = evaluator_of(problem, backend)
    except ValueError as error:
        return [f"refused: {error}"]
    lines = []
    for part, evaluator in chosen.parts.items():
        lines += [
            f"{evaluator.name}: {output.quantity} of {output.network!r}" for output in part.outputs
        ]
    found = dict.fromkeys(t for output in problem.outputs for t in walk(output))
    for mean in (t for t in found if isinstance(t, Mean)):
        of = f"both arguments ({mean.why_both})" if mean.both else "one argument"
        lines.append(f"averaged over {len(mean.moves())} transformations of {of}: {mean.group!r}")
    try:
        return lines + _told(plan_matrix(chosen, problem, (n, n), True, memory_budget), n)
    except MemoryError as error:
        return [*lines, f"refused: {error}"]


def _able(problem: Problem, backend: str) -> list[Evaluator]:
    return [e for e in EVALUATORS if backend in ("auto", e.name) and not e.why_not(problem)]


def _told(plan: Plan, n: int) -> list[str]:
    """Tiles, threads and memory of a Gram."""
    side, threads = min(n, plan.side), f"{plan.workers} thread{'s' * (plan.workers != 1)}"
    if plan.evaluator.concurrent:
        how = f"{plan.at_once} at once on {threads}, each on one"
    else:
        how = f"one after another, each on {threads}"
    kept = f", {plan.kept / 2**20:.4g} MB for the rows" if plan.kept else ""
    return [
        f"chosen: {plan.evaluator.name}, tiles of {side} x {side} ({plan.n_tiles} in all), {how}",
        f"memory: {plan.matrix / 2**20:.4g} MB for the matrix{kept} and about "
        f"{plan.work / 2**20:.4g} MB to work in",
    ]


def outputs(network: Layer, *quantities: Quantity) -> tuple[Output, ...]:
    """The outputs of one network.

    Raises
    ------
    ValueError
        For an unknown quantity; for the NNGP of a network whose outputs vanish.
    """
    known = get_args(Quantity)
    for quantity in quantities:
        if quantity not in known:
            raise ValueError(f"a quantity must be one of {known}, got {quantity!r}")
    if "nngp" in quantities:
        check_random_outputs(network)
    return tuple(Output(network, quantity) for quantity in quantities)
