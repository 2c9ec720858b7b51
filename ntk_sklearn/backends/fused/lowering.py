"""From trees of layers to the table that the engine executes: one rule per layer type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce, singledispatch
from math import prod

from ...architecture import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Layer,
    LayerNorm,
    Serial,
    Sum,
    SumPool,
    Window,
    edge_factors,
    transposed_windows,
    windows,
)
from ...duals import DualActivation, resolve
from ...recursion import affine_scales, follow_all, unrolled
from .heads import shares_of_pairs
from .kinks import refuse_kinks_behind_series
from .normalization import Masking, Normalization, Rescaling
from .program import (
    UNCHANGED,
    Affine,
    Head,
    NotFusedError,
    Operation,
    Program,
    Register,
    Sink,
    Sizes,
    Stage,
)

_HEADS = (Flatten, GlobalAvgPool, GlobalSumPool)
_POINT = Window(size=1, stride=1, dilation=1, low=0, high=0, wrap=False, out=1)


@dataclass(frozen=True)
class Pooling:
    """Sums over windows times a scale, and for every axis what is at each position multiplied by.

    The factors of an axis are missing where they are 1.
    """

    windows: tuple[Window, ...]
    scale: float
    factors: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Signal:
    """A register of a stage, and the activation that its next reader has to apply.

    Behind it also the pooling, which comes before anything else than a head (`Builder.pooled`).
    """

    stage: int
    register: int
    activation: DualActivation | None = None
    pool: Pooling | None = None


@dataclass(frozen=True)
class Ended:
    """What a head leaves: no positions."""

    head: int


def lower(networks: Sequence[Layer], spatial: Sizes) -> Program:
    """The program of several networks of images; common leading layers are computed once.

    Raises
    ------
    NotFusedError
        Naming what the engine does not cover.
    """
    sizes = (1,) * (2 - len(spatial)) + tuple(spatial)
    if len(sizes) > 2:
        raise NotFusedError(f"images with {len(spatial)} spatial axes")
    builder = Builder(sizes, len(spatial))
    rest = [(k, unrolled(network)) for k, network in enumerate(networks)]
    start: Signal | Ended = Signal(0, 0)
    follow_all(rest, start, builder.step, builder.end, lambda at: isinstance(at, Ended))
    builder.program.tails = [builder.tails[k] for k in range(len(networks))]
    refuse_kinks_behind_series(builder.program)
    return builder.program


class Builder:
    """A program while it is being written."""

    def __init__(self, sizes: Sizes, rank: int) -> None:
        self.rank = rank
        source = Stage(-1, [Register(sizes, (1,) * len(sizes))])
        self.program = Program([source], [], [], [])
        self.tails: dict[int, tuple[int, tuple[Layer, ...]]] = {}
        self._pooled: dict[Signal, Signal] = {}

    def step(self, layer: Layer, at: Signal | Ended) -> Signal | Ended:
        """Lower one more layer."""
        assert isinstance(at, Signal), "networks are followed to their heads only"
        if not isinstance(layer, (*_HEADS, Identity, Serial)):
            at = self.pooled(at)
        return lower_layer(layer, self, at)

    def end(self, k: int, at: Signal | Ended, layers: tuple[Layer, ...]) -> None:
        """Note a network's head, and the layers behind it."""
        if isinstance(at, Signal):
            raise NotFusedError("a network without a head behind its positions")
        self.tails[k] = (at.head, layers)

    def register(self, signal: Signal) -> Register:
        """The register that a signal stands in."""
        return self.program.stages[signal.stage].registers[signal.register]

    def windows(
        self, layer: Conv | ConvTranspose | AvgPool | SumPool, signal: Signal
    ) -> tuple[Window, ...]:
        """Its windows along both axes, the first of which one-dimensional images lack."""
        sizes = self.register(signal).sizes
        missing = len(sizes) - self.rank
        if isinstance(layer, ConvTranspose):
            return (_POINT,) * missing + transposed_windows(layer, sizes[missing:])
        return (_POINT,) * missing + windows(layer, sizes[missing:])

    def points(self, signal: Signal) -> tuple[Window, ...]:
        """Windows of one position, which keep the image as it is."""
        return tuple(replace(_POINT, out=n) for n in self.register(signal).sizes)

    def emit(self, signal: Signal, sink: Sink, target: int, **what: object) -> Operation:
        """Append an operation that reads the signal."""
        stage = self.program.stages[signal.stage]
        what.setdefault("windows", self.points(signal))
        operation = Operation(signal.register, sink, target, activation=signal.activation, **what)  # type: ignore[arg-type]
        if signal.activation is not None:
            operation.table = self.program.n_tables
            self.program.n_tables += 1
        stage.operations.append(operation)
        return operation

    def compute(
        self,
        signal: Signal,
        taps: tuple[Window, ...] | None = None,
        affine: Affine = UNCHANGED,
        **what: object,
    ) -> Signal:
        """Sum over windows and map linearly, into a new register."""
        taps = self.points(signal) if taps is None else taps
        stage, source = self.program.stages[signal.stage], self.register(signal)
        strides = tuple(s * w.stride for s, w in zip(source.strides, taps, strict=True))
        stage.registers.append(Register(tuple(w.out for w in taps), strides))
        target = len(stage.registers) - 1
        self.emit(signal, Sink.REGISTER, target, windows=taps, affine=affine, **what)
        return Signal(signal.stage, target)

    def pooled(self, signal: Signal) -> Signal:
        """The signal with its pooling applied, in a stage of its own."""
        if signal.pool is None:
            return signal
        if signal not in self._pooled:
            pool = signal.pool
            source, affine = replace(signal, pool=None), Affine(pool.scale)
            found = self.pass_on(source, pool.windows, affine=affine)
            if pool.factors:
                found = replace(found, activation=Rescaling(*pool.factors))
            self._pooled[signal] = found
        return self._pooled[signal]

    def settled(self, signal: Signal) -> Signal:
        """The signal with its pooling and its activation applied."""
        signal = self.pooled(signal)
        return signal if signal.activation is None else self.compute(signal)

    def pass_on(self, signal: Signal, taps: tuple[Window, ...], **what: object) -> Signal:
        """Collect all planes in a new buffer, which a new stage reads."""
        buffer = self.buffer(tuple(w.out for w in taps))
        self.emit(signal, Sink.BUFFER, buffer, windows=taps, **what)
        return self.read(buffer)

    def buffer(self, sizes: Sizes) -> int:
        """A new buffer between stages."""
        self.program.buffers.append(sizes)
        return len(self.program.buffers) - 1

    def read(self, buffer: int) -> Signal:
        """The new stage that reads a buffer."""
        sizes = self.program.buffers[buffer]
        self.program.stages.append(Stage(buffer, [Register(sizes, (1,) * len(sizes))]))
        return Signal(len(self.program.stages) - 1, 0)


