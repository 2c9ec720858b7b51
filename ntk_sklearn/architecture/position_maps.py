"""Layers that map positions linearly and leave channels alone: one matrix for each spatial axis."""

from __future__ import annotations

from functools import singledispatch
from typing import ClassVar

from .layers import Layer
from .layout import Positions, positions_rule
from .matrices import Matrix
from .shapes import Shape, need_image, shape_rule


class PositionMap(Layer):
    r"""``z_c(i) = sum_j A(i, j) x_c(j)`` for every channel c, with a fixed matrix A of positions.

    Covariances of pairs of positions become ``A K A^T``, and the NTK likewise. What is Gaussian
    stays so, and as dependent on other branches as it was: there are no weights.

    Attributes
    ----------
    picks : bool
        Whether every position behind the layer reads at most one in front of it. Equal positions
        then need no other pairs.
    """

    picks: ClassVar[bool] = False


@singledispatch
def axis_maps(layer: PositionMap, spatial: tuple[int, ...]) -> tuple[Matrix | None, ...]:
    """The matrix (out, in) along each spatial axis; None leaves the axis as it is.

    Raises
    ------
    ShapeError
        If the layer does not fit images of these sizes.
    """
    raise NotImplementedError(f"no map of positions for the layer type {type(layer).__name__}")


@shape_rule.register
def _(layer: PositionMap, shape: Shape, path: str) -> Shape:
    need_image(shape)
    maps = axis_maps(layer, shape.spatial)
    sizes = zip(maps, shape.spatial, strict=True)
    return Shape(shape.channels, tuple(n if A is None else A.shape[0] for A, n in sizes))


@positions_rule.register
def _(layer: PositionMap, after: Positions) -> Positions:
    return after if layer.picks else Positions.ALL
