"""Which activations must not stand behind a series: those with a kink.

Angles near 0 and pi are told by the last digits of a covariance, which a series lacks.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...architecture import Activation, Layer, children
from ...duals import ABReLU, DualActivation, Sign, resolve
from .program import NotFusedError, Operation, Program, Sink
from .series import is_series


def refuse_kinks_behind_series(program: Program) -> None:
    """Follow what is summed up through the stages of images, and through the layers behind heads.

    Raises
    ------
    NotFusedError
    """
    buffers: dict[int, DualActivation | None] = {-1: None}
    heads: dict[int, DualActivation | None] = {}
    for stage in program.stages:
        registers = {0: buffers[stage.source]}
        targets = {Sink.REGISTER: registers, Sink.BUFFER: buffers, Sink.HEAD: heads}
        for operation in stage.operations:
            behind = _behind(operation, registers[operation.source])
            kept = targets[operation.sink]
            kept[operation.target] = kept.get(operation.target) or behind
    for head, layers in program.tails:
        for dual in (dual for layer in layers for dual in _duals(layer)):
            refuse(dual, heads[head])


def _behind(operation: Operation, before: DualActivation | None) -> DualActivation | None:
    """The series that the results of an operation come from."""
    if operation.activation is None:
        return before
    refuse(operation.activation, before)
    return operation.activation if is_series(operation.activation) else before


def refuse(dual: DualActivation, before: DualActivation | None) -> None:
    """Raise if an activation with a kink reads a series."""
    if before is not None and isinstance(dual, (ABReLU, Sign)):
        raise NotFusedError(f"the kink of {dual!r} behind the activation {before!r}")


def _duals(layer: Layer) -> Iterator[DualActivation]:
    if isinstance(layer, Activation):
        yield resolve(layer.function)
    for child in children(layer):
        yield from _duals(child)
