"""Sliding windows along one spatial axis: the arithmetic of filters, strides and padding."""

from __future__ import annotations

from dataclasses import dataclass

from .layers import AvgPool, Axes, Conv, Padding, SumPool


class ShapeError(ValueError):
    """A layer does not fit the shape it is given; the message names the layer."""


@dataclass(frozen=True)
class Window:
    """Along one axis, output position o reads the inputs ``o * stride + a * dilation - low``.

    `wrap` says whether positions outside are wrapped around (circular padding) or zero. The inputs
    are `spacing` apart, with zeros between them.
    """

    size: int
    stride: int
    dilation: int
    low: int
    high: int
    wrap: bool
    out: int
    spacing: int = 1


def windows(layer: Conv | AvgPool | SumPool, spatial: tuple[int, ...]) -> tuple[Window, ...]:
    """The windows of a layer along each of the spatial axes of its input."""
    rank = len(spatial)
    size = per_axis(layer.filter if isinstance(layer, Conv) else layer.window, rank)
    stride = per_axis(layer.strides or 1, rank)
    dilation = per_axis(layer.dilation if isinstance(layer, Conv) else 1, rank)
    return tuple(
        _window(n, size[a], stride[a], dilation[a], axis_padding(layer.padding, a, rank))
        for a, n in enumerate(spatial)
    )


def edge_factors(window: Window, n: int) -> list[float]:
    """For every output position, its window's size over the number of its positions in the image.

    0 where there is none.
    """
    found = []
    for start in range(-window.low, window.out * window.stride - window.low, window.stride):
        taps = range(start, start + window.size * window.dilation, window.dilation)
        inside = window.size if window.wrap else sum(0 <= place < n for place in taps)
        found.append(window.size / inside if inside else 0.0)
    return found


def per_axis(value: Axes, rank: int) -> tuple[int, ...]:
    """One value for each axis."""
    values = (value,) * rank if isinstance(value, int) else value
    if len(values) != rank:
        raise ShapeError(f"{value} has {len(values)} entries, the image has {rank} spatial axes")
    return values


def axis_padding(padding: Padding, axis: int, rank: int) -> str | tuple[int, int]:
    """The padding of one axis, by name or as (low, high)."""
    if isinstance(padding, str):
        return padding
    pairs = (padding,) * rank if isinstance(padding[0], int) else padding
    if len(pairs) != rank:
        raise ShapeError(f"padding {padding} has {len(pairs)} pairs for {rank} spatial axes")
    low, high = pairs[axis]
    return low, high


def _window(
    n: int, size: int, stride: int, dilation: int, padding: str | tuple[int, int]
) -> Window:
    reach = dilation * (size - 1) + 1
    wrap = padding == "circular"
    if not isinstance(padding, str):
        low, high = padding
    elif padding == "valid":
        low, high = 0, 0
    else:
        # ceil(n / stride) positions; the odd pixel of padding goes to the end (XLA's "SAME")
        total = max((-(-n // stride) - 1) * stride + reach - n, 0)
        low, high = total // 2, total - total // 2
    if wrap and max(low, high) > n:
        raise ShapeError(f"circular padding by {max(low, high)} needs at least as many positions")
    if n + low + high < reach:
        raise ShapeError(f"a window reaching over {reach} positions does not fit into {n}")
    out = (n + low + high - reach) // stride + 1
    return Window(size, stride, dilation, low, high, wrap, out)
