"""Kernels of one input with turned, shifted or unchanged copies of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import NNGP, NTK
from ._arrays import as_numbers, check_choice

_KERNELS: dict[str, type[NTK] | type[NNGP]] = {"ntk": NTK, "nngp": NNGP}


def angle_profile(
    network: Any, angles: Any, quantity: str = "ntk", *, normalize: bool = False
) -> np.ndarray:
    """k(x, x') (n,) for unit vectors x, x' of the plane at these angles."""
    angles = as_numbers(angles, "angles", 1)
    points = np.column_stack([np.cos(angles), np.sin(angles)])
    return _profile(_kernel(network, quantity), np.array([[1.0, 0.0]]), points, normalize)


def shift_profile(
    network: Any, image: Any, shifts: Any, quantity: str = "ntk", *, normalize: bool = False
) -> np.ndarray:
    """k(x, x') (n,) for an image (channels, *spatial) and its circular shifts in the last axis."""
    image = np.asarray(image, dtype=np.float64)
    if image.ndim < 2:
        raise ValueError(f"image must be (channels, *spatial), got the shape {image.shape}")
    moved = np.stack([np.roll(image, int(shift), axis=-1).ravel() for shift in shifts])
    kernel = _kernel(network, quantity, image_shape=image.shape)
    return _profile(kernel, image.reshape(1, -1), moved, normalize)


def _kernel(network: Any, quantity: str, **options: Any) -> NTK | NNGP:
    return _KERNELS[check_choice(quantity, "quantity", tuple(_KERNELS))](network, **options)


def _profile(kernel: Any, x: np.ndarray, rows: np.ndarray, normalize: bool) -> np.ndarray:
    found = np.asarray(kernel(x, rows)[0], dtype=np.float64)
    return found / np.sqrt(kernel.diag(x) * kernel.diag(rows)) if normalize else found
