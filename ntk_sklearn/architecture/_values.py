"""Checks of the numbers that layers hold."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

PADDINGS = ("same", "valid", "circular")


def check_scale(value: Any, name: str) -> None:
    """Raise unless `value` is a finite number >= 0; a tensor put there by `replace` passes."""
    if hasattr(value, "requires_grad"):
        return
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not (math.isfinite(value) and float(value) >= 0):
        raise ValueError(f"{name} must be finite and not negative, got {value!r}")


def as_axes(value: Any, name: str) -> int | tuple[int, ...]:
    """A positive int, or a tuple of them, one per spatial axis."""
    if isinstance(value, (tuple, list)):
        return tuple(_positive(v, name) for v in value)
    return _positive(value, name)


def _positive(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int or a tuple of ints, got {value!r}")
    if int(value) < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}")
    return int(value)


def as_padding(value: Any, name: str) -> Any:
    """One of `PADDINGS`, a pair (low, high), or one pair per spatial axis."""
    if isinstance(value, str) and value in PADDINGS:
        return value
    if isinstance(value, (tuple, list)) and value:
        if _is_pair(value):
            return tuple(map(int, value))
        if all(isinstance(v, (tuple, list)) and _is_pair(v) for v in value):
            return tuple(tuple(map(int, v)) for v in value)
    raise ValueError(
        f"{name} must be one of {PADDINGS}, a pair (low, high) of integers >= 0 or one such pair "
        f"per spatial axis, got {value!r}"
    )


def _is_pair(value: Any) -> bool:
    return len(value) == 2 and all(
        isinstance(v, Integral) and not isinstance(v, bool) and int(v) >= 0 for v in value
    )
