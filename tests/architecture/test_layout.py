"""Pairs of positions that networks need."""

from __future__ import annotations

import pytest

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Positions,
    Serial,
    SumPool,
    demanded_positions,
    residual,
)

HIDDEN = (Conv(), Activation())


@pytest.mark.parametrize(
    "network",
    [
        Dense(),
        Serial(*HIDDEN, *HIDDEN, Flatten(), Dense()),
        Serial(*HIDDEN, residual(Serial(Activation(), Conv())), Flatten(), Dense()),
    ],
)
def test_equal_positions_suffice_without_pooling(network):
    assert demanded_positions(network) is Positions.SAME


@pytest.mark.parametrize("pooling", [GlobalAvgPool(), GlobalSumPool(), AvgPool(2), SumPool(2)])
@pytest.mark.parametrize(
    "around",
    [
        lambda p: p,
        lambda p: Serial(*HIDDEN, p, Flatten(), Dense()),
        lambda p: Serial(*HIDDEN, Serial(p), *HIDDEN, Flatten()),
        lambda p: Serial(Conv(), residual(Serial(*HIDDEN[::-1], p))),
        lambda p: Serial(Conv(), Concat(Conv(), p)),
    ],
)
def test_pooling_needs_all_pairs(pooling, around):
    assert demanded_positions(around(pooling)) is Positions.ALL
