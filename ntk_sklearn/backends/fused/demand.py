"""Which displacements every stage has to compute: a pass backwards over the stages.

Displacements are counted at a stage's source. A head on equal positions asks for 0, a head over all
pairs for all; a stride s asks for s D where D is asked for behind it, and a window of w positions,
in which both positions of a pair move independently, for s D + k with |k| < w.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ...architecture import Window
from .program import Head, Operation, Program, Sink, Stage

# For every axis, the displacements at the source of a stage.
Displacements = tuple[tuple[int, ...], ...]


def demanded(program: Program, heads: Collection[int], variances: bool) -> list[Displacements]:
    """Displacements of every stage that the given heads ask for.

    With `variances` also those within one image that give the variances in front of activations.
    Demands are united per axis, so that some may be computed in vain where branches differ.
    """
    found: dict[int, Displacements] = {}
    behind: dict[int, list[set[int]]] = {}  # signed displacements that are read from each buffer
    for k in reversed(range(len(program.stages))):
        stage = program.stages[k]
        wanted: list[set[int]] = [set() for _ in stage.registers[0].sizes]
        for operation in stage.operations:
            for axis, at_source in enumerate(wanted):
                for asked in _asked(program, stage, operation, axis, heads, behind, variances):
                    at_source.add(_at_source(stage, operation, axis, asked))
        found[k] = tuple(tuple(sorted(axis)) for axis in wanted)
        behind[stage.source] = _signed(stage, wanted)
    return [found[k] for k in range(len(program.stages))]


def _asked(
    program: Program,
    stage: Stage,
    operation: Operation,
    axis: int,
    heads: Collection[int],
    behind: dict[int, list[set[int]]],
    variances: bool,
) -> Iterator[int]:
    """Signed displacements along an axis that an operation reads in its source register."""
    size = stage.registers[operation.source].sizes[axis]
    if variances and operation.activation is not None:
        yield 0
    if operation.sink is Sink.BUFFER:
        window = operation.windows[axis]
        for displacement in behind[operation.target][axis]:
            yield from _under(window, displacement, operation.together, size)
    elif operation.sink is Sink.HEAD and operation.target in heads:
        yield from _summed(program.heads[operation.target], axis, size)


def _summed(head: Head, axis: int, size: int) -> Iterator[int]:
    """Displacements along an axis whose pairs have a weight in a head."""
    if head.diagonal:
        yield 0
    elif not head.shares:
        yield from range(1 - size, size)
    else:
        rows = enumerate(head.shares[axis])
        yield from {k - i for i, row in rows for k, share in enumerate(row) if share}


def _under(window: Window, displacement: int, together: bool, size: int) -> Iterator[int]:
    """Displacements between positions in the windows of two positions."""
    spread = 0 if together else window.size - 1
    circle = size * window.spacing
    around = (-circle, 0, circle) if window.wrap else (0,)
    for k in range(-spread, spread + 1):
        for turn in around:
            under, rest = divmod(window.stride * displacement + k + turn, window.spacing)
            if rest == 0 and abs(under) < size:
                yield under


def _at_source(stage: Stage, operation: Operation, axis: int, displacement: int) -> int:
    """A register's displacement, counted at the source of its stage."""
    register = stage.registers[operation.source]
    if stage.wrapped:
        return displacement % register.sizes[axis]
    return displacement * register.strides[axis]


def _signed(stage: Stage, wanted: list[set[int]]) -> list[set[int]]:
    if not stage.wrapped:
        return wanted
    sizes = stage.registers[0].sizes
    return [axis | {d - n for d in axis if d} for axis, n in zip(wanted, sizes, strict=True)]
