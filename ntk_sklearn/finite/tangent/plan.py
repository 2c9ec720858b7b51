"""Which method computes an empirical kernel, in which tiles, and how much memory that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch.func import jvp

from . import forms
from .contraction import Contraction
from .examine import Structure
from .function import take
from .operator import NO_FORWARD_MODE
from .sizes import Sizes
from .vector_products import VectorProducts

METHODS = ("auto", "jacobian", "vector_products", "structured")
# Bytes of the graph of one forward and backward pass: more are no faster, and memory that large
# comes anew from the system every time.
PASS_BYTES = 2**26
# Rows of a tile below which parameters are rather taken in several passes.
LEAST_SIDE = 8
# Arrays of the size of a tile: sums, summands, and their factors.
_COPIES = 3


@dataclass(frozen=True)
class Pass:
    """Some of the parameters, for all rows.

    Attributes
    ----------
    names : tuple of str
    engine : Contraction or VectorProducts
    side : int
        Rows and columns of a tile.
    memory : int
        Bytes that a tile takes, as counted.
    """

    names: tuple[str, ...]
    engine: Contraction | VectorProducts
    side: int
    memory: int


@dataclass(frozen=True)
class Plan:
    """How one kernel matrix is computed."""

    method: str
    why: str
    passes: tuple[Pass, ...]
    budget: int


@dataclass(frozen=True)
class Task:
    """What is asked for: rows and columns, and the bytes of memory beside the result."""

    sizes: Sizes
    n: int
    m: int
    gram: bool
    budget: int

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return self.sizes.function.dtype.itemsize

    @property
    def all_names(self) -> tuple[str, ...]:
        """All parameters."""
        return tuple(self.sizes.function.values)


def make_plan(task: Task, method: str, inputs: Any) -> Plan:
    """The named method, or the one of fewest operations that fits.

    Raises
    ------
    ValueError
        For an unknown method.
    NotImplementedError
        If "vector_products" is asked for where torch has no derivatives in forward mode.
    MemoryError
        If not even tiles of one row and one parameter fit into the budget.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    costs = {name: _OPERATIONS[name](task) for name in METHODS[1:]}
    order = [method] if method != "auto" else sorted(costs, key=costs.__getitem__)
    refused: list[str] = []
    for name in order:
        try:
            if name == "vector_products":
                _try_forward_mode(task, inputs, method)
            passes = _PASSES[name](task)
        except _DoesNotFit as error:
            refused.append(f"{name}: {error}")
            continue
        return Plan(name, _why(method, costs, refused), passes, task.budget)
    raise MemoryError(f"{'; '.join(refused)}. Raise memory_budget, or take outputs='mean'")


class _DoesNotFit(Exception):
    """Why a method is left out."""


def _why(method: str, costs: dict[str, int], refused: Sequence[str]) -> str:
    told = ", ".join(f"{name} {costs[name]:.2g}" for name in sorted(costs, key=costs.__getitem__))
    chosen = "as asked for" if method != "auto" else "fewest multiplications"
    return "; ".join([f"{chosen} ({told})", *refused])


def _rows(task: Task) -> int:
    return task.n if task.gram else task.n + task.m


def _pairs(task: Task) -> int:
    return task.n * task.m // (2 if task.gram else 1)


def _jacobian_operations(task: Task) -> int:
    """Backward passes by activations and weights, and products of gradients."""
    sizes = task.sizes
    products = sizes.blocks * sizes.numel(task.all_names)
    return _rows(task) * sizes.k * 2 * sizes.forward + _pairs(task) * products


def _vector_operations(task: Task) -> int:
    """A gradient per column and output, and a derivative of all rows along it."""
    directions = task.m * task.sizes.k
    return directions * 2 * task.sizes.forward * (1 + task.n)


def _structured_operations(task: Task) -> int:
    """Backward passes by activations, products by layer; all of it again for other parameters."""
    sizes = task.sizes
    affine, others = sizes.affine(task.all_names), list(sizes.structure.others)
    by_row = sizes.k * sizes.forward * (bool(affine) + 2 * bool(others))
    by_row += sum(map(sizes.row_operations, affine))
    by_pair = sum(map(sizes.pair_operations, affine)) + sizes.blocks * sizes.numel(others)
    return _rows(task) * by_row + _pairs(task) * by_pair


_OPERATIONS = {
    "jacobian": _jacobian_operations,
    "vector_products": _vector_operations,
    "structured": _structured_operations,
}


def _contraction(task: Task, names: tuple[str, ...], structured: bool) -> tuple[Pass, ...]:
    """One pass over all parameters, or several over fewer where tiles would be small."""
    found = _one_pass(task, names, structured)
    few = min(LEAST_SIDE, max(task.n, task.m))
    if len(names) > 1 and (found is None or found.side < few):
        half = len(names) // 2
        parts = names[:half], names[half:]
        return sum((_contraction(task, part, structured) for part in parts), ())
    if found is None:
        raise _DoesNotFit(
            f"the gradient by {names[0]} of one row and column takes more than the "
            f"{task.budget / 2**20:.4g} MB of memory_budget"
        )
    return (found,)


