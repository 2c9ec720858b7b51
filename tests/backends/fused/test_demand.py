"""Displacements that are computed: no more than heads, strides, pooling and variances ask for."""

from __future__ import annotations

from itertools import product

import pytest
from fused_cases import CIRCULAR, RELU, block, conv, skip

from ntk_sklearn.architecture import (
    AvgPool,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    LocalAvgPool,
    Serial,
    Sum,
    SumPool,
)
from ntk_sklearn.backends.fused.demand import demanded
from ntk_sklearn.backends.fused.lowering import lower
from ntk_sklearn.networks import Convolutional, Myrtle, ResNet


def upto(n: int, step: int = 1) -> tuple[int, ...]:
    """Multiples of a step up to n on both sides."""
    return tuple(range(-n + n % step, n + 1, step))


def along(
    *layers: Layer, size: int = 16, variances: bool = False, heads: tuple[int, ...] = (0,)
) -> list[tuple[int, ...]]:
    """Displacements of every stage of a network on a line."""
    program = lower([Serial(*layers)], (size,))
    return [axes[1] for axes in demanded(program, heads, variances)]


HALF = conv(strides=2)


@pytest.mark.parametrize(
    "layers, stages",
    [
        ([block(), block(), Flatten()], [(0,)]),
        ([block(), block(), GlobalAvgPool()], [upto(15)]),
        ([HALF, RELU, HALF, Flatten()], [(0,)]),
        ([HALF, RELU, HALF, GlobalAvgPool()], [upto(12, 4)]),
        ([conv(strides=3), GlobalAvgPool()], [upto(15, 3)]),
        ([block(padding="valid"), block(5, padding="valid"), GlobalAvgPool()], [upto(9)]),
        ([conv(1, padding=(2, 2)), GlobalAvgPool()], [upto(19)]),
        ([block(), AvgPool(2), block(), GlobalAvgPool()], [upto(15), upto(7)]),
        ([block(), AvgPool(2), block(), Flatten()], [(-1, 0, 1), (0,)]),
        ([block(), SumPool(3, 2), block(), Flatten()], [upto(2), (0,)]),
        ([block(), AvgPool(2), AvgPool(2), conv(), Flatten()], [upto(3), upto(1), (0,)]),
        ([block(), AvgPool(2), HALF, RELU, Flatten()], [upto(1), (0,)]),
        ([HALF, AvgPool(2), conv(1), Flatten()], [(-2, 0, 2), (0,)]),
        ([block(), AvgPool(2, 4), conv(1), GlobalAvgPool()],
         [tuple(sorted(4 * d + k for d in range(-3, 4) for k in (-1, 0, 1))), upto(3)]),
        # pooling in front of a head is one of its weights
        ([HALF, AvgPool(2), Flatten()], [(-2, 0, 2)]),
        ([block(), AvgPool(2, 4), GlobalAvgPool()],
         [tuple(sorted(4 * d + k for d in range(-3, 4) for k in (-1, 0, 1)))]),
        ([block(), LocalAvgPool(2), Flatten()], [upto(4)]),
        ([block(), LocalAvgPool(20), Flatten()], [upto(15)]),
        ([block(), ConvTranspose(3, strides=3), conv(), Flatten()], [(0,), (0,)]),
        ([block(), ConvTranspose(3, strides=3), conv(), GlobalAvgPool()], [upto(15), upto(47)]),
        ([block(), AvgPool(2, padding="same"), ConvTranspose(2, strides=3), conv(strides=6),
          GlobalAvgPool()],
         [tuple(sorted(4 * d + k for d in range(-3, 4) for k in (-1, 0, 1))),
          upto(6, 2), upto(18, 6)]),
        ([block(**CIRCULAR), GlobalAvgPool()], [tuple(range(16))]),
        ([block(**CIRCULAR), Flatten()], [(0,)]),
        ([conv(strides=4, **CIRCULAR), Flatten()], [(0,), (0,)]),
        ([conv(strides=4, **CIRCULAR), GlobalAvgPool()], [upto(12, 4), upto(3)]),
    ],
)  # fmt: skip
def test_pairs(layers, stages):
    assert along(*layers) == stages


def test_branches_are_united():
    found = along(conv(), Sum(Serial(RELU, HALF), AvgPool(2)), RELU, Flatten())
    assert sorted(found) == sorted([upto(1), (0,), (0,)])


def test_strides_of_circular_planes_that_do_not_divide():
    """Places 2 apart come to lie 3 apart around the corner."""
    found = along(conv(strides=2, **CIRCULAR), GlobalAvgPool(), size=5)
    assert found == [upto(4), upto(2)]


