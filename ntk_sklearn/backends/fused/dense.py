"""Dense networks: one matrix product per tile, then all layers on pieces of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...architecture import Layer
from .flat_plan import FlatPlan, own_state
from .flat_rows import start_angles

# 1 - |cosine| below which the angle is taken from the difference of the normalized rows.
_NEAR = {8: 1e-4, 4: 1e-2}


@dataclass(frozen=True)
class Rows:
    """Inputs divided by the root of their number of features, and what follows from their lengths.

    Attributes
    ----------
    x : ndarray, (n, d)
    shrink : ndarray, (n,)
        Reciprocals of the lengths of the rows of `x`, 0 for zeros.
    tables : ndarray, (n_tables, n)
    """

    x: np.ndarray
    shrink: np.ndarray
    tables: np.ndarray

    def __getitem__(self, part: slice) -> Rows:
        tables = np.ascontiguousarray(self.tables[:, part])
        return Rows(self.x[part], self.shrink[part], tables)


class DensePlan:
    """The lowered layers of dense networks, in one precision.

    Parameters
    ----------
    networks : sequence of Layer
    n_features : int
    dtype : dtype

    Raises
    ------
    NotFusedError
    """

    def __init__(self, networks: tuple[Layer, ...], n_features: int, dtype: np.dtype) -> None:
        self._flat = FlatPlan([(0, (network,)) for network in networks], dtype, angles=True)
        self._n_features, self._n_networks, self.dtype = n_features, len(networks), dtype

    def prepare(self, X: np.ndarray) -> Rows:
        """Rows and tables of all inputs."""
        with np.errstate(over="ignore", divide="ignore"):  # the drivers refuse what overflows
            x = X.astype(self.dtype) * self.dtype.type(1.0 / np.sqrt(self._n_features))
            variance = _variances(x)
            shrink = np.where(variance > 0, 1 / np.sqrt(variance), 0).astype(self.dtype)
        return Rows(x, shrink, self._flat.tables([variance]))

    def prepared_bytes(self) -> int:
        """Bytes that `prepare` keeps per row."""
        return (self._n_features + 1 + self._flat.n_tables) * self.dtype.itemsize

    def workspace(self) -> tuple[int, int]:
        """Bytes per pair and per input of a tile."""
        size = self.dtype.itemsize
        return (5 + 2 * self._n_networks) * size, self._flat.n_tables * size

    def tile_overhead(self) -> int:
        """Bytes of the registers."""
        return self._flat.n_bytes

    def tile_side(self) -> int:
        """Rows of a tile: products of matrices of this size run at full speed."""
        return 512

    def least_side(self) -> int:
        """Rows of a tile that takes milliseconds: what is done once per tile takes one."""
        return 256

    def tile(self, x: Rows, z: Rows, on_diagonal: bool, halt: Any) -> np.ndarray:
        """NNGP and NTK (n_networks, 2, n, m); on the diagonal of the upper triangle only."""
        with np.errstate(over="ignore", invalid="ignore"):  # the drivers refuse what overflows
            q = x.x @ z.x.T
        angles = None
        if self._flat.needs_angles:
            angles = np.empty_like(q)
            limit = self.dtype.type(_NEAR[self.dtype.itemsize])
            start_angles(q, (x.x, x.shrink), (z.x, z.shrink), limit, angles)
            angles = angles[None]
        if on_diagonal and angles is not None:
            np.fill_diagonal(angles[0], 0)
        found = self._flat.pairs(x.tables, z.tables, q[None], angles, None, on_diagonal)
        if on_diagonal:
            own = self.diagonal(x)
            found[..., range(len(q)), range(len(q))] = own
        return found

    def diagonal(self, x: Rows) -> np.ndarray:
        """NNGP and NTK (n_networks, 2, n) of inputs with themselves."""
        return self._flat.diagonal([own_state(_variances(x.x), None)])


def _variances(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.einsum("ij,ij->i", x, x)
    return found
