"""Checks of the numbers that a study runs over."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def check_widths(widths: Sequence[int]) -> np.ndarray:
    """The widths as an ascending array of integers.

    Raises
    ------
    ValueError
        Unless they are positive integers, ascending.
    """
    found = list(widths)
    whole = all(isinstance(w, Integral) and not isinstance(w, bool) and w > 0 for w in found)
    if not found or not whole or sorted(set(found)) != found:
        raise ValueError(f"widths must be positive integers in ascending order, got {widths!r}")
    return np.array(found, dtype=np.int64)


def check_count(value: Any, name: str) -> int:
    """`value`, if it is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return int(value)


def check_steps(steps: Sequence[int]) -> np.ndarray:
    """Numbers of steps as an ascending array of integers.

    Raises
    ------
    ValueError
        Unless they are integers >= 0, ascending.
    """
    found = list(steps)
    whole = all(isinstance(s, Integral) and not isinstance(s, bool) and s >= 0 for s in found)
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
    found = np.asarray(y, dtype=np.float64)
    if found.ndim not in (1, 2) or not np.isfinite(found).all():
        raise ValueError(f"y must be finite numbers (n,) or (n, k), got shape {found.shape}")
    return found.reshape(len(found), -1)
