"""Covariances of positions within one image: the variances in front of activations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...architecture import Positions
from ...recursion.windows import convolve
from .activations import table
from .lanes import LANES
from .planes import run
from .program import Program, Sink, Stage
from .tables import AT, SLOTS, Tables, table_offsets

_GO_ON = np.zeros(1, dtype=np.uint8)


def own_tables(program: Program, tables: Tables, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Tables (u, w) of all activations for a block of images, and the sums of the heads.

    Stage by stage, images of all lanes with themselves: first the plane of equal positions, whose
    variances fill the stage's tables, then all planes that the stages behind ask for.

    Parameters
    ----------
    program : Program
    tables : Tables
        With the displacements that variances need.
    x : ndarray, (n_channels * n_positions * LANES,)

    Returns
    -------
    u, w : ndarray, (n_entries * LANES,)
    sums : ndarray, (2 * n_heads * LANES,), float64
    """
    n_entries = table_offsets(program)[-1] * LANES
    u, w = np.zeros((2, n_entries), dtype=x.dtype)
    sums = np.zeros((1, 2 * len(program.heads) * LANES))
    workspace = aligned(tables.n_numbers, x.dtype)
    workspace[: tables.n_buffered] = 0.0
    left = x / x.dtype.type(tables.n_channels)
    images = (left[None], u[None], w[None], x, u, w)
    for s, stage in enumerate(program.stages):
        if tables.stages[s, 4] == tables.stages[s, 5]:
            continue
        source = _source(tables, stage, x, left, workspace)
        _fill_tables(program, stage, source, u, w)
        run(tables, s, s + 1, False, workspace, *images, None, sums, _GO_ON)
    return u, w, sums[0]


def aligned(n: int, dtype: np.dtype) -> np.ndarray:
    """An uninitialized array that begins at a cache line."""
    size = np.dtype(dtype).itemsize
    raw = np.empty(n * size + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + n * size].view(dtype)


def _source(
    tables: Tables, stage: Stage, x: np.ndarray, left: np.ndarray, workspace: np.ndarray
) -> Tensor:
    """Variances (LANES, height, width) at the positions of a stage's source."""
    height, width = stage.registers[0].sizes
    if stage.source < 0:
        plane = (left * x).reshape(tables.n_channels, height, width, LANES).sum(0)
    else:
        buffer = tables.buffers[stage.source]
        row, column = tables.slots[buffer[SLOTS]], tables.slots[buffer[SLOTS + 1]]
        n_columns = buffer[SLOTS + 3]
        begin = buffer[AT] + (row * n_columns + column) * height * width * LANES
        plane = workspace[begin : begin + height * width * LANES].reshape(height, width, LANES)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(plane, -1, 0)))


def _fill_tables(
    program: Program, stage: Stage, source: Tensor, u: np.ndarray, w: np.ndarray
) -> None:
    """Follow the variances through a stage, and write what its activations need of them."""
    offsets = table_offsets(program)
    registers: dict[int, Tensor] = {0: source}
    for operation in stage.operations:
        variance = registers[operation.source]
        if operation.activation is not None:
            first = offsets[operation.table] * LANES
            for array, values in zip((u, w), table(operation.activation, variance), strict=True):
                flat = values.expand(variance.shape).movedim(0, -1).reshape(-1)
                array[first : first + variance.numel()] = flat.numpy()
            variance = operation.activation.variance(variance)
        if operation.sink is Sink.REGISTER:
            summed = convolve(variance, operation.windows, Positions.SAME)
            moved = operation.affine.scale * summed + operation.affine.bias
            if operation.accumulate:
                moved = registers[operation.target] + moved
            registers[operation.target] = moved
