"""Motions of an image that a network's kernels do not notice when both inputs are moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch

from ._paths import at, join
from .layers import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Layer,
    Serial,
    Sum,
    SumPool,
)
from .normalization import Dropout, LayerNorm
from .product import Product
from .shapes import Shape
from .windows import Window, windows


@dataclass(frozen=True)
class Motion:
    """A reflection, or a circular shift, of the positions of an image; neither of flat rows.

    Attributes
    ----------
    spatial : tuple of int
        Sizes of the spatial axes, () for flat rows.
    reflected : tuple of bool
        Whether positions i of an axis move to n - 1 - i.
    shifts : tuple of int
        By how many positions an axis is shifted, 0 for not at all.
    """

    spatial: tuple[int, ...] = ()
    reflected: tuple[bool, ...] = ()
    shifts: tuple[int, ...] = ()


class _AsymmetricError(ValueError):
    """What distinguishes an image from its moved copy."""


def asymmetry(network: Layer, shape: Shape, motion: Motion) -> str | None:
    """Why K(gx, gz) = K(x, z) is not known to hold for a motion g; None where it does hold.

    Kernels of flat rows depend on inner products alone, so that every permutation of the features
    keeps them. For images the weights of a convolution have to see the moved image as the image
    itself, in another order: every layer's windows must fall on windows.

    Parameters
    ----------
    network : Layer
    shape : Shape
        Of the inputs.
    motion : Motion
        Of images of this shape; ``Motion()`` stands for any permutation of flat rows.
    """
    if shape.spatial != motion.spatial:
        return "the permutation is not known to move positions of the image"
    try:
        symmetry_rule(network, motion, "")
    except _AsymmetricError as error:
        return str(error)
    return None


@singledispatch
def symmetry_rule(layer: Layer, motion: Motion, path: str) -> Motion:
    """The motion behind a layer, for one in front of it: one rule per layer type."""
    raise _AsymmetricError(f"{at(path)}: nothing is known of {type(layer).__name__}")


@symmetry_rule.register(Activation)
@symmetry_rule.register(Dense)
@symmetry_rule.register(Dropout)
@symmetry_rule.register(Identity)
@symmetry_rule.register(LayerNorm)
def _(layer: Layer, motion: Motion, path: str) -> Motion:
    return motion


@symmetry_rule.register(Flatten)
@symmetry_rule.register(GlobalAvgPool)
@symmetry_rule.register(GlobalSumPool)
def _(layer: Layer, motion: Motion, path: str) -> Motion:
    return Motion()  # means over positions, or over equal pairs of them, forget their order


@symmetry_rule.register(Conv)
@symmetry_rule.register(AvgPool)
@symmetry_rule.register(SumPool)
def _(layer: Conv | AvgPool | SumPool, motion: Motion, path: str) -> Motion:
    seen = windows(layer, motion.spatial)
    for window, n, reflected in zip(seen, motion.spatial, motion.reflected, strict=True):
        if reflected and not _reflects(window, n):
            raise _AsymmetricError(
                f"{at(path)}: {type(layer).__name__} treats the ends of {n} positions differently"
            )
    for window, n, shift in zip(seen, motion.spatial, motion.shifts, strict=True):
        if shift and not _shifts(window, n, shift):
            raise _AsymmetricError(
                f"{at(path)}: {type(layer).__name__} on {n} positions does not move with an image "
                f"that is moved by {shift}"
            )
    shifts = tuple(shift // w.stride for shift, w in zip(motion.shifts, seen, strict=True))
    return replace(motion, spatial=tuple(w.out for w in seen), shifts=shifts)


def _reflects(window: Window, n: int) -> bool:
    """Whether windows mirrored are windows: as much is left over, or padded, at both ends."""
    reach = window.dilation * (window.size - 1) + 1
    excess = n + 2 * window.low - ((window.out - 1) * window.stride + reach)
    return excess % n == 0 if window.wrap else excess == 0


def _shifts(window: Window, n: int, shift: int) -> bool:
    """Whether windows shifted circularly are windows."""
    reach = window.dilation * (window.size - 1) + 1
    whole = reach <= window.stride and not (window.low or window.high)
    divided = n % window.stride == 0 and shift % window.stride == 0
    return divided and (window.wrap or whole) and window.out == n // window.stride


@symmetry_rule.register
def _(layer: Serial, motion: Motion, path: str) -> Motion:
    for k, child in enumerate(layer.layers):
        motion = symmetry_rule(child, motion, join(path, f"layers.{k}"))
    return motion


@symmetry_rule.register(Concat)
@symmetry_rule.register(Product)
@symmetry_rule.register(Sum)
def _(layer: Concat | Product | Sum, motion: Motion, path: str) -> Motion:
    ends = {
        symmetry_rule(branch, motion, join(path, f"branches.{k}"))
        for k, branch in enumerate(layer.branches)
    }
    if len(ends) > 1:
        raise _AsymmetricError(
            f"{at(path)}: the branches of {type(layer).__name__} move differently"
        )
    return ends.pop()
