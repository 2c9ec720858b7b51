"""The caller's array for a matrix: whether it will do, and whether it takes memory."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from .._validation import detached


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype, **inputs: Any) -> np.ndarray:
    """The array that a matrix is to be written into.

    Parameters
    ----------
    out : object
    shape, dtype
        What it must have.
    **inputs
        Rows by name, whose memory must not be written into.

    Raises
    ------
    TypeError
        If it is no numpy array.
    ValueError
        If it has another shape or precision, cannot be written into, or overlaps an input.
    """
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy array or memmap, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out must have the shape of the matrix, {shape}, got {out.shape}")
    if out.dtype != dtype:
        raise ValueError(
            f"out must have the kernel's precision, dtype={dtype.name!r}, got {out.dtype!s}: make "
            "an array of it, or give the kernel another dtype"
        )
    if not out.flags.writeable:
        raise ValueError("out must be writeable: open a memmap with mode='r+', or pass a copy")
    for name, values in inputs.items():
        if _overlaps(out, values):
            raise ValueError(f"out overlaps the memory of {name}: pass another array, or a copy")
    return out


def _overlaps(out: np.ndarray, values: Any) -> bool:
    return values is not None and np.shares_memory(out, np.asarray(detached(values)))


def is_file(array: Any) -> bool:
    """Whether what is written into an array goes to a file, and so takes no memory for good."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and array.mode == "c":
            return False  # changes stay in memory
        array = array.base
    return isinstance(array, mmap.mmap)
