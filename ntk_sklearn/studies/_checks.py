"""Checks of the numbers that a study runs over."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor


def check_widths(widths: Sequence[int]) -> np.ndarray:
    """The widths as an ascending array of integers.

    Raises
    ------
    ValueError
        Unless they are positive integers, ascending.
    """
    found = _listed(widths, "widths")
    whole = all(isinstance(w, Integral) and not isinstance(w, bool) and int(w) > 0 for w in found)
    if not found or not whole or sorted(set(found)) != found:
        raise ValueError(f"widths must be positive integers in ascending order, got {widths!r}")
    return np.array(found, dtype=np.int64)


def check_count(value: Any, name: str, least: int = 1) -> int:
    """`value`, if it is a positive integer, or one that is at least the `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        kind = "a positive integer" if least == 1 else f"an integer >= {least}"
        raise ValueError(f"{name} must be {kind}, got {value!r}")
    return int(value)


def check_positive(value: Any, name: str) -> float:
    """`value`, if it is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < np.inf:
        raise ValueError(f"{name} must be a finite number > 0, got {value!r}")
    return float(value)


def check_steps(steps: Sequence[int]) -> np.ndarray:
    """Numbers of steps as an ascending array of integers.

    Raises
    ------
    ValueError
        Unless they are integers >= 0, ascending.
    """
    found = _listed(steps, "steps")
    whole = all(isinstance(s, Integral) and not isinstance(s, bool) and int(s) >= 0 for s in found)
    if not found or not whole or sorted(set(found)) != found:
        raise ValueError(f"steps must be integers >= 0 in ascending order, got {steps!r}")
    return np.array(found, dtype=np.int64)


def check_targets(y: ArrayLike) -> np.ndarray:
    """Targets (n, k) of float64.

    Raises
    ------
    ValueError
        Unless they are finite numbers (n,) or (n, k).
    """
    found = as_targets(y).double().cpu().numpy()
    if found.ndim not in (1, 2) or not np.isfinite(found).all():
        raise ValueError(f"y must be finite numbers (n,) or (n, k), got shape {found.shape}")
    return found.reshape(len(found), -1)


def as_targets(y: Any) -> Tensor:
    """Targets of any shape as a tensor.

    Raises
    ------
    ValueError
        Unless they are finite numbers.
    """
    found = y.detach() if isinstance(y, Tensor) else np.asarray(y)
    if isinstance(found, np.ndarray):
        if found.dtype.kind not in "biuf":
            raise ValueError(f"y must be numbers, got an array of {found.dtype}")
        found = torch.from_numpy(np.array(found))
    if not bool(torch.isfinite(found).all()):
        raise ValueError("y must be finite numbers: leave out the rows without targets")
    return found


def _listed(values: Any, name: str) -> list[Any]:
    try:
        return list(values)
    except TypeError:
        raise ValueError(f"{name} must be a sequence of integers, got {values!r}") from None
