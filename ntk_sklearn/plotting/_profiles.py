"""Profiles of kernels, divided by the values of each input with itself if that is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends import Quantity
from ..kernels import NNGP, NTK, angle_profile, shift_profile

_KERNELS: dict[str, type[NTK] | type[NNGP]] = {"ntk": NTK, "nngp": NNGP}


def against_angles(network: Any, angles: Any, quantity: Quantity, normalize: bool) -> np.ndarray:
    """k(x, z) (n,) for unit vectors x, z of the plane at these angles."""
    found = angle_profile(network, angles, quantity=quantity)
    if not normalize:
        return found
    # networks that angle_profile takes have one value for all inputs of a norm with themselves
    own = _KERNELS[quantity](network).diag(np.array([[1.0, 0.0]]))
    correlations: np.ndarray = found / own[0]
    return correlations


def against_shifts(
    network: Any, image: Any, shifts: Any, quantity: Quantity, normalize: bool
) -> np.ndarray:
    """k(x, z) (n,) for an image (channels, *spatial) and its circular shifts in the last axis."""
    found = shift_profile(network, image, shifts, quantity=quantity)
    if not normalize:
        return found
    moved = np.stack([np.roll(image, shift, axis=-1) for shift in [0, *np.ravel(shifts)]])
    own = _KERNELS[quantity](network, image_shape=np.shape(image)).diag(moved)
    correlations: np.ndarray = found / np.sqrt(own[0] * own[1:])
    return correlations
