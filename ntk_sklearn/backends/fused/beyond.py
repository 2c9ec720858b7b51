"""Images that need more terms of a series than there are: pairs of them by the recursion itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ...architecture import Layer, Shape
from ..problem import Output, Problem
from ..reference import ReferenceEvaluator

_REFERENCE = ReferenceEvaluator()
# Bytes of the pairs that are computed at a time, unless one takes more.
_BYTES = 2**24


class Recursion:
    """NNGP and NTK of networks of images, pair by pair.

    Parameters
    ----------
    networks : sequence of Layer
    n_channels : int
    spatial : tuple of int
    dtype : dtype
    """

    def __init__(
        self,
        networks: Sequence[Layer],
        n_channels: int,
        spatial: tuple[int, ...],
        dtype: np.dtype,
    ) -> None:
        outputs = tuple(Output(n, name) for n in networks for name in ("nngp", "ntk"))
        precision = torch.float32 if dtype.itemsize == 4 else torch.float64
        self._problem = Problem(outputs, Shape(n_channels, spatial), precision)
        self._n_networks = len(networks)

    def n_bytes(self) -> int:
        """Of the pairs that are computed at a time."""
        per_pair, per_input = _REFERENCE.workspace(self._problem)
        return self._at_once() * (per_pair + per_input) + per_input

    def _at_once(self) -> int:
        return max(1, _BYTES // sum(_REFERENCE.workspace(self._problem)))

    def replace(
        self,
        found: np.ndarray,
        x: np.ndarray,
        z: np.ndarray,
        far: tuple[np.ndarray, np.ndarray],
        on_diagonal: bool,
        halt: np.ndarray,
    ) -> None:
        """Overwrite all pairs (n_networks, 2, n, m) of an image that is `far`, (n,) and (m,).

        On the diagonal of the upper triangle only, and not of images with themselves.
        """
        rows, columns = (_REFERENCE.prepare(self._problem, torch.from_numpy(a)) for a in (x, z))
        for i in range(len(x)):
            first = i + 1 if on_diagonal else 0
            chosen = first + np.flatnonzero(far[0][i] | far[1][first:])
            for part in self._parts(chosen):
                if halt[0]:
                    return
                values = np.empty((2 * self._n_networks, 1, len(part)), found.dtype)
                of_row, of_columns = slice(i, i + 1), slice(0, len(part))
                _REFERENCE.tile(
                    self._problem, rows, of_row, columns[part], of_columns, False, values
                )
                found[:, :, i, part] = values.reshape(self._n_networks, 2, len(part))

    def diagonal(self, found: np.ndarray, x: np.ndarray, far: np.ndarray) -> None:
        """Overwrite those (n_networks, 2, n) of images with themselves."""
        images = _REFERENCE.prepare(self._problem, torch.from_numpy(x))
        for part in self._parts(np.flatnonzero(far)):
            values = np.empty((2 * self._n_networks, len(part)), found.dtype)
            _REFERENCE.diagonal(self._problem, images[part], slice(0, len(part)), values)
            found[..., part] = values.reshape(self._n_networks, 2, len(part))

    def _parts(self, chosen: np.ndarray) -> Iterator[np.ndarray]:
        step = self._at_once()
        return (chosen[k : k + step] for k in range(0, len(chosen), step))
