"""Checks of the arrays and names that Displays are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._validation import detached

# Of a default name: longer ones are numbered instead.
_LONGEST = 44


def as_numbers(
    values: Any, name: str, ndim: int, *, like: tuple[int, ...] = (), finite: bool = True
) -> np.ndarray:
    """Values as a float64 array of `ndim` axes, the last of them as long as `like` says.

    Raises
    ------
    ValueError
        For text, other shapes, nothing at all, or numbers that are not finite.
    """
    try:
        found = np.asarray(detached(values, name), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from error
    if found.ndim != ndim or found.size == 0:
        raise ValueError(f"{name} must have {ndim} axes and entries, got the shape {found.shape}")
    if like and found.shape[-len(like) :] != like:
        raise ValueError(f"{name} must end in the shape {like}, got the shape {found.shape}")
    if finite and not np.isfinite(found).all():
        raise ValueError(f"{name} has entries that are not finite")
    return found


def as_curves(values: Any, name: str, n_points: int, *, finite: bool = True) -> np.ndarray:
    """One curve (n_points,) or several, as (n_curves, n_points)."""
    array = np.asarray(detached(values, name))
    ndim = 1 if array.ndim == 1 else 2
    found = as_numbers(array, name, ndim, like=(n_points,), finite=finite)
    return found.reshape(-1, n_points)


def as_labels(labels: Any, n: int) -> list[str | None]:
    """Names of n curves; a string is that of one.

    Raises
    ------
    ValueError
        For another number of names.
    """
    if labels is None:
        return [None] * n
    found = [labels] if isinstance(labels, str) else list(labels)
    if len(found) != n:
        raise ValueError(f"labels must be {n} names, one for every curve, got {labels!r}")
    return [None if label is None else str(label) for label in found]


def named(things: Any, what: str) -> dict[str | None, Any]:
    """Things by their names: a mapping as it is, a sequence, or one that needs none."""
    if isinstance(things, Mapping):
        found: dict[str | None, Any] = {str(name): thing for name, thing in things.items()}
    elif isinstance(things, (list, tuple)):
        texts = [" ".join(repr(thing).split()) for thing in things]
        names = [
            text if len(text) <= _LONGEST and texts.count(text) == 1 else f"{what} {i + 1}"
            for i, text in enumerate(texts)
        ]
        found = dict(zip(names, things, strict=True))
    else:
        return {None: things}
    if not found:
        raise ValueError(f"there is no {what} to show")
    return found


def check_choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    """`value`, if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")
    return str(value)
