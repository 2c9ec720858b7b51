"""Networks of images: what every head sums up over the planes, tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ...architecture import Activation, Dropout, Layer, LayerNorm, contains
from .beyond import Recursion
from .demand import Displacements, demanded
from .flat_plan import FlatPlan, own_state
from .lanes import LANES
from .lowering import lower
from .own import Own, OwnPlan, means, workspace
from .planes import run
from .program import Operation, Stage
from .tables import build

# Seconds that a tile should take in one thread, and nanoseconds that an entry of a layer takes
# there in float32 (measured; it need not be exact).
_PATIENCE, _PER_ENTRY = 0.25, 1.0
# The least that it should take, unless there are few rows.
_WORTH = 0.02
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
    beyond_x, beyond_z : ndarray, (n,) and (m,)
        Images that need more terms of a series than there are.
    """

    found: np.ndarray
    own_x: np.ndarray
    own_z: np.ndarray
    beyond_x: np.ndarray
    beyond_z: np.ndarray


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
        self._tables = build(self.program, self._every, n_channels, dtype)
        self._own = OwnPlan(self.program, varying, n_channels, dtype)
        self._masked = any(contains(network, Dropout) for network in networks)
        self._recursion = Recursion(networks, n_channels, spatial, dtype)
        self._weights = np.array([head.weight for head in self.program.heads])

    def prepare(self, X: np.ndarray) -> np.ndarray:
        """The rows in the plan's precision."""
        return np.ascontiguousarray(X, dtype=self.dtype)

    def prepared_bytes(self) -> int:
        """Bytes that `prepare` keeps per row."""
        return self.n_channels * prod(self._sizes) * self.dtype.itemsize

    def tile_side(self) -> int:
        """Rows of a tile that takes about a quarter of a second."""
        return self._side(_PATIENCE)

    def least_side(self) -> int:
        """Rows of a tile to which what is done once per tile and image is little."""
        return self._side(_WORTH)

    def _side(self, seconds: float) -> int:
        entry = _PER_ENTRY * self.dtype.itemsize / 4 * 1e-9
        side = int((seconds / (entry * self.n_entries())) ** 0.5)
        return min(max(side - side % LANES, LANES), 256)

    def tile(
        self, x: np.ndarray, z: np.ndarray, on_diagonal: bool, halt: np.ndarray | None
    ) -> np.ndarray:
        """NNGP and NTK (n_networks, 2, n, m); on the diagonal of the upper triangle only."""
        halt = _GO_ON if halt is None else halt
        sums = self.pairs(x, z, on_diagonal, halt)
        left, right = self._flat.tables([*sums.own_x]), self._flat.tables([*sums.own_z])
        q, t = sums.found[:, 0], sums.found[:, 1]
        found = self._flat.pairs(left, right, q, None, t, on_diagonal)
        if on_diagonal:
            own = self.with_themselves(x).found if self._masked else sums.found.diagonal(0, 2, 3)
            found[..., range(len(x)), range(len(x))] = self._finish(own, x, sums.beyond_x)
        if sums.beyond_x.any() or sums.beyond_z.any():
            far = sums.beyond_x, sums.beyond_z
            self._recursion.replace(found, x, z, far, on_diagonal, halt)
        return found

    def diagonal(self, x: np.ndarray) -> np.ndarray:
        """NNGP and NTK (n_networks, 2, n) of images with themselves."""
        sums = self.with_themselves(x)
        return self._finish(sums.found, x, sums.beyond_x)

    def _finish(self, found: np.ndarray, x: np.ndarray, beyond: np.ndarray) -> np.ndarray:
        """The layers behind the heads, for images with themselves."""
        ends = self._flat.diagonal([own_state(*head) for head in found.astype(self.dtype)])
        if beyond.any():
            self._recursion.diagonal(ends, x, beyond)
        return ends

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
        return per_pair, 2 * self._own.bytes_per_image()

    def tile_overhead(self) -> int:
        """Bytes of the planes, and of images that fill up the last vectors."""
        filling = 2 * LANES * self._own.bytes_per_image()
        own = self._tables.n_numbers * self.dtype.itemsize + self._flat.n_bytes + filling
        return own + (self._own.overhead() + self._recursion.n_bytes() if self._own.n_summed else 0)

    def pairs(self, x: np.ndarray, z: np.ndarray, on_diagonal: bool, halt: np.ndarray) -> Sums:
        """Sums of all pairs of a tile; on the diagonal of the upper triangle only."""
        n_heads, n, m = len(self._weights), len(x), len(z)
        own_x = self._own.of(x, halt)
        own_z = own_x if on_diagonal else self._own.of(z, halt)
        rows = [own_x.by_image(values, n) for values in (own_x.u, own_x.w, own_x.c)]
        scaled, space = means(x, self.n_channels), workspace(self._tables, self.dtype)
        found = np.zeros((n_heads, 2, n, m))
        for b, j in enumerate(range(0, m, LANES)):
            if halt[0]:
                break
            last, k = min(n, j + LANES) if on_diagonal else n, min(LANES, m - j)
            sums = np.zeros((last, 2 * n_heads * LANES))
            left = [scaled[:last], *(values[:last] for values in rows)]
            right = own_z.images[b], own_z.u[b], own_z.w[b], own_z.c[b]
            self._run(space, left, right, False, sums, halt)
            by_head = sums.reshape(last, n_heads, 2, LANES)[..., :k]
            found[:, :, :last, j : j + k] = np.moveaxis(by_head, 0, 2)
        return self._weighted(found, own_x, own_z)

    def with_themselves(self, x: np.ndarray) -> Sums:
        """Sums of images with themselves."""
        n, own = len(x), self._own.of(x, _GO_ON)
        space, left = workspace(self._tables, self.dtype), means(own.images, self.n_channels)
        sums = np.zeros((len(left), 1, 2 * len(self._weights) * LANES))
        for b in range(len(left)):
            part = slice(b, b + 1)
            rows = [left[part], own.u[part], own.w[part], own.c[part]]
            columns = own.images[b], own.u[b], own.w[b], own.c[b]
            self._run(space, rows, columns, True, sums[b], _GO_ON)
        whole = replace(own, sums=sums.reshape(own.sums.shape)).heads(n)
        return self._weighted(whole, own, own)

    def _run(
        self, workspace: tuple[np.ndarray, ...], x: Sequence[np.ndarray],
        z: Sequence[np.ndarray], each: bool, sums: np.ndarray, halt: np.ndarray,
    ) -> None:  # fmt: skip
        n_stages = len(self.program.stages)
        run(self._tables, 0, n_stages, True, *workspace, *x, *z, each, sums, halt)

    def _weighted(self, found: np.ndarray, own_x: Own, own_z: Own) -> Sums:
        weights = self._weights.reshape(-1, *(1,) * (found.ndim - 1))
        found *= weights
        n, m = found.shape[2], found.shape[-1]
        x, z = (self._weights[:, None] * a.heads(k)[:, 0] for a, k in ((own_x, n), (own_z, m)))
        return Sums(found, x, z, own_x.beyond[:n], own_z.beyond[:m])


def _needs_variances(tail: tuple[Layer, ...]) -> bool:
    """Whether layers behind a head need the variances in front of them."""
    return any(contains(layer, (Activation, Dropout, LayerNorm)) for layer in tail)


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
