"""Kernels of one input with turned or shifted copies of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import NNGP, NTK
from ._arrays import as_numbers

KERNELS: dict[str, type[NTK] | type[NNGP]] = {"ntk": NTK, "nngp": NNGP}


def angle_profile(network: Any, angles: Any, *, quantity: str = "ntk") -> np.ndarray:
    """k(x, z) (n,) for unit vectors x, z of the plane at these angles."""
    found = KERNELS[quantity](network)(turned([0.0]), turned(angles))[0]
    return np.asarray(found, dtype=np.float64)


def shift_profile(network: Any, image: Any, shifts: Any, *, quantity: str = "ntk") -> np.ndarray:
    """k(x, z) (n,) for an image (channels, *spatial) and its circular shifts in the last axis."""
    kernel = KERNELS[quantity](network, image_shape=np.shape(image))
    found = kernel(shifted(image, [0]), shifted(image, shifts))[0]
    return np.asarray(found, dtype=np.float64)


def correlation(
    values: np.ndarray, network: Any, rows: np.ndarray, quantity: str, **options: Any
) -> np.ndarray:
    """Values (n,) of k(x, z) over the roots of k(x, x) and k(z, z), for rows x, z_1, ..., z_n."""
    own = np.asarray(KERNELS[quantity](network, **options).diag(rows), dtype=np.float64)
    found: np.ndarray = values / np.sqrt(own[0] * own[1:])
    return found


def turned(angles: Any) -> np.ndarray:
    """Unit vectors (n, 2) of the plane."""
    checked = as_numbers(angles, "angles", 1)
    return np.column_stack([np.cos(checked), np.sin(checked)])


def shifted(image: Any, shifts: Any) -> np.ndarray:
    """Rows (n_shifts, n_features) of an image, rolled along its last axis."""
    picture = np.asarray(image, dtype=np.float64)
    if picture.ndim < 2 or not np.isfinite(picture).all():
        raise ValueError(
            f"image must be (channels, *spatial) and finite, got shape {picture.shape}"
        )
    found = np.asarray(shifts)
    if found.dtype.kind not in "iu" or found.ndim != 1 or found.size == 0:
        raise ValueError(f"shifts must be integers (n_shifts,), got {shifts!r}")
    return np.stack([np.roll(picture, shift, axis=-1).ravel() for shift in found])
