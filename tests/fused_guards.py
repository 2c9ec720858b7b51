"""Arrays around which nothing may be read or written, for compiled code that checks no bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_MARGIN = 4096  # numbers on either side, a multiple of every vector


class Guarded:
    """A compiled function whose arrays lie between numbers that it must neither use nor change.

    What is read there is not a number, or an index far outside; compiled code that uses it gives
    other results, or dies.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        self.n_calls = 0

    def __call__(self, *arguments: Any) -> None:
        pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._function(*(_guarded(argument, pairs) for argument in arguments))
        for original, inside, frame in pairs:
            size = inside.size
            for margin in (frame[:_MARGIN], frame[_MARGIN + size :]):
                assert (margin.view(np.uint8) == _filling(frame.dtype).view(np.uint8)).all()
            if original.flags.writeable:
                original[...] = inside
        self.n_calls += 1


def _filling(dtype: np.dtype) -> np.ndarray:
    value = np.nan if dtype.kind == "f" else min(2**40, np.iinfo(dtype).max)
    return np.full(_MARGIN, value, dtype=dtype)


def _guarded(argument: Any, pairs: list) -> Any:
    if isinstance(argument, np.ndarray):
        margin = _filling(argument.dtype)
        frame = np.concatenate([margin, argument.reshape(-1), margin])
        inside = frame[_MARGIN : _MARGIN + argument.size].reshape(argument.shape)
        inside.flags.writeable = argument.flags.writeable
        pairs.append((argument, inside, frame))
        return inside
    if isinstance(argument, tuple) and hasattr(argument, "_fields"):
        return type(argument)(*(_guarded(value, pairs) for value in argument))
    return argument