def _one_pass(task: Task, names: tuple[str, ...], structured: bool) -> Pass | None:
    sizes = task.sizes
    affine = sizes.affine(names) if structured else []
    others = [name for name in names if name not in affine]
    kept = [*map(sizes.kept, affine), *(sizes.k * sizes.numel([name]) for name in others)]
    graph = 2 * sizes.structure.saved + task.itemsize * 2 * sizes.passing(affine)
    if others:
        # gradients as vmap returns them, as they are kept, and a copy on the way
        work = sizes.k * (sizes.structure.saved + 3 * task.itemsize * sizes.numel(others))
        graph = max(graph, 2 * sizes.structure.saved + work)
    rows = max(1, min(PASS_BYTES, task.budget // 4) // max(graph, 1))
    stack = {"full": sizes.k**2, "diagonal": sizes.k}.get(sizes.form, 1)

    def memory(side: int) -> int:
        sides = 1 if task.gram and side >= task.n else 2
        joining = max(kept) if rows < side else 0
        numbers = side * (sides * sum(kept) + joining) + _COPIES * stack * side**2
        numbers += sizes.pairing(affine, side)
        return task.itemsize * numbers + min(rows, side) * graph

    side = _largest(max(task.n, task.m, 1), memory, task.budget)
    if side is None:
        return None
    engine = Contraction(
        sizes.function, sizes.structure, names, sizes.form, min(rows, side), structured
    )
    return Pass(names, engine, side, memory(side))


def _vector_passes(task: Task) -> tuple[Pass, ...]:
    sizes, structure = task.sizes, task.sizes.structure
    moving = 4 * sizes.k * structure.saved  # activations, their derivatives, and copies of both
    rows = max(1, min(PASS_BYTES, task.budget // 8) // max(moving, 1))
    # gradients as vmap returns them, as they are kept, and as copies on both ways
    column = 4 * task.itemsize * sizes.k * sizes.numel(task.all_names) + rows * moving
    columns = max(1, min(PASS_BYTES, task.budget // 4) // column)

    def memory(side: int) -> int:
        return _COPIES * task.itemsize * (side * sizes.k) ** 2 + min(columns, side) * column

    side = _largest(max(task.n, task.m, 1), memory, task.budget)
    if side is None:
        raise _DoesNotFit(f"one direction takes more than {task.budget / 2**20:.4g} MB")
    engine = VectorProducts(
        sizes.function, sizes.form, min(rows, side), min(columns, side), structure.vectorized
    )
    return (Pass(task.all_names, engine, side, memory(side)),)


def _largest(side: int, memory: Any, budget: int) -> int | None:
    while memory(side) > budget:
        if side == 1:
            return None
        side = -(-side // 2)
    return side


_PASSES: Any = {
    "jacobian": lambda task: _contraction(task, task.all_names, False),
    "vector_products": _vector_passes,
    "structured": lambda task: _contraction(task, task.all_names, True),
}


def _try_forward_mode(task: Task, inputs: Any, method: str) -> None:
    """Some functions of torch have no derivative in forward mode."""
    values = dict(task.sizes.function.values)
    one = take(inputs, slice(1))
    try:
        jvp(lambda v: task.sizes.function(v, one), (values,), (values,))
    except (NotImplementedError, RuntimeError) as error:
        if method != "auto":
            raise NotImplementedError(NO_FORWARD_MODE + str(error).splitlines()[0]) from error
        raise _DoesNotFit(str(error).splitlines()[0]) from None


def check_form(form: str) -> str:
    """Refuse unknown forms.

    Raises
    ------
    ValueError
        Naming them.
    """
    if form not in forms.FORMS:
        raise ValueError(f"outputs must be one of {forms.FORMS}, got {form!r}")
    return form


def told(plan: Plan, structure: Structure) -> str:
    """A plan in words."""
    lines = [f"{plan.method}: {plan.why}"]
    if plan.method == "structured":
        lines += [
            f"gradients row by row of {name}: {why}" for name, why in structure.others.items()
        ]
    if not structure.vectorized and (structure.others or plan.method != "structured"):
        lines.append("torch.func.vmap does not follow this module: rows one after another")
    for step in plan.passes:
        what = "all parameters" if len(plan.passes) == 1 else ", ".join(step.names)
        lines.append(
            f"{what}: tiles of {step.side} rows and columns, {step.memory / 2**20:.3g} of "
            f"{plan.budget / 2**20:.4g} MB"
        )
    return "\n".join(lines)
