"""Docstrings with shared parts: written once, told by every class they belong to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T", bound=type)


def documented(**parts: str) -> Callable[[T], T]:
    """Put texts in place of ``{name}`` in the docstring of a class."""

    def fill(cls: T) -> T:
        for name, text in parts.items():
            cls.__doc__ = (cls.__doc__ or "").replace("{" + name + "}", text)
        return cls

    return fill
