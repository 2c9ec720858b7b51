"""Sums over sliding windows of positions, one spatial axis at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from ..architecture import Positions, Window, edge_factors


def convolve(x: Tensor, windows: tuple[Window, ...], positions: Positions) -> Tensor:
    """Sum over the filter: it moves both positions of a pair together, (i, i') + (a, a)."""
    rank = len(windows)
    for axis, window in enumerate(windows):
        row = x.ndim - rank + axis
        axes = (row - rank, row) if positions is Positions.ALL else (row,)
        x = _slide(x, axes, window)
    return x


def pool(x: Tensor, windows: tuple[Window, ...]) -> Tensor:
    """Sum over the windows of both positions of a pair independently (all pairs are needed)."""
    rank = len(windows)
    for axis, window in enumerate(windows):
        row = x.ndim - rank + axis
        x = _slide(_slide(x, (row - rank,), window), (row,), window)
    return x


def without_edges(x: Tensor, windows: tuple[Window, ...], sizes: tuple[int, ...]) -> Tensor:
    """Means over windows in an image of these sizes, made means over their positions inside."""
    rank = len(windows)
    for axis, (window, n) in enumerate(zip(windows, sizes, strict=True)):
        factors = torch.tensor(edge_factors(window, n), dtype=x.dtype, device=x.device)
        for behind in (rank - 1 - axis, 2 * rank - 1 - axis):
            x = x * factors.reshape(-1, *(1,) * behind)
    return x


def _slide(x: Tensor, axes: tuple[int, ...], window: Window) -> Tensor:
    for axis in axes:
        x = _padded(x, axis, window)
    span = (window.out - 1) * window.stride + 1
    total: Tensor | None = None
    for tap in range(window.size):
        start = tap * window.dilation
        part = x
        for axis in axes:
            part = part.narrow(axis, start, span)
            if window.stride > 1:
                part = _every(part, axis, window.stride)
        total = part if total is None else total + part
    assert total is not None
    return total


def _every(x: Tensor, axis: int, stride: int) -> Tensor:
    index = [slice(None)] * x.ndim
    index[axis] = slice(None, None, stride)
    return x[tuple(index)]


def _padded(x: Tensor, axis: int, window: Window) -> Tensor:
    x = spaced(x, axis, window)
    if not (window.low or window.high):
        return x
    n = x.shape[axis]
    if window.wrap:
        ends = (x.narrow(axis, n - window.low, window.low), x.narrow(axis, 0, window.high))
        return torch.cat((ends[0], x, ends[1]), dim=axis)
    behind = x.ndim - 1 - axis
    return torch.nn.functional.pad(x, (0, 0) * behind + (window.low, window.high))


def spaced(x: Tensor, axis: int, window: Window) -> Tensor:
    """Positions along an axis with zeros between them, and behind the last one of a circle."""
    if window.spacing == 1:
        return x
    n, spacing = x.shape[axis], window.spacing
    behind = x.ndim - 1 - axis
    room = torch.nn.functional.pad(x.unsqueeze(axis + 1), (0, 0) * behind + (0, spacing - 1))
    size = n * spacing if window.wrap else (n - 1) * spacing + 1
    return room.flatten(axis, axis + 1).narrow(axis, 0, size)
