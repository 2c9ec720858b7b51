"""Networks of images: what every head sums up over the planes, tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from ...architecture import Activation, Layer, Positions, contains
from ...recursion.windows import convolve
from . import activations
from .demand import Displacements, demanded
from .flat_plan import FlatPlan, own_state
from .lanes import LANES
from .lowering import lower
from .planes import run
from .program import Operation, Sink, Stage
from .tables import AT, SLOTS, Tables, build, table_offsets

# Seconds that a tile should take in one thread, and nanoseconds that an entry of a layer takes
# there in float32 (measured; it need not be exact).
_PATIENCE, _PER_ENTRY = 0.25, 1.0
_GO_ON = np.zeros(1, dtype=np.uint8)


@dataclass(frozen=True)
class Sums:
    """What the heads sum up, in the weights of the heads.

    Attributes
    ----------
    found : ndarray, (n_heads, 2, n, m), or (n_heads, 2, n) for images with themselves
        NNGP and NTK of every pair of images.
    own_x, own_z : ndarray, (n_heads, n) and (n_heads, m)
        NNGP of the images with themselves; defined for heads with variances only.
    """

    found: np.ndarray
    own_x: np.ndarray
    own_z: np.ndarray


class ImagePlan:
    """The lowered program of networks of images, in one precision.

    Parameters
    ----------
    networks : sequence of Layer
    n_channels : int
    spatial : tuple of int
    dtype : dtype

    Raises
    ------
    NotFusedError
    """

    def __init__(
        self,
        networks: Sequence[Layer],
        n_channels: int,
        spatial: tuple[int, ...],
        dtype: np.dtype,
    ) -> None:
        self.program = lower(networks, spatial)
        self._flat = FlatPlan(self.program.tails, dtype, angles=False)
        self.n_channels, self.dtype = n_channels, dtype
        heads = range(len(self.program.heads))
        varying = {head for head, tail in self.program.tails if _needs_variances(tail)}
        self._every = demanded(self.program, heads, variances=False)
        self._tables = self._written(self._every)
        self._own = self._written(demanded(self.program, varying, variances=True))
        self._weights = np.array([head.weight for head in self.program.heads])
        self._offsets = table_offsets(self.program)

    def _written(self, displacements: list[Displacements]) -> Tables:
        return build(self.program, displacements, self.n_channels, self.dtype)

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """The rows in the plan's precision."""
        return np.ascontiguousarray(X, dtype=self.dtype)

    def prepared_bytes(self) -> int:
        """Bytes that `prepare` keeps per row."""
        return self.n_channels * prod(self._sizes) * self.dtype.itemsize

    def tile_side(self) -> int:
        """Rows of a tile that takes about a quarter of a second."""
        entry = _PER_ENTRY * self.dtype.itemsize / 4 * 1e-9
        side = int((_PATIENCE / (entry * self.n_entries())) ** 0.5)
        return min(max(side - side % LANES, LANES), 256)

    def tile(
        self, x: np.ndarray, z: np.ndarray, on_diagonal: bool, halt: np.ndarray | None
    ) -> np.ndarray:
        """NNGP and NTK (n_networks, 2, n, m); on the diagonal of the upper triangle only."""
        sums = self.pairs(x, z, on_diagonal, halt)
        left, right = self._flat.tables([*sums.own_x]), self._flat.tables([*sums.own_z])
        q, t = sums.found[:, 0], sums.found[:, 1]
        found = self._flat.pairs(left, right, q, None, t, on_diagonal)
        if on_diagonal:
            found[..., range(len(x)), range(len(x))] = self._finish(sums.found.diagonal(0, 2, 3))
        return found

    def diagonal(self, x: np.ndarray) -> np.ndarray:
        """NNGP and NTK (n_networks, 2, n) of images with themselves."""
        return self._finish(self.with_themselves(x).found)

    def _finish(self, found: np.ndarray) -> np.ndarray:
        """The layers behind the heads, for images with themselves."""
        return self._flat.diagonal([own_state(*head) for head in found.astype(self.dtype)])

    @property
    def _sizes(self) -> tuple[int, ...]:
        return self.program.stages[0].registers[0].sizes

    def n_entries(self) -> int:
        """Entries that the operations compute for a pair of images."""
        return sum(
            sum(_n_positions(stage, operation, wanted) for operation in stage.operations)
            for stage, wanted in zip(self.program.stages, self._every, strict=True)
        )

    def workspace(self) -> tuple[int, int]:
        """Bytes per pair and per image of a tile."""
        n_heads, size = len(self._weights), self.dtype.itemsize
        per_pair = 8 * (2 * n_heads + 4) + 8 * size
        positions = self.n_channels * prod(self._sizes)
        return per_pair, 4 * size * (positions + self._offsets[-1])

    def tile_overhead(self) -> int:
        """Bytes of the planes, and of the tables of a block of images side by side."""
        tables = 8 * LANES * (self._offsets[-1] + self.n_channels * prod(self._sizes))
        numbers = self._tables.n_numbers + self._own.n_numbers + tables
        return numbers * self.dtype.itemsize + self._flat.n_bytes

    def pairs(
        self, x: np.ndarray, z: np.ndarray, on_diagonal: bool, halt: np.ndarray | None
    ) -> Sums:
        """Sums of all pairs of a tile; on the diagonal of the upper triangle only."""
        halt = _GO_ON if halt is None else halt
        xu, xw, own_x = self._by_image(x, halt)
        n_heads, n, m = len(self._weights), len(x), len(z)
        found, own_z = np.zeros((n_heads, 2, n, m)), np.empty((n_heads, m))
        scaled, workspace = self._left(x), self._workspace(self._tables)
        for j in range(0, m, LANES):
            if halt[0]:
                break
            block = _side_by_side(z[j : j + LANES])
            zu, zw, own = self._own_block(block, halt)
            last, k = min(n, j + LANES) if on_diagonal else n, min(LANES, m - j)
            sums = np.zeros((last, 2 * n_heads * LANES))
            self._run(
                workspace, scaled[:last], xu[:last], xw[:last], block, zu, zw, False, sums, halt
            )
            by_head = sums.reshape(last, n_heads, 2, LANES)[..., :k]
            found[:, :, :last, j : j + k] = np.moveaxis(by_head, 0, 2)
            own_z[:, j : j + k] = own[:, 0, :k]
        return self._weighted(found, own_x, own_z)

    def with_themselves(self, x: np.ndarray) -> Sums:
        """Sums of images with themselves."""
        n_heads, n = len(self._weights), len(x)
        found, own_x = np.empty((n_heads, 2, n)), np.empty((n_heads, n))
        workspace = self._workspace(self._tables)
        for i in range(0, n, LANES):
            block = _side_by_side(x[i : i + LANES])
            u, w, own = self._own_block(block, _GO_ON)
            sums, k = np.zeros((1, 2 * n_heads * LANES)), min(LANES, n - i)
            left = self._left(block)[None]
            self._run(workspace, left, u[None], w[None], block, u, w, True, sums, _GO_ON)
            found[:, :, i : i + k] = sums.reshape(n_heads, 2, LANES)[..., :k]
            own_x[:, i : i + k] = own[:, 0, :k]
        return self._weighted(found, own_x, own_x)

    def _run(
        self, workspace: tuple[np.ndarray, ...], x: np.ndarray, xu: np.ndarray, xw: np.ndarray,
        z: np.ndarray, zu: np.ndarray, zw: np.ndarray, each: bool, sums: np.ndarray,
        halt: np.ndarray,
    ) -> None:  # fmt: skip
        n_stages = len(self.program.stages)
        run(self._tables, 0, n_stages, True, *workspace, x, xu, xw, z, zu, zw, each, sums, halt)

    def _weighted(self, found: np.ndarray, own_x: np.ndarray, own_z: np.ndarray) -> Sums:
        weights = self._weights.reshape(-1, *(1,) * (found.ndim - 1))
        found *= weights
        return Sums(found, own_x * self._weights[:, None], own_z * self._weights[:, None])

    def _left(self, x: np.ndarray) -> np.ndarray:
        """Row images divided by their channels: products with them are means over channels."""
        return x / self.dtype.type(self.n_channels)

    def _workspace(self, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
        """Integers, and numbers from the beginning of a cache line: across two they are slow."""
        size = self.dtype.itemsize
        raw = np.empty(tables.n_numbers * size + 64, dtype=np.uint8)
        start = -raw.ctypes.data % 64
        numbers = raw[start : start + tables.n_numbers * size].view(self.dtype)
        return numbers, np.empty(tables.n_integers, dtype=np.int64)

    def _by_image(
        self, x: np.ndarray, halt: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tables (n, n_entries) of every image, and its own sums (n_heads, n)."""
        u, w = np.empty((2, len(x), self._offsets[-1]), self.dtype)
        own = np.empty((len(self._weights), len(x)))
        for i in range(0, len(x), LANES):
            if halt[0]:
                break
            block, k = x[i : i + LANES], min(LANES, len(x) - i)
            found = self._own_block(_side_by_side(block), halt)
            for table, lanes in zip((u, w), found[:2], strict=True):
                table[i : i + k] = lanes.reshape(-1, LANES)[:, :k].T
            own[:, i : i + k] = found[2][:, 0, :k]
        return u, w, own

    def _own_block(
        self, x: np.ndarray, halt: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tables (n_entries LANES,) of images side by side, and sums (n_heads, 2, LANES).

        Stage by stage, images with themselves: first the plane of equal positions, whose variances
        fill the stage's tables, then all planes that variances behind the stage ask for.
        """
        u, w = np.zeros((2, self._offsets[-1] * LANES), self.dtype)
        sums = np.zeros((1, 2 * len(self._weights) * LANES))
        workspace = self._workspace(self._own)
        workspace[0][: self._own.n_buffered] = 0.0
        left = self._left(x)
        for s, stage in enumerate(self.program.stages):
            if not self._own.n_planes(s):
                continue
            self._fill_tables(stage, self._source(stage, x, left, workspace[0]), u, w)
            run(
                self._own, s, s + 1, False, *workspace, left[None], u[None], w[None], x, u, w, True,
                sums, halt,
            )  # fmt: skip
        return u, w, sums.reshape(-1, 2, LANES)

    def _source(
        self, stage: Stage, x: np.ndarray, left: np.ndarray, workspace: np.ndarray
    ) -> Tensor:
        """Variances (LANES, height, width) at the positions of a stage's source."""
        height, width = stage.registers[0].sizes
        if stage.source < 0:
            plane = (left * x).reshape(self.n_channels, height, width, LANES).sum(0)
        else:
            buffer, slots = self._own.buffers[stage.source], self._own.slots
            number = slots[buffer[SLOTS]] * buffer[SLOTS + 3] + slots[buffer[SLOTS + 1]]
            size = height * width * LANES
            begin = buffer[AT] + number * size
            plane = workspace[begin : begin + size].reshape(height, width, LANES)
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(plane, -1, 0)))

    def _fill_tables(self, stage: Stage, source: Tensor, u: np.ndarray, w: np.ndarray) -> None:
        """Follow the variances through a stage; write what its activations need of them."""
        registers: dict[int, Tensor] = {0: source}
        for operation in stage.operations:
            variance = registers[operation.source]
            if operation.activation is not None:
                first = self._offsets[operation.table] * LANES
                tables = activations.table(operation.activation, variance)
                for array, values in zip((u, w), tables, strict=True):
                    flat = values.expand(variance.shape).movedim(0, -1).reshape(-1)
                    array[first : first + variance.numel()] = flat.numpy()
                variance = operation.activation.variance(variance)
            if operation.sink is Sink.REGISTER:
                summed = convolve(variance, operation.windows, Positions.SAME)
                moved = operation.affine.scale * summed + operation.affine.bias
                if operation.accumulate:
                    moved = registers[operation.target] + moved
                registers[operation.target] = moved


def _needs_variances(tail: tuple[Layer, ...]) -> bool:
    """Whether layers behind a head need the variances in front of them."""
    return any(contains(layer, Activation) for layer in tail)


def _side_by_side(block: np.ndarray) -> np.ndarray:
    """Images (k, n) in lanes, (n LANES,); the last one fills the lanes that are left."""
    index = np.minimum(np.arange(LANES), len(block) - 1)
    return np.ascontiguousarray(block[index].T).reshape(-1)


def _n_positions(stage: Stage, operation: Operation, wanted: Displacements) -> int:
    """Entries that an operation reads on all planes of a stage."""
    register = stage.registers[operation.source]
    counts = [
        sum(
            n if stage.wrapped else max(0, n - abs(d) // stride)
            for d in displacements
            if d % stride == 0
        )
        for n, stride, displacements in zip(register.sizes, register.strides, wanted, strict=True)
    ]
    return prod(counts)
