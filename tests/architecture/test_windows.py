"""Which positions a window reads."""

from __future__ import annotations

import math

import pytest

from ntk_sklearn.architecture import AvgPool, Conv, Window, windows


def reads(window: Window, n: int) -> list[list[int]]:
    """Input positions of every output position, those outside of 0 ... n - 1 included."""
    return [
        [o * window.stride + a * window.dilation - window.low for a in range(window.size)]
        for o in range(window.out)
    ]


@pytest.mark.parametrize(
    "layer, n, expected",
    [
        (Conv(3), 4, [[-1, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]),
        # the odd position of padding goes to the end
        (Conv(2), 3, [[0, 1], [1, 2], [2, 3]]),
        (Conv(4), 3, [[-1, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4]]),
        (Conv(3, strides=2), 4, [[0, 1, 2], [2, 3, 4]]),
        (Conv(3, strides=2), 5, [[-1, 0, 1], [1, 2, 3], [3, 4, 5]]),
        (Conv(1, strides=3), 7, [[0], [3], [6]]),
        (Conv(2, strides=3), 7, [[0, 1], [3, 4], [6, 7]]),
        (Conv(3, dilation=2), 4, [[-2, 0, 2], [-1, 1, 3], [0, 2, 4], [1, 3, 5]]),
        (Conv(3, padding="valid"), 5, [[0, 1, 2], [1, 2, 3], [2, 3, 4]]),
        (Conv(2, strides=2, padding="valid"), 5, [[0, 1], [2, 3]]),
        (Conv(3, strides=2, padding=(1, 1)), 4, [[-1, 0, 1], [1, 2, 3]]),
        (Conv(2, padding=(2, 0)), 2, [[-2, -1], [-1, 0], [0, 1]]),
        (AvgPool(2), 5, [[0, 1], [2, 3]]),
        (AvgPool(3, 2, "same"), 4, [[0, 1, 2], [2, 3, 4]]),
    ],
)
def test_positions(layer, n, expected):
    (window,) = windows(layer, (n,))
    assert reads(window, n) == expected
    assert not window.wrap


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding(n, size, stride, dilation):
    (window,) = windows(Conv(size, strides=stride, dilation=dilation), (n,))
    assert window.out == math.ceil(n / stride)
    reach = dilation * (size - 1) + 1
    assert window.low + window.high == max((window.out - 1) * stride + reach - n, 0)
    assert window.high - window.low in (0, 1)
    last = reads(window, n)[-1][-1]
    assert last <= n - 1 + window.high


def test_circular_padding_reads_where_same_padding_does():
    for n in (3, 4, 7):
        for size, stride in ((3, 1), (2, 1), (3, 2), (2, 3)):
            same, circular = (
                windows(Conv(size, strides=stride, padding=p), (n,))[0]
                for p in ("same", "circular")
            )
            assert reads(same, n) == reads(circular, n)
            assert circular.wrap


def test_each_axis_has_its_own():
    layer = Conv((3, 1), strides=(1, 2), dilation=(2, 1), padding=((1, 0), (0, 2)))
    first, second = windows(layer, (6, 5))
    assert first == Window(size=3, stride=1, dilation=2, low=1, high=0, wrap=False, out=3)
    assert second == Window(size=1, stride=2, dilation=1, low=0, high=2, wrap=False, out=4)
