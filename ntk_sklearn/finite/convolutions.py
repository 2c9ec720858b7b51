"""Transposed convolutions and locally connected layers of finite width."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from ..architecture import ConvLocal, ConvTranspose, Window, transposed_windows, windows
from .affine import ConvModule, Windowed
from .build import Wire, build
from .contract import PAIR_BLOCK, bias_gradients, weight_products, weight_squares
from .modules import Pad, Part


class LocalModule(Windowed):
    """Weights (channels, in_channels, taps, *positions) and biases (channels, *positions)."""

    def __init__(
        self,
        layer: ConvLocal,
        in_shape: tuple[int, ...],
        channels: int,
        windows: tuple[Window, ...],
    ) -> None:
        out_shape = (channels, *(w.out for w in windows))
        size = prod(w.size for w in windows)
        weight_shape = (channels, in_shape[0], size, *out_shape[1:])
        super().__init__(layer, in_shape, out_shape, weight_shape, out_shape, in_shape[0] * size)
        self.windows, self.pad = windows, Pad(windows)

    def apply_weight(self, x: Tensor) -> Tensor:
        """(n, channels, *positions)."""
        padded, weight = self.pad(x), self.weight.flatten(3)
        products = (
            torch.einsum("nip,cip->ncp", padded[tap].flatten(2), weight[:, :, k])
            for k, tap in enumerate(self.taps())
        )
        total = next(products)
        for product in products:
            total = total + product
        return total.unflatten(2, self.out_shape[1:])


@build.register
def _(layer: ConvTranspose, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    along = transposed_windows(layer, wire.spatial)
    module = ConvModule(layer, (wire.channels, *wire.spatial), channels, along)
    return module, Wire(channels, tuple(w.out for w in along))


@build.register
def _(layer: ConvLocal, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    along = windows(layer.shared, wire.spatial)
    module = LocalModule(layer, (wire.channels, *wire.spatial), channels, along)
    return module, Wire(channels, tuple(w.out for w in along))


@bias_gradients.register
def _(layer: LocalModule, d: Tensor) -> Tensor:
    return d.flatten(1)


@weight_products.register
def _(layer: LocalModule, h: Tensor, d: Tensor, h2: Tensor, d2: Tensor) -> Tensor:
    """Sum over positions of <d(o), d'(o)> <patch(o), patch'(o)>."""
    total = h.new_zeros(len(h), len(h2))
    x, x2, t, t2 = layer.pad(h), layer.pad(h2), d.flatten(2), d2.flatten(2)
    step = max(1, PAIR_BLOCK // total.numel())
    for start in range(0, t.shape[2], step):
        part = slice(start, start + step)
        patches = sum(
            _at_positions(x[tap].flatten(2)[..., part], x2[tap].flatten(2)[..., part])
            for tap in layer.taps()
        )
        total += (_at_positions(t[..., part], t2[..., part]) * patches).sum(0)
    return total


def _at_positions(a: Tensor, b: Tensor) -> Tensor:
    """Products over the channels of (n, c, p) and (m, c, p), (p, n, m)."""
    return a.permute(2, 0, 1) @ b.permute(2, 1, 0)


@weight_squares.register
def _(layer: LocalModule, h: Tensor, d: Tensor) -> Tensor:
    x = layer.pad(h).square().sum(1)
    patches = sum(x[tap] for tap in layer.taps())
    return (d.square().sum(1) * patches).flatten(1).sum(1)
