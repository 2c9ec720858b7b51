"""Images of other sizes: interpolation and slices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

from ._values import as_axes
from .layers import Axes
from .matrices import Matrix, as_matrix
from .position_maps import PositionMap, axis_maps
from .windows import ShapeError, per_axis

METHODS = ("nearest", "linear")
Range = tuple[int | None, int | None, int | None]


@dataclass(frozen=True, repr=False)
class Resize(PositionMap):
    r"""Interpolation of images to other sizes, in 1, 2 or 3 spatial dimensions.

    Positions are centres of pixels: along an axis of n positions resized to m, position i reads
    around ``(i + 1/2) n / m - 1/2``. No weights; covariances become ``A K A^T``.

    Parameters
    ----------
    sizes : int or tuple of int
        Positions along every axis, or along each of them.
    method : {"nearest", "linear"}
        "nearest" copies the pixel that the centre falls into. "linear" weights pixels by a triangle
        around the centre, normalized within the image (constant images stay constant).
    antialias : bool
        With "linear", whether the triangle is n / m times as wide where images shrink, so that
        every pixel counts; else two pixels are read. No matter where images grow.

    Raises
    ------
    TypeError, ValueError
        For sizes that are not integers >= 1, or an unknown method.

    Notes
    -----
    The conventions are those of ``jax.image.resize``; of ``torch.nn.functional.interpolate`` those
    of "nearest-exact" and, with ``align_corners=False``, of "linear", "bilinear" and "trilinear"
    (there, antialiasing is off by default).

    References
    ----------
    Novak et al., "Neural tangents", 2020 (``ImageResize``).
    """

    sizes: Axes
    method: str = "nearest"
    antialias: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", as_axes(self.sizes, "Resize.sizes"))
        if self.method not in METHODS:
            raise ValueError(f"Resize.method must be one of {METHODS}, got {self.method!r}")
        if not isinstance(self.antialias, bool):
            raise TypeError(f"Resize.antialias must be True or False, got {self.antialias!r}")

    @property
    def picks(self) -> bool:  # type: ignore[override]
        """Whether single pixels are copied."""
        return self.method == "nearest"


@axis_maps.register
def _(layer: Resize, spatial: tuple[int, ...]) -> tuple[Matrix | None, ...]:
    sizes = per_axis(layer.sizes, len(spatial))
    return tuple(
        None if n == m else _interpolation(layer, n, m) for n, m in zip(spatial, sizes, strict=True)
    )


def _interpolation(layer: Resize, n: int, m: int) -> Matrix:
    """The matrix (m, n) from n positions to m."""
    if layer.method == "nearest":
        return _selection([(2 * i + 1) * n // (2 * m) for i in range(m)], n)
    width = max(n / m, 1.0) if layer.antialias else 1.0
    centres = ((2 * i + 1) * n / (2 * m) - 0.5 for i in range(m))
    return as_matrix([list(_triangle(centre, width, n)) for centre in centres], "Resize")


def _triangle(centre: float, width: float, n: int) -> Iterator[float]:
    """Weights of n pixels, of sum 1."""
    weights = [max(0.0, 1.0 - abs(centre - j) / width) for j in range(n)]
    total = sum(weights)
    return (weight / total for weight in weights)


def _selection(kept: list[int], n: int) -> Matrix:
    """The matrix that reads the positions `kept` out of n."""
    return as_matrix([[float(j == i) for j in range(n)] for i in kept], "a selection")


@dataclass(frozen=True, repr=False, init=False)
class Slice(PositionMap):
    """Some of the positions, as Python slices choose them along each spatial axis.

    ``Slice(slice(1, -1), slice(None, None, 2))`` leaves out the border of the first axis and every
    other position of the second; negative steps reverse. ``Slice(slice(0, 1))`` is the first
    position alone (as of a class token), which `Flatten` then makes the whole signal.

    Parameters
    ----------
    *ranges : slice or tuple of int or None
        One for each spatial axis: a slice, or its (start, stop) or (start, stop, step).

    Raises
    ------
    TypeError, ValueError
        For anything else, or a step of 0.

    References
    ----------
    Novak et al., "Neural tangents", 2020 (``Index``).
    """

    picks: ClassVar[bool] = True
    ranges: tuple[Range, ...]

    def __init__(self, *ranges: slice | tuple[int | None, ...]) -> None:
        object.__setattr__(self, "ranges", tuple(map(_as_range, ranges)))

    def __repr__(self) -> str:
        return f"Slice({', '.join(map(repr, self.ranges))})"


def _as_range(value: Any) -> Range:
    if isinstance(value, slice):
        value = (value.start, value.stop, value.step)
    good = isinstance(value, tuple) and len(value) in (2, 3)
    if not good or not all(v is None or _is_int(v) for v in value):
        raise TypeError(
            "Slice takes one slice for each spatial axis, or a tuple (start, stop, step) of "
            f"integers and None, got {value!r}"
        )
    start, stop, step = (None if v is None else int(v) for v in (*value, None)[:3])
    if step == 0:
        raise ValueError("the step of a slice must not be 0")
    return start, stop, step


def _is_int(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


@axis_maps.register
def _(layer: Slice, spatial: tuple[int, ...]) -> tuple[Matrix | None, ...]:
    if len(layer.ranges) != len(spatial):
        raise ShapeError(f"{len(layer.ranges)} slices for {len(spatial)} spatial axes")
    kept = [list(range(n))[slice(*r)] for n, r in zip(spatial, layer.ranges, strict=True)]
    if not all(kept):
        raise ShapeError(f"it leaves no positions of {spatial}")
    chosen = zip(kept, spatial, strict=True)
    return tuple(None if k == list(range(n)) else _selection(k, n) for k, n in chosen)
