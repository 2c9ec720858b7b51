"""Which pairs of positions a network needs: the spatial layout of its covariances."""

from __future__ import annotations

from enum import IntEnum
from functools import singledispatch

from .layers import AvgPool, Concat, GlobalAvgPool, GlobalSumPool, Layer, Serial, Sum, SumPool


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
    return _demand(network, Positions.SAME)


@singledispatch
def _demand(layer: Layer, after: Positions) -> Positions:
    return after


@_demand.register(AvgPool)
@_demand.register(SumPool)
@_demand.register(GlobalAvgPool)
@_demand.register(GlobalSumPool)
def _(layer: Layer, after: Positions) -> Positions:
    return Positions.ALL


@_demand.register
def _(layer: Serial, after: Positions) -> Positions:
    for child in reversed(layer.layers):
        after = _demand(child, after)
    return after


@_demand.register(Sum)
@_demand.register(Concat)
def _(layer: Sum | Concat, after: Positions) -> Positions:
    return max(_demand(branch, after) for branch in layer.branches)
