"""A table of layers without positions, ready for tiles: all layers behind the heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...architecture import Dense, Layer, Serial
from ...duals import resolve
from ...recursion import KernelState, affine_scales, propagate
from . import activations
from .flat import Does, FlatOperation, FlatProgram, flat_tables, lower_flat
from .flat_rows import HAS_ANGLES, HAS_TANGENTS, KIND, PARAMETERS, SIZE, run_flat
from .lanes import LANES
from .program import shared_places


class FlatPlan:
    """The lowered layers of several networks, from their inputs or from their heads on.

    Parameters
    ----------
    tails : sequence of (int, tuple of Layer)
        For every network, its head and the layers behind it.
    dtype : dtype
    angles : bool
        Whether the angles in front of them are known.

    Attributes
    ----------
    n_tables : int
        Numbers that are kept per input.

    Raises
    ------
    NotFusedError
    """

    def __init__(
        self, tails: Sequence[tuple[int, tuple[Layer, ...]]], dtype: np.dtype, angles: bool
    ) -> None:
        self.dtype, self._tails = dtype, tails
        self._program = lower_flat(tails, angles)
        n_heads = 1 + max(head for head, _ in tails)
        found, begins = flat_tables(self._program, [torch.zeros(1)] * n_heads)
        self.n_tables = len(found)
        places = _places(self._program)
        self._n_places = 1 + max(places)
        rows = [
            _row(operation, begin, places)
            for operation, begin in zip(self._program.operations, begins, strict=True)
        ]
        self._series = [
            (begin, int(numbers[PARAMETERS]))
            for (integers, numbers), begin in zip(rows, begins, strict=True)
            if integers[KIND] == activations.SERIES
        ]
        self._numbers = np.array([numbers for _, numbers in rows], dtype=dtype)
        self._operations = np.array([integers for integers, _ in rows], dtype=np.int64)

    @property
    def needs_angles(self) -> bool:
        """Whether the angles in front are read."""
        return any(o.angles for o in self._program.operations if o.does is Does.LOAD)

    @property
    def n_bytes(self) -> int:
        """Size of the registers."""
        return self._n_places * SIZE * self.dtype.itemsize

    def tables(self, variances: Sequence[np.ndarray]) -> np.ndarray:
        """What the operations need of inputs with these variances (n_heads, n), (n_tables, n).

        With series, the variances themselves are the last of them.
        """
        tensors = [torch.from_numpy(np.asarray(v, dtype=self.dtype)) for v in variances]
        found, _ = flat_tables(self._program, tensors)
        if self._series:
            found = torch.cat([found, torch.stack(tensors)])
        return np.ascontiguousarray(found.numpy())

    def diagonal(self, states: Sequence[KernelState]) -> np.ndarray:
        """NNGP and NTK (n_networks, 2, n) of inputs with themselves, from those of the heads."""
        with torch.no_grad():
            ends = [propagate(Serial(*layers), states[head]) for head, layers in self._tails]
        return np.stack([np.stack([end.nngp.numpy(), _tangent(end).numpy()]) for end in ends])

    def pairs(
        self,
        x: np.ndarray,
        z: np.ndarray,
        heads: np.ndarray,
        angles: np.ndarray | None,
        tangents: np.ndarray | None,
        upper: bool,
    ) -> np.ndarray:
        """NNGP and NTK of all networks, (n_networks, 2, n, m).

        Parameters
        ----------
        x, z : ndarray, (n_tables, n) and (n_tables, m)
        heads, angles, tangents : ndarray, (n_heads, n, m)
            NNGP, squared sines of angles where they are known, and NTK where it is not 0.
        upper : bool
            Whether entries below the diagonal may be left undefined.
        """
        n, m = heads.shape[1:]
        flags = HAS_ANGLES * (angles is not None) + HAS_TANGENTS * (tangents is not None)
        padded = [_padded(a, self.dtype) for a in (z, heads, angles, tangents)]
        found = np.zeros((len(self._tails), 2, n, padded[0].shape[-1]), dtype=self.dtype)
        ws = np.empty(self._n_places * SIZE, dtype=self.dtype)
        run_flat(
            self._operations, self._numbers, ws, x, *padded, flags,
            upper, found,
        )  # fmt: skip
        found = found[..., :m]
        far_x, far_z = self._beyond(x), self._beyond(z)
        if len(far_x):
            self._recompute(x, z, (heads, angles, tangents), far_x, slice(None), found)
        if len(far_z):
            self._recompute(x, z, (heads, angles, tangents), slice(None), far_z, found)
        return found

    def _beyond(self, tables: np.ndarray) -> np.ndarray:
        """Indices of inputs that need more terms of a series than are tabulated."""
        over = [tables[begin + 1] > terms for begin, terms in self._series]
        return np.flatnonzero(np.any(over, axis=0)) if over else np.empty(0, dtype=np.int64)

    def _recompute(
        self, x: np.ndarray, z: np.ndarray, state: tuple[np.ndarray | None, ...],
        rows: Any, cols: Any, found: np.ndarray,
    ) -> None:  # fmt: skip
        """By the recursion itself, for inputs of such large variances."""
        heads, *others = state
        assert heads is not None, "NNGPs are always known"
        q = _chosen(heads, rows, cols, self.dtype)
        sine2, t = (None if a is None else _chosen(a, rows, cols, self.dtype) for a in others)
        with torch.no_grad():
            for k, (head, layers) in enumerate(self._tails):
                own_x, own_z = (torch.from_numpy(a[head - len(heads)]) for a in (x, z))
                start = KernelState(
                    q[head], torch.zeros_like(q[head]) if t is None else t[head],
                    own_x[rows][:, None], own_z[cols][None],
                    sine2=None if sine2 is None else sine2[head],
                )  # fmt: skip
                end = propagate(Serial(*layers), start)
                found[k, 0][rows, cols] = end.nngp.numpy()
                found[k, 1][rows, cols] = _tangent(end).numpy()


def _chosen(values: np.ndarray, rows: Any, cols: Any, dtype: np.dtype) -> Tensor:
    part = values[:, rows][:, :, cols]
    return torch.from_numpy(np.ascontiguousarray(part, dtype=dtype))


def own_state(nngp: np.ndarray, ntk: np.ndarray | None) -> KernelState:
    """The state of inputs with themselves; no NTK is 0."""
    q = torch.from_numpy(nngp)
    t = torch.zeros_like(q) if ntk is None else torch.from_numpy(ntk)
    return KernelState(q, t, q, q, sine2=torch.zeros_like(q))


def _padded(values: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    """Rows filled up with zeros to whole vectors."""
    if values is None:
        return np.empty((0, 0, 0), dtype=dtype)
    missing = -values.shape[-1] % LANES
    if not missing:
        return np.ascontiguousarray(values, dtype=dtype)
    found = np.zeros((*values.shape[:-1], values.shape[-1] + missing), dtype=dtype)
    found[..., : values.shape[-1]] = values
    return found


def _tangent(state: KernelState) -> Tensor:
    assert state.ntk is not None, "states are made with it"
    return state.ntk


def _row(operation: FlatOperation, begin: int, places: list[int]) -> tuple[list[int], list[float]]:
    """Integers and numbers of an operation, by the columns of `flat_rows`."""
    numbers, kind = [operation.share, 0.0, 0.0, 0.0], -1
    parameters: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    layer = operation.layer
    if isinstance(layer, Dense):
        numbers = [*affine_scales(layer)]
    elif operation.does is Does.ACTIVATION:
        lowered = activations.lower_flat(resolve(layer.function))  # type: ignore[union-attr]
        kind, parameters = lowered.kind, lowered.parameters
    source, target = operation.source, operation.target
    if operation.does is not Does.LOAD:
        source = places[source]
    if operation.does is not Does.STORE:
        target = places[target]
    other = 0 if operation.other is None else places[operation.other]
    integers = [int(operation.does), source, other, target, kind, begin]
    integers += [int(not operation.known), int(operation.angles)]
    return integers, [*numbers, *parameters]


def _places(program: FlatProgram) -> list[int]:
    """Where the registers are kept: as few places as possible, which stay in the cache."""
    lives: dict[int, tuple[int, int]] = {}
    for k, operation in enumerate(program.operations):
        if operation.does is not Does.STORE:
            lives[operation.target] = (k, k)
        for register in operation.reads:
            lives[register] = (lives[register][0], k)
    return shared_places([lives[register] for register in range(len(program.known))])
