"""Checks of what users pass in: rows of X, image shapes, devices and precision by name."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from math import prod
from numbers import Integral
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn import get_config
from sklearn.utils.validation import check_array

P = ParamSpec("P")
R = TypeVar("R")

_UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"


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
        If the images have another shape than `image_shape`, or look channels-last without one; if
        X has masked entries, or holds text, categories or dates.
    TypeError
        For tensors without numbers or in sparse layouts.
    """
    X = _without_text(detached(X))
    if getattr(X, "ndim", None) != 4:
        return X, image_shape
    X = np.asarray(X)
    found = X.shape[1:]
    told = found if image_shape is None else _checked_sizes(image_shape)
    fits = len(told) == 3 and all(s in (-1, f) for s, f in zip(told, found, strict=True))
    if (image_shape is None or not fits) and X.shape[-1] in (1, 3, 4) and X.shape[1] > 4:
        raise ValueError(
            f"X of shape {X.shape} looks like channels-last images; images are (n, channels, "
            "height, width): use rows, image_shape = flatten_images(X, channel_axis=-1)"
        )
    if not fits:
        raise ValueError(f"X has images of shape {found}, image_shape is {told}")
    return X.reshape(len(X), -1), found


def detached(values: Any, name: str = "X") -> Any:
    """Values as scikit-learn can check them: arrays for tensors, and no masks, which it ignores.

    Raises
    ------
    ValueError
        For masked entries.
    TypeError
        For tensors without numbers or in sparse layouts.
    """
    if np.ma.is_masked(values):
        raise ValueError(f"{name} has masked entries: fill or drop them")
    if not (hasattr(values, "detach") and hasattr(values, "cpu")):
        return values
    if getattr(values, "is_meta", False):
        raise TypeError(f"{name} is a meta tensor and holds no numbers")
    if str(values.layout) != "torch.strided":
        raise TypeError(f"{name} is a sparse tensor: use {name}.to_dense()")
    plain = values.detach().cpu().resolve_conj().resolve_neg()
    return (plain.float() if str(plain.dtype) == "torch.bfloat16" else plain).numpy()


def _without_text(X: Any) -> Any:
    """X, unless it holds text, categories or dates, which would be taken for numbers if they can.

    Lists become arrays.
    """
    X = np.asarray(X) if isinstance(X, (list, tuple)) else X
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        wrong = [c for c, d in zip(X.columns, X.dtypes, strict=True) if _is_text(d, X[c])]
    else:
        wrong = [X.dtype] if isinstance(X, np.ndarray) and _is_text(X.dtype, X) else []
    if wrong:
        raise ValueError(
            "could not convert strings, categories or dates to numbers: encode them first; found "
            f"in X: {', '.join(map(str, wrong))}"
        )
    return X


def holds_text(values: Any) -> bool:
    """Whether an array, list or series holds strings, also as objects."""
    array = np.asarray(values)
    objects = array.flat if array.dtype.kind == "O" else ()
    return array.dtype.kind in "SU" or any(isinstance(value, (str, bytes)) for value in objects)


def _is_text(dtype: Any, values: Any) -> bool:
    """Whether a dtype, of numpy or pandas, is none of numbers; objects are looked at one by one."""
    kind = getattr(dtype, "kind", "")
    if kind == "O" and str(dtype) == "object":
        return holds_text(values)
    return kind != "" and kind in "OSUMmV"


def resolve_image_shape(image_shape: Any, n_features: int) -> tuple[int, ...]:
    """(channels, *spatial) with an entry -1 filled in.

    Raises
    ------
    ValueError
        If it is not a tuple of 2 to 4 positive integers (one may be -1) whose product is the
        number of features.
    """
    sizes = _checked_sizes(image_shape)
    known = prod(s for s in sizes if s != -1)
    if -1 in sizes and n_features % known == 0:
        sizes = tuple(n_features // known if s == -1 else s for s in sizes)
    if prod(sizes) != n_features:
        raise ValueError(
            f"image_shape {tuple(image_shape)} has {abs(prod(sizes))} values, X has {n_features} "
            "features"
        )
    return sizes


def _checked_sizes(image_shape: Any) -> tuple[int, ...]:
    """Integers, at most one of which is -1."""
    told = f"image_shape must be (channels, *spatial) with 1 to 3 spatial axes, got {image_shape!r}"
    if not isinstance(image_shape, (tuple, list)) or not 2 <= len(image_shape) <= 4:
        raise ValueError(told)
    if not all(isinstance(s, Integral) and not isinstance(s, bool) for s in image_shape):
        raise ValueError(told)
    sizes = tuple(int(s) for s in image_shape)
    if sizes.count(-1) > 1 or any(s < 1 for s in sizes if s != -1):
        raise ValueError(f"{told}: entries are positive, at most one is -1")
    return sizes


def check_rows(X: Any, name: str = "X", n_features: int | None = None) -> np.ndarray:
    """X as finite float64 rows; kernels check for themselves since not every caller does."""
    rows = check_array(
        X, dtype=np.float64, input_name=name, ensure_min_samples=0, ensure_min_features=1
    )
    if n_features is not None and rows.shape[1] != n_features:
        raise ValueError(f"{name} has {rows.shape[1]} features, X has {n_features}")
    return rows


def all_or_nothing(fit: Callable[P, R]) -> Callable[P, R]:
    """A `fit` that leaves the estimator as it was where it fails or is interrupted.

    Validation already sets `n_features_in_`: without this, a fit that fails later makes a new
    estimator look fitted, and a fitted one refuse the rows that it was fitted to.
    """

    @functools.wraps(fit)
    def guarded(*args: P.args, **options: P.kwargs) -> R:
        self = args[0]
        before = dict(vars(self))
        try:
            return fit(*args, **options)
        except BaseException:  # KeyboardInterrupt, too
            vars(self).clear()
            vars(self).update(before)
            raise

    return guarded


def parse_budget(memory_budget: int | float | str | None) -> int | None:
    """A budget in bytes from a number of bytes or a string such as "2GB"; None stays None.

    Raises
    ------
    ValueError
        If it is not positive or not understood.
    """
    if memory_budget is None:
        return None
    found = re.fullmatch(rf"\s*({_NUMBER})\s*([KMGT]?B|)\s*", str(memory_budget), re.IGNORECASE)
    if isinstance(memory_budget, bool) or found is None or float(found[1]) <= 0:
        raise ValueError(
            f"memory_budget must be a positive number of bytes or a string like '2GB', got "
            f"{memory_budget!r}"
        )
    return int(float(found[1]) * _UNITS[found[2].upper()])


def working_bytes(memory_budget: int | float | str | None) -> int:
    """A budget in bytes, as in `parse_budget`; scikit-learn's `working_memory` where it is None."""
    budget = parse_budget(memory_budget)
    return int(get_config()["working_memory"] * 2**20) if budget is None else budget