@singledispatch
def lower_layer(layer: Layer, builder: Builder, signal: Signal) -> Signal | Ended:
    """Append the operations of a layer to the program."""
    raise NotFusedError(f"the layer {type(layer).__name__}")


@lower_layer.register
def _(layer: Identity, builder: Builder, signal: Signal) -> Signal:
    return signal


@lower_layer.register
def _(layer: Serial, builder: Builder, signal: Signal) -> Signal:
    return reduce(lambda at, child: _inside(child, builder, at), layer.layers, signal)


def _inside(layer: Layer, builder: Builder, signal: Signal) -> Signal:
    found = builder.step(layer, signal)
    if isinstance(found, Ended):
        raise NotFusedError("a head inside a branch")
    return found


@lower_layer.register
def _(layer: Activation, builder: Builder, signal: Signal) -> Signal:
    return replace(builder.settled(signal), activation=resolve(layer.function))


@lower_layer.register
def _(layer: LayerNorm, builder: Builder, signal: Signal) -> Signal:
    dual = Normalization(layer.eps, layer.axes == "all")
    return replace(builder.settled(signal), activation=dual)


@lower_layer.register
def _(layer: Dropout, builder: Builder, signal: Signal) -> Signal:
    return replace(builder.settled(signal), activation=Masking(layer.p))


@lower_layer.register
def _(layer: ConvLocal, builder: Builder, signal: Signal) -> Signal:
    return _convolved(layer.shared, builder, signal, local=True)


@lower_layer.register(Conv)
@lower_layer.register(ConvTranspose)
def _(layer: Conv | ConvTranspose, builder: Builder, signal: Signal) -> Signal:
    return _convolved(layer, builder, signal)


def _convolved(
    layer: Conv | ConvTranspose, builder: Builder, signal: Signal, local: bool = False
) -> Signal:
    taps = builder.windows(layer, signal)
    w2, *others = affine_scales(layer)
    affine = Affine(w2 / prod(w.size for w in taps), *others)
    wrapped = any(w.wrap and w.size > 1 for w in taps)
    spread = any(w.spacing > 1 for w in taps)
    if spread or (wrapped and any(w.stride > 1 for w in taps)):
        # Planes of one displacement modulo the size do not stay such planes, and most of those
        # behind a transposed convolution come from none in front of it.
        summed = Affine(rate=affine.rate)
        signal = builder.pass_on(signal, taps, together=True, affine=summed)
        return builder.compute(signal, affine=replace(affine, rate=0.0), local=local)
    if wrapped or any(map(_moves, taps)):
        signal = _agreeing(builder, signal, wrapped)
    return builder.compute(signal, taps, affine, local=local)


