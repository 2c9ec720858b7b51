"""Layers without positions as a table: dense networks, and what follows the heads of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import reduce, singledispatch

import torch
from torch import Tensor

from ...architecture import (
    Activation,
    Concat,
    Dense,
    Dropout,
    Flatten,
    Identity,
    Layer,
    LayerNorm,
    Product,
    Serial,
    Sum,
)
from ...duals import DualActivation, resolve
from ...recursion import affine_scales, follow_all, unrolled
from . import activations, carried
from .kinks import refuse
from .normalization import Masking, Normalization
from .program import NotFusedError
from .series import is_series


class Does(IntEnum):
    """What an operation does."""

    LOAD = 0  # a head
    AFFINE = 1
    ACTIVATION = 2
    ADD = 3
    SCALE = 4
    STORE = 5  # an output
    MULTIPLY = 6


@dataclass
class FlatOperation:
    """One row of the table.

    Attributes
    ----------
    does : Does
    source : int
        Register; for LOAD the head.
    other : int or None
        The second register of ADD and MULTIPLY.
    target : int
        Register; for STORE the network.
    layer : Layer or None
    share : float
        What SCALE multiplies by.
    known : bool
        Whether the squared sines of the source's angles are known; if not, an activation takes them
        from the covariances.
    angles : bool
        Whether the squared sines of the target's angles are computed.
    """

    does: Does
    source: int
    target: int
    other: int | None = None
    layer: Layer | None = None
    share: float = 1.0
    known: bool = False
    angles: bool = False

    @property
    def reads(self) -> tuple[int, ...]:
        """The registers that are read."""
        if self.does is Does.LOAD:
            return ()
        return (self.source,) if self.other is None else (self.source, self.other)


@dataclass
class FlatProgram:
    """Operations on one pair of inputs, without positions.

    `known` says for every register whether angles are carried to it.
    """

    operations: list[FlatOperation] = field(default_factory=list)
    known: list[bool] = field(default_factory=list)

    def register(self, known: bool) -> int:
        """A new register."""
        self.known.append(known)
        return len(self.known) - 1

    def emit(self, does: Does, source: int, known: bool, **what: object) -> int:
        """Append an operation that writes a new register."""
        target = self.register(known)
        operation = FlatOperation(does, source, target, known=self.known[source], **what)  # type: ignore[arg-type]
        self.operations.append(operation)
        return target

    def step(self, layer: Layer, register: int) -> int:
        """Append the operations of a layer; the register behind it."""
        return follow(layer, self, register)

    def store(self, k: int, register: int, layers: tuple[Layer, ...]) -> None:
        """Keep a register as the output of a network."""
        self.operations.append(FlatOperation(Does.STORE, register, k))


def lower_flat(tails: Sequence[tuple[int, tuple[Layer, ...]]], known: bool) -> FlatProgram:
    """The program of the layers behind the heads of several networks.

    Common leading layers are computed once. `known` says whether the angles in front of them are.

    Raises
    ------
    NotFusedError
    """
    program = FlatProgram()
    for head in dict.fromkeys(head for head, _ in tails):
        register = program.register(known)
        program.operations.append(FlatOperation(Does.LOAD, head, register))
        rest = [
            (k, tuple(one for layer in layers for one in unrolled(layer)))
            for k, (at, layers) in enumerate(tails)
            if at == head
        ]
        follow_all(rest, register, program.step, program.store)
    _mark_angles(program)
    _refuse_kinks_behind_series(program)
    return program


def _refuse_kinks_behind_series(program: FlatProgram) -> None:
    """Follow the registers, with the series that their covariances come from."""
    series: dict[int, DualActivation | None] = {}
    for operation in program.operations:
        found = next((series[r] for r in operation.reads if series[r] is not None), None)
        if isinstance(operation.layer, Activation):
            dual = resolve(operation.layer.function)
            if not operation.known:
                refuse(dual, found)
            found = dual if is_series(dual) else found
        if operation.does is not Does.STORE:
            series[operation.target] = found


@singledispatch
def follow(layer: Layer, program: FlatProgram, register: int) -> int:
    """Append the operations of a layer; the register behind it."""
    raise NotFusedError(f"the layer {type(layer).__name__} behind a head")


@follow.register(Identity)
@follow.register(Flatten)
def _(layer: Layer, program: FlatProgram, register: int) -> int:
    return register


@follow.register
def _(layer: Serial, program: FlatProgram, register: int) -> int:
    return reduce(lambda at, child: follow(child, program, at), layer.layers, register)


@follow.register
def _(layer: Dense, program: FlatProgram, register: int) -> int:
    return program.emit(Does.AFFINE, register, program.known[register], layer=layer)


@follow.register
def _(layer: Activation, program: FlatProgram, register: int) -> int:
    carries = activations.carries(activations.lower_flat(resolve(layer.function)))
    return program.emit(Does.ACTIVATION, register, carries, layer=layer)


@follow.register
def _(layer: LayerNorm, program: FlatProgram, register: int) -> int:
    return follow(Activation(Normalization(layer.eps)), program, register)


@follow.register
def _(layer: Dropout, program: FlatProgram, register: int) -> int:
    # inputs with themselves are followed by the recursion, all others have independent masks
    return follow(Activation(Masking(layer.p)), program, register)


@follow.register(Sum)
@follow.register(Concat)
def _(layer: Sum | Concat, program: FlatProgram, register: int) -> int:
    ends = [follow(branch, program, register) for branch in layer.branches]
    if isinstance(layer, Concat):
        ends = [
            program.emit(Does.SCALE, end, program.known[end], share=share)
            for end, share in zip(ends, layer.shares, strict=True)
        ]
    total = ends[0]
    for end in ends[1:]:
        known = program.known[total] and program.known[end]
        total = program.emit(Does.ADD, total, known, other=end)
    return total


@follow.register
def _(layer: Product, program: FlatProgram, register: int) -> int:
    total, *others = [follow(branch, program, register) for branch in layer.branches]
    for other in others:
        known = program.known[total] and program.known[other]
        total = program.emit(Does.MULTIPLY, total, known, other=other)
    return total


def _mark_angles(program: FlatProgram) -> None:
    """Find out backwards whose angles an activation asks for."""
    asked = [False] * len(program.known)
    for operation in reversed(program.operations):
        if operation.does is Does.STORE:
            continue
        operation.angles = asked[operation.target] and program.known[operation.target]
        if operation.does is Does.ACTIVATION:
            asked[operation.source] = True
        elif operation.does is not Does.LOAD:
            for register in operation.reads:
                asked[register] |= operation.angles


def flat_tables(program: FlatProgram, variances: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
    """Numbers per input that the operations need, (n_tables, n), and where each one's begin.

    `variances` holds those of every head, (n,).
    """
    found: list[Tensor] = []
    begins = []
    registers: dict[int, Tensor] = {}
    for operation in program.operations:
        begins.append(len(found))
        if operation.does is Does.LOAD:
            registers[operation.target] = variances[operation.source]
        elif operation.does is not Does.STORE:
            v = registers[operation.source]
            rows, registers[operation.target] = _numbers(operation, v, registers)
            found += [row.expand(v.shape) for row in rows]
    n = len(variances[0])
    return (torch.stack(found) if found else variances[0].new_empty((0, n))), begins


def _numbers(
    operation: FlatOperation, v: Tensor, registers: dict[int, Tensor]
) -> tuple[tuple[Tensor, ...], Tensor]:
    """The tables of an operation, and the variances behind it."""
    layer = operation.layer
    if isinstance(layer, Dense):
        w2, b2, *_ = affine_scales(layer)
        return carried.shares(v, w2, b2) if operation.angles else (), w2 * v + b2
    if isinstance(layer, Activation):
        dual = resolve(layer.function)
        return activations.flat_table(dual, v), dual.variance(v)
    if operation.does is Does.SCALE:
        return (), operation.share * v
    assert operation.other is not None, "what is left is ADD and MULTIPLY"
    other = registers[operation.other]
    if operation.does is Does.MULTIPLY:
        return (), v * other
    tables = carried.sum_shares(v, other) if operation.angles else ()
    return tables, v + other
