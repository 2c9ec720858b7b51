"""Which pairs of positions a network needs: the spatial layout of its covariances."""

from __future__ import annotations

from enum import IntEnum
from functools import singledispatch

from .layers import AvgPool, GlobalAvgPool, GlobalSumPool, Layer, Serial, SumPool


class Positions(IntEnum):
    """Pairs of positions that are kept: none, equal positions, or all pairs."""

    NONE = 0
    SAME = 1
    ALL = 2


def demanded_positions(network: Layer) -> Positions:
    """Pairs of positions that the network demands of the covariance of its input images.

    Convolutions and activations relate only pairs with one displacement, so a network that ends
    in Flatten needs equal positions only; pooling mixes positions and needs all pairs.
    """
    return positions_rule(network, Positions.SAME)


@singledispatch
def positions_rule(layer: Layer, after: Positions) -> Positions:
    """Pairs demanded in front of a layer for those demanded behind it: one rule per layer type.

    Of branches all that any of them demands; other layers without a rule ask for no more.
    """
    branches: tuple[Layer, ...] = getattr(layer, "branches", ())
    return max((positions_rule(branch, after) for branch in branches), default=after)


@positions_rule.register(AvgPool)
@positions_rule.register(SumPool)
@positions_rule.register(GlobalAvgPool)
@positions_rule.register(GlobalSumPool)
def _(layer: Layer, after: Positions) -> Positions:
    return Positions.ALL


@positions_rule.register
def _(layer: Serial, after: Positions) -> Positions:
    for child in reversed(layer.layers):
        after = positions_rule(child, after)
    return after