def _moves(window: Window) -> bool:
    """Whether it does anything at the borders of an image that other positions do not see."""
    return window.size > 1 or window.stride > 1 or window.low > 0 or window.high > 0


def _agreeing(builder: Builder, signal: Signal, wrapped: bool) -> Signal:
    """The signal in a stage whose planes are wrapped, or are not."""
    if builder.program.stages[signal.stage].wrapped is (not wrapped):
        signal = builder.pass_on(signal, builder.points(signal))
    builder.program.stages[signal.stage].wrapped = wrapped
    return signal


@lower_layer.register(AvgPool)
@lower_layer.register(SumPool)
def _(layer: AvgPool | SumPool, builder: Builder, signal: Signal) -> Signal:
    taps = builder.windows(layer, signal)
    size = prod(w.size for w in taps) if isinstance(layer, AvgPool) else 1
    factors: tuple[tuple[float, ...], ...] = ()
    if isinstance(layer, AvgPool) and layer.normalize_edges:
        sizes = builder.register(signal).sizes
        factors = tuple(tuple(edge_factors(w, n)) for w, n in zip(taps, sizes, strict=True))
    return replace(signal, pool=Pooling(taps, 1.0 / size**2, factors))


@lower_layer.register(GlobalAvgPool)
@lower_layer.register(GlobalSumPool)
@lower_layer.register(Flatten)
def _(layer: Layer, builder: Builder, signal: Signal) -> Ended:
    diagonal, sizes = isinstance(layer, Flatten), builder.register(signal).sizes
    power = {Flatten: 1, GlobalAvgPool: 2, GlobalSumPool: 0}[type(layer)]
    head, pool = Head(diagonal, 1.0 / prod(sizes) ** power), signal.pool
    if pool is not None:
        n_positions = prod(w.out for w in pool.windows)
        shares = shares_of_pairs(pool.windows, sizes, pool.factors, diagonal)
        head = Head(False, pool.scale / n_positions**power, shares)
    builder.program.heads.append(head)
    number = len(builder.program.heads) - 1
    builder.emit(replace(signal, pool=None), Sink.HEAD, number)
    return Ended(number)


@lower_layer.register(Sum)
@lower_layer.register(Concat)
def _(layer: Sum | Concat, builder: Builder, signal: Signal) -> Signal:
    start = builder.settled(signal)
    ends = [builder.settled(_inside(b, builder, start)) for b in layer.branches]
    shares = layer.shares if isinstance(layer, Concat) else (1.0,) * len(ends)
    places = {(end.stage, builder.register(end).strides) for end in ends}
    # ends of another stage may share its registers: a pooling that branches begin with is kept
    alike = len(places) == 1 and ends[0].stage == start.stage
    join = _added if alike else _collected
    return join(builder, start, ends, shares)


def _added(builder: Builder, start: Signal, ends: list[Signal], shares: Sequence[float]) -> Signal:
    """Branches of one stage, added up in the register of the first that has one of its own."""
    operations = builder.program.stages[start.stage].operations
    total = next((end for end in ends if end != start), None)
    if total is None:
        total = builder.compute(start, affine=Affine(0.0))
    own = [pair for pair in zip(ends, shares, strict=True) if pair[0] != start]
    for end, share in own:
        for operation in operations:
            if operation.sink is Sink.REGISTER and operation.target == end.register:
                operation.affine = _scaled(operation.affine, share)
                operation.accumulate |= end != total
                operation.target = total.register
    for share in (share for end, share in zip(ends, shares, strict=True) if end == start):
        builder.emit(start, Sink.REGISTER, total.register, affine=Affine(share), accumulate=True)
    return total


def _scaled(affine: Affine, share: float) -> Affine:
    return Affine(share * affine.scale, share * affine.bias, affine.rate, share * affine.bias_ntk)


def _collected(
    builder: Builder, start: Signal, ends: list[Signal], shares: Sequence[float]
) -> Signal:
    """Branches of several stages, added up in a buffer."""
    buffer = builder.buffer(builder.register(ends[0]).sizes)
    for end, share in zip(ends, shares, strict=True):
        builder.emit(end, Sink.BUFFER, buffer, affine=Affine(share))
    return builder.read(buffer)
