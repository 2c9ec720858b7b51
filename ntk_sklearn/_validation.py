"""Checks of what users pass in: rows of X, image shapes, devices and precision by name."""

from __future__ import annotations

from math import prod
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_array


def flatten_images(X: ArrayLike, channel_axis: int = 1) -> tuple[np.ndarray, tuple[int, ...]]:
    """Rows for scikit-learn from an array of images.

    Parameters
    ----------
    X : array-like, (n, channels, *spatial) or any other place of the channels
    channel_axis : int, default=1
        Axis of the channels; -1 for channels-last images.

    Returns
    -------
    rows : ndarray, (n, channels * prod(spatial))
    image_shape : tuple of int
        (channels, *spatial), as kernels and estimators take it.

    Examples
    --------
    >>> rows, image_shape = flatten_images(np.zeros((10, 32, 32, 3)), channel_axis=-1)
    >>> rows.shape, image_shape
    ((10, 3072), (3, 32, 32))
    """
    images = np.moveaxis(np.asarray(X), channel_axis, 1)
    if images.ndim < 3:
        raise ValueError(f"X must have at least 3 axes (n, channels, positions), got {images.ndim}")
    return images.reshape(len(images), -1), images.shape[1:]


def as_rows(X: Any, image_shape: tuple[int, ...] | None) -> tuple[Any, tuple[int, ...] | None]:
    """Flatten 4-D X and read its image shape; 2-D X passes as it is.

    Raises
    ------
    ValueError
        If the images have another shape than `image_shape`, or look channels-last without one.
    """
    X = _detached(X)
    if getattr(X, "ndim", None) != 4:
        return X, image_shape
    X = np.asarray(X)
    found = X.shape[1:]
    told = None if image_shape is None else resolve_image_shape(image_shape, prod(found))
    if told != found and X.shape[-1] in (1, 3, 4) and X.shape[1] > 4:
        raise ValueError(
            f"X of shape {X.shape} looks like channels-last images; images are (n, channels, "
            "height, width): use rows, image_shape = flatten_images(X, channel_axis=-1)"
        )
    if told not in (None, found):
        raise ValueError(f"X has images of shape {found}, image_shape is {told}")
    return X.reshape(len(X), -1), found


def _detached(X: Any) -> Any:
    """X as scikit-learn can check it: no tensors with gradients, and no masks, which it ignores."""
    if np.ma.is_masked(X):
        raise ValueError("X has masked entries: fill or drop them")
    if hasattr(X, "detach") and hasattr(X, "cpu"):
        if getattr(X, "is_meta", False):
            raise TypeError("X is a meta tensor and holds no numbers")
        return X.detach().cpu().numpy()
    return X


def resolve_image_shape(image_shape: Any, n_features: int) -> tuple[int, ...]:
    """(channels, *spatial) with an entry -1 filled in.

    Raises
    ------
    ValueError
        If it is not a tuple of 2 to 4 positive integers (one may be -1) whose product is the
        number of features.
    """
    told = f"image_shape must be (channels, *spatial) with 1 to 3 spatial axes, got {image_shape!r}"
    if not isinstance(image_shape, (tuple, list)) or not 2 <= len(image_shape) <= 4:
        raise ValueError(told)
    if not all(isinstance(s, Integral) and not isinstance(s, bool) for s in image_shape):
        raise ValueError(told)
    sizes = tuple(int(s) for s in image_shape)
    known = prod(s for s in sizes if s != -1)
    if sizes.count(-1) > 1 or known < 1 or any(s < 1 for s in sizes if s != -1):
        raise ValueError(f"{told}: entries are positive, at most one is -1")
    if -1 in sizes and n_features % known == 0:
        sizes = tuple(n_features // known if s == -1 else s for s in sizes)
    if prod(sizes) != n_features:
        raise ValueError(
            f"image_shape {tuple(image_shape)} has {abs(prod(sizes))} values, X has {n_features} "
            "features"
        )
    return sizes


def check_rows(X: Any, name: str = "X", n_features: int | None = None) -> np.ndarray:
    """X as finite float64 rows; kernels check for themselves since not every caller does."""
    rows = check_array(
        X, dtype=np.float64, input_name=name, ensure_min_samples=0, ensure_min_features=1
    )
    if n_features is not None and rows.shape[1] != n_features:
        raise ValueError(f"{name} has {rows.shape[1]} features, X has {n_features}")
    return rows