DENSE = (Dense(), RELU, Dense())


@pytest.mark.parametrize(
    "layers, heads, stages",
    [
        ([block(), block(), GlobalAvgPool()], (), [(0,)]),
        ([conv(), GlobalAvgPool()], (), [()]),
        ([conv(), AvgPool(2), conv(), GlobalAvgPool()], (), [(), ()]),
        ([block(), AvgPool(2), conv(), GlobalAvgPool()], (), [(0,), ()]),
        ([block(), AvgPool(2), block(), GlobalAvgPool()], (), [upto(1), (0,)]),
        ([block(), SumPool(3, 1), block(), GlobalAvgPool()], (), [upto(2), (0,)]),
        ([block(), AvgPool(2), HALF, RELU, GlobalAvgPool()], (), [upto(1), (0,)]),
        ([HALF, AvgPool(2), block(), GlobalAvgPool()], (), [(-2, 0, 2), (0,)]),
        ([block(), AvgPool(2), block(), AvgPool(2), block(), Flatten()], (),
         [upto(3), upto(1), (0,)]),
        ([block(), GlobalAvgPool(), *DENSE], (0,), [upto(15)]),
        ([block(), AvgPool(4), conv(), GlobalAvgPool(), *DENSE], (0,), [upto(15), upto(3)]),
        ([block(), Flatten(), *DENSE], (0,), [(0,)]),
        ([block(**CIRCULAR), AvgPool(2), block(), Flatten()], (), [(0, 1, 15), (0,)]),
    ],
)  # fmt: skip
def test_variances(layers, heads, stages):
    assert along(*layers, variances=True, heads=heads) == stages


def test_axes_are_apart():
    program = lower([Serial(block(strides=(2, 1)), AvgPool((1, 3)), conv(), Flatten())], (8, 9))
    assert demanded(program, (0,), False) == [((0,), upto(2)), ((0,), (0,))]


def activated(network: Layer, spatial: tuple[int, ...]) -> int:
    """Entries that activations compute for one pair of images, by a loop over planes."""
    program = lower([network], spatial)
    total = 0
    wanted = demanded(program, range(len(program.heads)), False)
    for stage, axes in zip(program.stages, wanted, strict=True):
        registers = [
            stage.registers[o.source] for o in stage.operations if o.activation is not None
        ]
        for plane, register in product(product(*axes), registers):
            at = list(zip(plane, register.strides, register.sizes, strict=True))
            if all(d % stride == 0 for d, stride, _ in at):
                gone = [0 if stage.wrapped else abs(d // stride) for d, stride, _ in at]
                (h, w) = (max(0, n - g) for (_, _, n), g in zip(at, gone, strict=True))
                total += h * w
    return total


LARGE = 32 * 32


@pytest.mark.parametrize(
    "network, side, count",
    [
        (Convolutional(), 8, 5 * 64**2),
        (Convolutional(), 16, 5 * 256**2),
        (Convolutional(padding="circular"), 16, 5 * 256**2),
        (Convolutional(head="flatten"), 32, 5 * LARGE),
        (Myrtle(5), 32, 2 * LARGE**2 + 256**2 + 64**2),
        (Myrtle(10), 32, 3 * (LARGE**2 + 256**2 + 64**2)),
        (ResNet((4,)), 16, 9 * 256**2),
        (ResNet((2, 2, 2)), 32, 5 * 256**2 + 4 * 128**2 + 4 * 64**2),
    ],
)
def test_entries(network, side, count):
    assert activated(network.build(), (side, side)) == count


def test_published_counts():
    """3.4e6, 5.9e5 and 4.1e5 entries per pair."""
    networks = ((Myrtle(10), 32), (ResNet((4,)), 16), (ResNet((2, 2, 2)), 32))
    counts = [activated(network.build(), (side, side)) for network, side in networks]
    assert counts == pytest.approx([3.4e6, 5.9e5, 4.1e5], rel=0.02)


def test_a_shortcut_with_strides_asks_for_no_more():
    """Projections read what the branches read."""
    plain = Serial(conv(), RELU, HALF, RELU, conv(), GlobalAvgPool())
    projected = Serial(
        conv(), skip(HALF, RELU, conv(), shortcut=Conv(1, strides=2)), GlobalAvgPool()
    )
    (one,), (other,) = (
        demanded(lower([network], (12, 12)), (0,), False) for network in (plain, projected)
    )
    assert one == other == (upto(10, 2), upto(10, 2))
