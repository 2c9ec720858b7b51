"""Pooling right in front of a head: weights of pairs of positions instead of a stage of its own.

The mean of a pooled image over positions, or of its pairs of equal positions, is a sum over pairs
of positions in front of the pooling. Their weights are products of one number for each axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from ...architecture import Window
from .program import Matrix, Sizes


def windows_of(window: Window, size: int) -> list[list[tuple[int, int]]]:
    """For every position of an axis, the windows that it lies in: their places, and its taps."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(size)]
    for place, tap in product(range(window.out), range(window.size)):
        position = place * window.stride + tap * window.dilation - window.low
        if window.wrap:
            position %= size * window.spacing
        position, rest = divmod(position, window.spacing)
        if rest == 0 and 0 <= position < size:
            found[position].append((place, tap))
    return found


def shares_of_pairs(
    windows: Sequence[Window], sizes: Sizes, factors: Sequence[Sequence[float]], diagonal: bool
) -> tuple[Matrix, ...]:
    """For every axis, the weights of pairs of positions in a sum over pooled positions.

    Parameters
    ----------
    windows : sequence of Window
    sizes : tuple of int
        In front of the pooling.
    factors : sequence of sequences of float
        For every axis, or for none, what sums over windows are multiplied by at each place.
    diagonal : bool
        Whether the sum runs over pairs of equal places, or over all.
    """
    found = []
    for axis, (window, size) in enumerate(zip(windows, sizes, strict=True)):
        counts = np.zeros((window.out, size))
        for position, places in enumerate(windows_of(window, size)):
            for place, _ in places:
                counts[place, position] += 1.0
        if factors:
            counts *= np.array(factors[axis])[:, None]
        if not diagonal:
            counts = counts.sum(0, keepdims=True)
        found.append(tuple(map(tuple, (counts.T @ counts).tolist())))
    return tuple(found)
