r"""Products of the gradients of one layer's parameters, without the gradients of all rows.

With inputs h and derivatives d of an output by the pre-activations, the gradient by the weights
of a dense layer is the outer product d h^T, so that products of gradients are
``<d, d'> <h, h'>``. For a convolution it is a sum over positions; see `uses`. The cheaper of two
ways is taken; neither holds more than a piece.
"""

from __future__ import annotations

from functools import singledispatch
from math import prod

from torch import Tensor

from .affine import Affine, ConvModule, DenseModule
from .uses import (
    PAIR_BLOCK,
    Place,
    Use,
    gradient_pairs,
    gradients,
    pair_products,
    pairs_are_cheaper,
    squares,
)

# Numbers per row of the gradients by some channels and one entry of a filter.
GRADIENT_BLOCK = 2**14

__all__ = ["GRADIENT_BLOCK", "PAIR_BLOCK", "bias_gradients", "by_positions", "weight_products"]
__all__ += ["weight_squares"]


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
    a = _use(layer, h, d)
    b = a if h is h2 else _use(layer, h2, d2)  # a Gram: the rows' derivatives are the same, too
    if by_positions(layer, d.shape[1]):
        return pair_products(a, b, "trace")
    total = h.new_zeros(len(h), len(h2))
    for left, right in gradient_pairs(a, b, GRADIENT_BLOCK):
        total.addmm_(left[:, 0], right[:, 0].mT)
    return total


@weight_squares.register
def _(layer: ConvModule, h: Tensor, d: Tensor) -> Tensor:
    use = _use(layer, h, d)
    if by_positions(layer, d.shape[1]):
        return squares(use)[:, 0]
    found = (g[:, 0].square().sum(1) for g in gradients(use, GRADIENT_BLOCK))
    return sum(found, h.new_zeros(len(h)))


def by_positions(layer: ConvModule, channels: int) -> bool:
    """Whether pairs of positions cost fewer operations per pair of rows than gradients."""
    return pairs_are_cheaper(prod(layer.out_shape[1:]), channels, prod(layer.weight.shape[1:]))


def _use(layer: ConvModule, h: Tensor, d: Tensor) -> Use:
    """All outputs as channels of one: the kernels are sums over them."""
    place = Place(layer.pad(h), tuple(layer.taps()))
    return Use((place,), d.flatten(2)[:, None])
