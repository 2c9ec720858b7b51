"""The program as arrays of integers and numbers: what compiled code can read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from ...architecture import Window
from .activations import lower_image
from .demand import Displacements
from .heads import windows_of
from .interpolated import FRONT, spectrum
from .lanes import LANES
from .program import Operation, Program, Sink, Stage, shared_places
from .series import is_series

# How many columns the tables have, which compiled code reads as flat arrays.
OPERATION, NUMBERS, REGISTER, STAGE, PLANE_COLUMNS, BUFFER_COLUMNS = 18, 8, 5, 7, 2, 8
# Columns of the table of operations, ...
SOURCE, SINK, TARGET, KIND, TABLE, ACCUMULATE, TOGETHER = range(7)
SIZE, STRIDE, DILATION, LOW = 7, 9, 11, 13  # each for both axes
ENDS = 15  # where the windows of every position begin in `starts`, for both axes
LOCAL = 17
# ... of its numbers (after the activation's parameters), ...
SCALE, BIAS, RATE, BIAS_NTK = 4, 5, 6, 7
GROWN = 2  # the activation's third parameter: what dropout multiplies variances by
# ... of registers, ...
HEIGHT, WIDTH, STRIDES, OFFSET = 0, 1, 2, 4
# ... of stages, ...
FIRST, LAST, WRAPPED, BUFFER, FIRST_PLANE, LAST_PLANE, FIRST_REGISTER = range(7)
# ... and of buffers (after height, width; their slots by displacement modulo the size).
SLOTS, N_SLOTS, AT, HALF = 2, 4, 6, 7


class Tables(NamedTuple):
    """A program with the displacements it computes.

    Offsets are in numbers. The workspace holds the buffers, the registers of the largest stage, and
    from `rows` on rows of scratch, of `width` vectors each.
    """

    operations: np.ndarray  # (n_operations, 18) integers
    numbers: np.ndarray  # (n_operations, 8) in the kernel's precision
    registers: np.ndarray  # (n_registers, 5)
    stages: np.ndarray  # (n_stages, 7)
    planes: np.ndarray  # (n_planes, 2): displacements along both axes
    buffers: np.ndarray  # (n_buffers, 8)
    slots: np.ndarray  # the planes of all buffers by displacement; -1 is not demanded
    starts: np.ndarray  # where the windows of every position begin in `places` and `taps`
    places: np.ndarray
    taps: np.ndarray
    diagonal: np.ndarray  # (n_heads,): whether equal positions only are summed
    shared: np.ndarray  # (n_heads,): where the weights of pairs of positions begin, or -1
    shares: np.ndarray  # these weights, for each head those of rows and then those of columns
    n_channels: int
    n_buffered: int  # numbers of all buffers, which are zero at first
    rows: int
    width: int
    depth: int  # rows of the tallest window
    n_numbers: int  # size of the workspace

    @property
    def n_integers(self) -> int:
        """Size of the workspace of integers: the state of registers, and rows of scratch."""
        return 3 * len(self.registers) + 3 * self.depth

    def n_planes(self, stage: int) -> int:
        """How many displacements a stage computes."""
        return int(self.stages[stage, LAST_PLANE] - self.stages[stage, FIRST_PLANE])


class _Writer:
    """Collects the rows of all tables."""

    def __init__(self, program: Program, displacements: list[Displacements]) -> None:
        self.program, self.displacements = program, displacements
        self.starts: list[int] = []
        self.places: list[int] = []
        self.taps: list[int] = []
        self.slots: list[int] = []
        self.buffers: list[list[int]] = []
        self.offset = 0
        for buffer in range(len(program.buffers)):
            self.add_buffer(buffer)

    def add_buffer(self, buffer: int) -> None:
        """Place a buffer of the planes that its reader demands."""
        sizes = self.program.buffers[buffer]
        reader = next(k for k, s in enumerate(self.program.stages) if s.source == buffer)
        pointers, counts = [], []
        for size, wanted in zip(sizes, self.displacements[reader], strict=True):
            residues = sorted({d % size for d in wanted if abs(d) < size})
            pointers.append(len(self.slots))
            counts.append(len(residues))
            places = dict(zip(residues, range(size), strict=False))
            self.slots += [places.get(r, -1) for r in range(size)]
        half = int(np.prod([*counts, *sizes])) * LANES
        self.buffers.append([*sizes, *pointers, *counts, self.offset, half])
        self.offset += 2 * half

    def windows_of(self, window: Window, size: int) -> int:
        """Where the windows that each position lies in begin: their places, and its tap in them."""
        first = len(self.starts)
        for entries in windows_of(window, size):
            self.starts.append(len(self.places))
            self.places += [place for place, _ in entries]
            self.taps += [tap for _, tap in entries]
        self.starts.append(len(self.places))
        return first


def build(
    program: Program, displacements: list[Displacements], n_channels: int, dtype: np.dtype
) -> Tables:
    """Write a program, with the displacements that each stage computes, as arrays."""
    writer = _Writer(program, displacements)
    n_buffered = writer.offset
    tables, n_numbers = table_offsets(program), series_numbers(program)
    operations: list[list[int]] = []
    numbers: list[list[float]] = []
    stages: list[list[int]] = []
    registers: list[list[int]] = []
    planes: list[tuple[int, ...]] = []
    widest, tallest, most = 1, 1, 0
    for stage, wanted in zip(program.stages, displacements, strict=True):
        first = len(registers)
        placed, used = _places(stage, n_buffered)
        most = max(most, used)
        for register, place in zip(stage.registers, placed, strict=True):
            registers.append([*register.sizes, *register.strides, place])
        begin = len(operations)
        for operation in stage.operations:
            operations.append(_row(writer, stage, operation, first, tables))
            numbers.append(_numbers(operation, n_numbers))
            taps = operation.windows
            size = stage.registers[operation.source].sizes[1]
            widest = max(widest, size + taps[1].low + taps[1].high, taps[1].out)
            tallest = max(tallest, (taps[0].size - 1) * taps[0].dilation + 1)
        start = len(planes)
        planes += list(product(*wanted))
        wrapped = int(bool(stage.wrapped))
        ends = (begin, len(operations), wrapped, stage.source, start, len(planes), first)
        stages.append(list(ends))
    rows = n_buffered + most
    shared, shares = _shares(program)
    return Tables(
        _integers(operations),
        np.array(numbers, dtype=dtype),
        _integers(registers),
        _integers(stages),
        _integers(planes, PLANE_COLUMNS),
        _integers(writer.buffers, BUFFER_COLUMNS),
        _integers(writer.slots),
        _integers(writer.starts),
        _integers(writer.places),
        _integers(writer.taps),
        _integers([int(head.diagonal) for head in program.heads]),
        _integers(shared),
        np.array(shares, dtype=dtype),
        n_channels,
        n_buffered,
        rows,
        widest,
        tallest,
        rows + 2 * (2 + tallest) * widest * LANES,
    )


def _shares(program: Program) -> tuple[list[int], list[float]]:
    """Weights of pairs of positions of all heads, and where those of each begin."""
    begins, found = [], [0.0]  # never empty: pointers lead somewhere
    for head in program.heads:
        begins.append(len(found) if head.shares else -1)
        found += [share for matrix in head.shares for row in matrix for share in row]
    return begins, found


def _integers(rows: list, columns: int = 0) -> np.ndarray:
    found = np.array(rows, dtype=np.int64)
    return found.reshape(-1, columns) if columns else found


def table_offsets(program: Program) -> dict[int, int]:
    """Where the table of each activation begins, in positions; those of series come first."""
    offsets, at = {}, 0
    for summed in (True, False):
        for stage, operation in _activated(program, summed):
            offsets[operation.table] = at
            at += int(np.prod(stage.registers[operation.source].sizes))
    offsets[-1] = at  # the end, which no operation begins at
    return offsets


def _activated(program: Program, summed: bool) -> Iterator[tuple[Stage, Operation]]:
    """Operations whose activation is a series, or is not."""
    for stage in program.stages:
        for operation in stage.operations:
            if operation.activation is not None and is_series(operation.activation) == summed:
                yield stage, operation


def series_positions(program: Program) -> int:
    """Positions in front of series."""
    pairs = _activated(program, True)
    return sum(int(np.prod(stage.registers[o.source].sizes)) for stage, o in pairs)


def series_numbers(program: Program) -> int:
    """Numbers of each of them, the same of all series; 0 if there are none."""
    duals = [o.activation for _, o in _activated(program, True)]
    return max((FRONT + spectrum(dual).terms for dual in duals if dual is not None), default=0)


def _places(stage: Stage, start: int) -> tuple[list[int], int]:
    """Places of the registers in the workspace, shared by those that are never alive together."""
    lives = {0: (-1, -1)}
    for k, operation in enumerate(stage.operations):
        lives[operation.source] = (lives[operation.source][0], k)
        if operation.sink is Sink.REGISTER:
            lives[operation.target] = (lives.get(operation.target, (k, k))[0], k)
    never = (-2, -2)  # registers of branches that are added up in another one
    places = shared_places([lives.get(r, never) for r in range(len(stage.registers))])
    size = 2 * LANES * max(int(np.prod(r.sizes)) for r in stage.registers)
    return [start + place * size for place in places], size * (1 + max(places))


def _row(
    writer: _Writer, stage: Stage, operation: Operation, first: int, tables: dict[int, int]
) -> list[int]:
    kind = -1
    if operation.activation is not None:
        kind = lower_image(operation.activation, 0).kind
    target = operation.target + (first if operation.sink is Sink.REGISTER else 0)
    sizes = stage.registers[operation.source].sizes
    ends: tuple[int, ...] = (-1, -1)
    if operation.sink is Sink.BUFFER:
        ends = tuple(writer.windows_of(w, n) for w, n in zip(operation.windows, sizes, strict=True))
    row = [first + operation.source, int(operation.sink), target, kind]
    row += [tables[operation.table], int(operation.accumulate), int(operation.together)]
    for name in ("size", "stride", "dilation", "low"):
        row += [getattr(window, name) for window in operation.windows]
    return [*row, *ends, int(operation.local)]


def _numbers(operation: Operation, n_numbers: int) -> list[float]:
    affine = operation.affine
    parameters = [0.0] * 4
    if operation.activation is not None:
        parameters = [*lower_image(operation.activation, n_numbers).parameters]
    return [*parameters, affine.scale, affine.bias, affine.rate, affine.bias_ntk]
