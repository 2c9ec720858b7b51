"""Forward passes of transposed and locally connected layers, and of pooling, in other words."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ntk_sklearn.architecture import AvgPool, ConvLocal, ConvTranspose
from ntk_sklearn.finite import to_module


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.manual_seed(0))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("p", [0, 1])
def test_transposed_convolutions_are_those_of_torch(stride: int, p: int) -> None:
    layer = ConvTranspose(3, 1.3, 0.4, stride, (2 - p, 2 - p))
    module, x = to_module(layer, (2, 4, 3), 5, n_outputs=5, random_state=0), drawn(2, 2, 4, 3)
    part = module.body
    turned = part.weight.flip(2, 3).transpose(0, 1) * 1.3 / np.sqrt(2 * 9)
    want = F.conv_transpose2d(x, turned, 0.4 * part.bias, stride, padding=p)
    torch.testing.assert_close(module(x), want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("padding", ["same", "circular", "valid"])
@pytest.mark.parametrize("size, stride", [(1, 1), (2, 1), (4, 1), (3, 2), (4, 2), (2, 3), (5, 3)])
def test_named_padding(padding: str, size: int, stride: int) -> None:
    """What is reached in all, of which "same" cuts off both ends and "circular" adds them up."""
    n, x = 4, drawn(3, 2, 4)
    layer = ConvTranspose(size, strides=stride, padding=padding)
    module = to_module(layer, (2, n), 1, random_state=0)
    weight = module.body.weight / np.sqrt(2 * size)
    beyond = max(size - stride, 0)
    whole = torch.zeros(3, n * stride + beyond, dtype=x.dtype)
    for i, a in product(range(n), range(size)):
        whole[:, i * stride + size - 1 - a] += x[:, :, i] @ weight[0, :, a]
    low, out = beyond // 2, n * stride
    want = whole
    if padding != "valid":
        want = whole[:, low : low + out].clone()
    if padding == "circular":
        if low:
            want[:, -low:] += whole[:, :low]
        want[:, : beyond - low] += whole[:, low + out :]
    torch.testing.assert_close(module(x)[:, 0], want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", [{}, {"strides": 2, "dilation": 2}, {"padding": "circular"}])
def test_every_position_has_weights_of_its_own(options: dict) -> None:
    layer = ConvLocal(2, 1.3, 0.4, **options)
    module, x = to_module(layer, (2, 4, 5), 3, n_outputs=3, random_state=0), drawn(2, 2, 4, 5)
    part, found = module.body, module(x)
    padded = part.pad(x)
    windows = part.windows
    for place in product(*(range(w.out) for w in windows)):
        total = 0.4 * part.bias[(slice(None), *place)]
        for k, tap in enumerate(product(range(2), range(2))):
            at = [
                o * w.stride + a * w.dilation for o, w, a in zip(place, windows, tap, strict=True)
            ]
            weight = part.weight[(slice(None), slice(None), k, *place)]
            total = total + padded[:, :, at[0], at[1]] @ weight.T * 1.3 / np.sqrt(8)
        want = total.expand(2, 3)
        torch.testing.assert_close(found[(..., *place)], want, rtol=1e-12, atol=1e-14)


def test_averages_of_ones() -> None:
    """Windows of 2 x 2 on ones of 2 x 3, with the values that neural-tangents gives."""
    ones = torch.ones(1, 1, 2, 3, dtype=torch.float64)
    plain, inside = (
        to_module(AvgPool(2, 1, "same", edges), (1, 2, 3), 1)(ones)[0, 0].tolist()
        for edges in (False, True)
    )
    assert plain == [[1.0, 1.0, 0.5], [0.5, 0.5, 0.25]]
    assert inside == [[1.0] * 3] * 2


@pytest.mark.parametrize("window, stride, p", [((3, 2), (1, 2), 1), ((2, 3), (2, 1), 1)])
def test_averages_inside_are_those_of_torch(window: tuple, stride: tuple, p: int) -> None:
    layer, x = AvgPool(window, stride, (p, p), normalize_edges=True), drawn(2, 3, 5, 4)
    want = F.avg_pool2d(x, window, stride, p, count_include_pad=False)
    found = to_module(layer, (3, 5, 4), 3, n_outputs=3)(x)
    torch.testing.assert_close(found, want, rtol=1e-13, atol=1e-15)
