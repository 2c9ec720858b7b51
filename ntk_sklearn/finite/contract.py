r"""Products of the gradients of one layer's parameters, without the gradients of all rows.

With inputs h and derivatives d of an output by the pre-activations, the gradient by the weights
of a dense layer is the outer product d h^T, so that products of gradients are
``<d, d'> <h, h'>``. For a convolution it is a sum over positions, ``sum_o d(o) patch(o)^T``, and
there are two ways: sum over pairs of positions, or form the gradients for some entries of the
filter and some channels at a time. The cheaper one is taken; neither holds more than a piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce, singledispatch
from math import isqrt, prod

import torch
from torch import Tensor

from .affine import Affine, ConvModule, DenseModule

# Numbers per row of the gradients by some channels and one entry of a filter.
GRADIENT_BLOCK = 2**14
# Numbers of the products of pairs of positions that are formed at a time.
PAIR_BLOCK = 2**21


@singledispatch
def weight_products(layer: Affine, h: Tensor, d: Tensor, h2: Tensor, d2: Tensor) -> Tensor:
    """Products (n, m) of gradients by unscaled weights, of rows (h, d) with rows (h2, d2)."""
    raise NotImplementedError(f"no contraction for the layer type {type(layer).__name__}")


@singledispatch
def weight_squares(layer: Affine, h: Tensor, d: Tensor) -> Tensor:
    """Squared norms (n,) of the gradients by unscaled weights."""
    raise NotImplementedError(f"no contraction for the layer type {type(layer).__name__}")


@singledispatch
def bias_gradients(layer: Affine, d: Tensor) -> Tensor:
    """Gradients (n, channels) by unscaled biases: derivatives summed over the positions."""
    return d.flatten(2).sum(2) if d.ndim > 2 else d


@weight_products.register
def _(layer: DenseModule, h: Tensor, d: Tensor, h2: Tensor, d2: Tensor) -> Tensor:
    return (h @ h2.mT).mul_(d @ d2.mT)


@weight_squares.register
def _(layer: DenseModule, h: Tensor, d: Tensor) -> Tensor:
    return h.square().sum(1) * d.square().sum(1)


@weight_products.register
def _(layer: ConvModule, h: Tensor, d: Tensor, h2: Tensor, d2: Tensor) -> Tensor:
    if by_positions(layer, d.shape[1]):
        return _position_products(layer, h, d, h2, d2)
    total = h.new_zeros(len(h), len(h2))
    if h is h2:  # a Gram: the rows' derivatives are the same, too
        return reduce(lambda t, g: t.addmm_(g, g.mT), _gradients(layer, h, d), total)
    for left, right in zip(_gradients(layer, h, d), _gradients(layer, h2, d2), strict=True):
        total.addmm_(left, right.mT)
    return total


@weight_squares.register
def _(layer: ConvModule, h: Tensor, d: Tensor) -> Tensor:
    if not by_positions(layer, d.shape[1]):
        return sum((g.square().sum(1) for g in _gradients(layer, h, d)), h.new_zeros(len(h)))
    step = max(1, PAIR_BLOCK // prod(layer.out_shape[1:]) ** 2)
    found = []
    for x, t in zip(layer.pad(h).split(step), d.flatten(2).split(step), strict=True):
        patches = reduce(torch.add, (p.mT @ p for p in _patches(layer, x)))
        found.append((patches * (t.mT @ t)).sum((1, 2)))
    return torch.cat(found)


def by_positions(layer: ConvModule, channels: int) -> bool:
    """Whether pairs of positions cost fewer operations per pair of rows than gradients."""
    pairs, patch = prod(layer.out_shape[1:]) ** 2, prod(layer.weight.shape[1:])
    return pairs * (channels + patch) < channels * patch


def _patches(layer: ConvModule, padded: Tensor) -> Iterator[Tensor]:
    """For every entry of the filter what it reads, (n, in_channels, positions)."""
    for tap in layer.taps():
        yield padded[tap].flatten(2)


def _gradients(layer: ConvModule, h: Tensor, d: Tensor) -> Iterator[Tensor]:
    """Gradients by the weights, (n, some of them) at a time."""
    step = max(1, GRADIENT_BLOCK // layer.in_shape[0])
    for patch in _patches(layer, layer.pad(h)):
        for part in d.flatten(2).split(step, dim=1):
            yield (part @ patch.mT).flatten(1)


def _position_products(layer: ConvModule, h: Tensor, d: Tensor, h2: Tensor, d2: Tensor) -> Tensor:
    """Sum over pairs of positions of <d(o), d'(o')> <patch(o), patch'(o')>."""
    positions = prod(layer.out_shape[1:])
    step = max(1, isqrt(PAIR_BLOCK) // positions)
    total = h.new_empty(len(h), len(h2))
    x, x2, t, t2 = layer.pad(h), layer.pad(h2), d.flatten(2), d2.flatten(2)
    for i in range(0, len(h), step):
        for j in range(0, len(h2), step):
            rows, cols = slice(i, i + step), slice(j, j + step)
            product = _outer(t[rows], t2[cols])
            taps = zip(_patches(layer, x[rows]), _patches(layer, x2[cols]), strict=True)
            product *= reduce(torch.add, (_outer(p, q) for p, q in taps))
            blocks = product.unflatten(1, (-1, positions)).unflatten(0, (-1, positions))
            total[rows, cols] = blocks.sum((1, 3))
    return total


def _outer(a: Tensor, b: Tensor) -> Tensor:
    """Products over the channels of (n, c, p) and (m, c, p), (n * p, m * p)."""
    left, right = a.transpose(0, 1).flatten(1), b.transpose(0, 1).flatten(1)
    return left.mT @ right
