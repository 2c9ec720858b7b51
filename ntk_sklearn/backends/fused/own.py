"""Images with themselves: the variances in front of activations, which all pairs need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from ...architecture import Positions
from ...duals import DualActivation
from ...recursion.windows import convolve
from . import activations
from .demand import demanded
from .interpolated import TERMS, at_positions
from .lanes import LANES
from .planes import run
from .program import Operation, Program, Sink, Stage
from .series import is_series
from .tables import AT, SLOTS, Tables, build, series_numbers, series_positions, table_offsets


@dataclass(frozen=True)
class Own:
    """What follows from images alone, for blocks of `LANES` images side by side.

    Attributes
    ----------
    images : ndarray, (n_blocks, n_numbers LANES)
    u, w : ndarray, (n_blocks, n_entries LANES)
        The numbers of every variance; see `activations.table`.
    c : ndarray, (n_blocks, n_series_positions n_series_numbers LANES)
        The numbers of series; see `interpolated`.
    beyond : ndarray, (n_blocks LANES,)
        Whether an image needs more terms of a series than there are.
    sums : ndarray, (n_blocks, n_heads, 2, LANES)
        NNGP and NTK of the heads, of images with themselves, before their weights.
    """

    images: np.ndarray
    u: np.ndarray
    w: np.ndarray
    c: np.ndarray
    beyond: np.ndarray
    sums: np.ndarray

    def by_image(self, values: np.ndarray, n: int) -> np.ndarray:
        """Tables of blocks (n_blocks, k LANES) as one row per image (n, k)."""
        n_blocks, k = len(values), values.shape[1] // LANES
        rows = values.reshape(n_blocks, k, LANES).transpose(0, 2, 1)
        return np.ascontiguousarray(rows.reshape(n_blocks * LANES, k)[:n])

    def heads(self, n: int) -> np.ndarray:
        """The sums (n_heads, 2, n)."""
        n_blocks, *heads, lanes = self.sums.shape
        found: np.ndarray = np.moveaxis(self.sums, 0, 2).reshape(*heads, n_blocks * lanes)
        return found[..., :n]


class OwnPlan:
    """A program on images with themselves, stage by stage.

    First the plane of equal positions, whose variances fill the stage's tables, then all planes
    that variances behind the stage ask for.

    Parameters
    ----------
    program : Program
    varying : set of int
        The heads whose sums are wanted.
    n_channels : int
    dtype : dtype
    """

    def __init__(
        self, program: Program, varying: set[int], n_channels: int, dtype: np.dtype
    ) -> None:
        self.program, self.n_channels, self.dtype = program, n_channels, dtype
        wanted = demanded(program, varying, variances=True)
        self.tables = build(program, wanted, n_channels, dtype)
        self.offsets = table_offsets(program)
        self.n_numbers, self.n_summed = series_numbers(program), series_positions(program)

    def bytes_per_image(self) -> int:
        """Of the tables, and of the planes in between."""
        pixels = self.n_channels * prod(self.program.stages[0].registers[0].sizes)
        numbers = pixels + 4 * self.offsets[-1] + self.tables.n_numbers // LANES
        return (numbers + 2 * self.n_summed * self.n_numbers) * self.dtype.itemsize

    def overhead(self) -> int:
        """Bytes of the numbers of series while they are computed, for one block of images."""
        sizes = [prod(r.sizes) for stage in self.program.stages for r in stage.registers]
        return 8 * 8 * LANES * self.n_numbers * max(sizes)

    def of(self, x: np.ndarray, halt: np.ndarray) -> Own:
        """The numbers of images (n, n_numbers)."""
        images = side_by_side(x)
        u, w = np.zeros((2, len(images), self.offsets[-1] * LANES), self.dtype)
        c = np.zeros((len(images), self.n_summed * self.n_numbers * LANES), self.dtype)
        beyond = np.zeros(len(images) * LANES, dtype=bool)
        sums = np.zeros((len(images), 1, 2 * len(self.program.heads) * LANES))
        spaces = [workspace(self.tables, self.dtype) for _ in images]
        left = means(images, self.n_channels)
        for numbers, _ in spaces:
            numbers[: self.tables.n_buffered] = 0.0
        for s, stage in enumerate(self.program.stages):
            if not self.tables.n_planes(s) or halt[0] or not spaces:
                continue
            source = self._source(stage, images * left if stage.source < 0 else None, spaces)
            self._fill(stage, source, (u, w, c), beyond)
            for b, space in enumerate(spaces):
                each = (images[b], u[b], w[b], c[b])
                run(
                    self.tables, s, s + 1, False, *space, left[b : b + 1], u[b : b + 1],
                    w[b : b + 1], c[b : b + 1], *each, True, sums[b], halt,
                )  # fmt: skip
        found = sums.reshape(len(images), len(self.program.heads), 2, LANES)
        return Own(images, u, w, c, beyond, found)

    def _source(
        self, stage: Stage, squares: np.ndarray | None, spaces: Sequence[tuple[np.ndarray, ...]]
    ) -> Tensor:
        """Variances (n, height, width) at the positions of a stage's source."""
        sizes = stage.registers[0].sizes
        if squares is not None:
            planes = squares.reshape(len(spaces), self.n_channels, *sizes, LANES).sum(1)
        else:
            buffer, slots = self.tables.buffers[stage.source], self.tables.slots
            number = slots[buffer[SLOTS]] * buffer[SLOTS + 3] + slots[buffer[SLOTS + 1]]
            size = prod(sizes) * LANES
            begin = buffer[AT] + number * size
            planes = np.stack([numbers[begin : begin + size] for numbers, _ in spaces])
            planes = planes.reshape(len(spaces), *sizes, LANES)
        return torch.from_numpy(np.moveaxis(planes, -1, 1).reshape(len(spaces) * LANES, *sizes))

    def _fill(
        self, stage: Stage, source: Tensor, arrays: tuple[np.ndarray, ...], beyond: np.ndarray
    ) -> None:
        """Follow the variances through a stage; write what its activations need of them."""
        registers: dict[int, Tensor] = {0: source}
        for operation in stage.operations:
            variance = registers[operation.source]
            if operation.activation is not None:
                variance = self._activated(operation, variance, arrays, beyond)
            if operation.sink is Sink.REGISTER:
                summed = convolve(variance, operation.windows, Positions.SAME)
                moved = operation.affine.scale * summed + operation.affine.bias
                if operation.accumulate:
                    moved = registers[operation.target] + moved
                registers[operation.target] = moved

    def _activated(
        self, operation: Operation, variance: Tensor, arrays: tuple[np.ndarray, ...],
        beyond: np.ndarray,
    ) -> Tensor:  # fmt: skip
        """Write the table of one activation, for variances (n, height, width); those behind it."""
        assert operation.activation is not None, "asked before"
        *pair, c = arrays
        self._write(operation, operation.activation, variance, pair)
        if not is_series(operation.activation):
            return operation.activation.variance(variance)
        behind = torch.empty_like(variance)
        for b in range(len(c)):
            part = slice(b * LANES, (b + 1) * LANES)
            table, after = at_positions(operation.activation, variance[part].flatten())
            beyond[part] |= self._write_series(operation, table, c[b])
            behind[part] = after.reshape(variance[part].shape).to(variance)
        return behind

    def _write_series(self, operation: Operation, table: Tensor, c: np.ndarray) -> np.ndarray:
        """The numbers of a block of images; which of them need more terms than there are."""
        table = table.reshape(LANES, -1, table.shape[-1])
        need, size = table[..., 0], table.shape[1]
        table[..., 1] = need.amax(0)
        first = self.offsets[operation.table] * self.n_numbers * LANES
        inside = c[first : first + size * self.n_numbers * LANES]
        numbers = inside.reshape(size, self.n_numbers, LANES)[:, : table.shape[-1]]
        numbers[...] = table.permute(1, 2, 0).numpy()
        found: np.ndarray = (need > TERMS).any(-1).numpy()
        return found

    def _write(
        self, operation: Operation, dual: DualActivation, variance: Tensor,
        arrays: Sequence[np.ndarray],
    ) -> None:  # fmt: skip
        """The two numbers of every variance."""
        first, size = self.offsets[operation.table] * LANES, variance.shape[1:].numel() * LANES
        tables = activations.table(dual, variance)
        for array, values in zip(arrays, tables, strict=True):
            lanes = values.expand(variance.shape).reshape(len(array), LANES, size // LANES)
            array[:, first : first + size] = lanes.mT.reshape(len(array), size).numpy()


def side_by_side(x: np.ndarray) -> np.ndarray:
    """Images (n, k) in lanes, (n_blocks, k LANES); the last one fills the lanes that are left."""
    (n, k), n_blocks = x.shape, -(-len(x) // LANES)
    index = np.minimum(np.arange(n_blocks * LANES), n - 1)
    blocks = x[index].reshape(n_blocks, LANES, k).transpose(0, 2, 1)
    return np.ascontiguousarray(blocks).reshape(n_blocks, k * LANES)


def means(x: np.ndarray, n_channels: int) -> np.ndarray:
    """Row images divided by their channels: products with them are means over channels."""
    return x / x.dtype.type(n_channels)


def workspace(tables: Tables, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Numbers from the beginning of a cache line, since across two they are slow; integers."""
    raw = np.empty(tables.n_numbers * dtype.itemsize + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    numbers = raw[start : start + tables.n_numbers * dtype.itemsize].view(dtype)
    return numbers, np.empty(tables.n_integers, dtype=np.int64)
