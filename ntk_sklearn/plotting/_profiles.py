"""Kernels of one input with turned or shifted copies of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import NNGP, NTK
from ._arrays import as_numbers

KERNELS: dict[str, type[NTK] | type[NNGP]] = {"ntk": NTK, "nngp": NNGP}


def angle_profile(network: Any, angles: Any, *, quantity: str = "ntk") -> np.ndarray:
    """k(x, z) (n,) for unit vectors x, z of the plane at these angles."""
    angles = as_numbers(angles, "angles", 1)
    points = np.column_stack([np.cos(angles), np.sin(angles)])
    kernel = KERNELS[quantity](network)
    return np.asarray(kernel(np.array([[1.0, 0.0]]), points)[0], dtype=np.float64)


def shift_profile(network: Any, image: Any, shifts: Any, *, quantity: str = "ntk") -> np.ndarray:
    """k(x, z) (n,) for an image (channels, *spatial) and its circular shifts in the last axis."""
    rows = shifted(image, shifts)
    kernel = KERNELS[quantity](network, image_shape=np.shape(image))
    found = kernel(shifted(image, [0]), rows)[0]
    return np.asarray(found, dtype=np.float64)


def shift_diagonal(network: Any, image: Any, shifts: Any, *, quantity: str = "ntk") -> np.ndarray:
    """k(z, z) (n,) of the shifted images, which zero padding makes different."""
    kernel = KERNELS[quantity](network, image_shape=np.shape(image))
    found = kernel.diag(shifted(image, shifts))
    return np.asarray(found, dtype=np.float64)


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
