"""Covariances of convolutional ReLU networks by loops over pairs of positions, from the definition.

Slow and plain: a pair of images is a function of two positions, (i, j) -> covariance, stored as an
array with the axes of both images. Padding is looked up position by position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import naive_positions
import numpy as np

from ntk_sklearn.architecture import (
    Activation,
    Aggregate,
    AvgPool,
    ConcatPositions,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Layer,
    LayerNorm,
    Product,
    Resize,
    SelfAttention,
    Serial,
    Slice,
    Sum,
    SumPool,
)


@dataclass
class ImagePair:
    """nngp and ntk of two images, and the nngp of each with itself; `same`: one and the same."""

    nngp: np.ndarray
    ntk: np.ndarray
    own_x: np.ndarray
    own_z: np.ndarray
    same: bool

    def map(self, f) -> ImagePair:
        return ImagePair(f(self.nngp), f(self.ntk), f(self.own_x), f(self.own_z), self.same)


def naive_kernels(network: Layer, X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """(2, n, m): nngp and ntk of images (channels, *spatial)."""
    out = np.empty((2, len(X), len(Z)))
    for i, x in enumerate(X):
        for j, z in enumerate(Z):
            end = _layer(network, _start(x, z))
            out[:, i, j] = end.nngp, end.ntk
    return out


def _start(x: np.ndarray, z: np.ndarray) -> ImagePair:
    xz, xx, zz = (np.tensordot(a, b, (0, 0)) / len(a) for a, b in ((x, z), (x, x), (z, z)))
    return ImagePair(xz, np.zeros_like(xz), xx, zz, np.array_equal(x, z))


def _layer(layer: Layer, pair: ImagePair) -> ImagePair:
    match layer:
        case Serial():
            for child in layer.layers:
                pair = _layer(child, pair)
            return pair
        case Identity():
            return pair
        case Activation(function="relu"):
            return _relu(pair)
        case Conv() | ConvTranspose() | ConvLocal() | Dense():
            return _affine(layer, pair)
        case LayerNorm():
            return _normalized(layer, pair)
        case Dropout():
            return _dropped(1 - layer.p, pair)
        case Product():
            return _product([_layer(branch, pair) for branch in layer.branches])
        case AvgPool() | SumPool():
            return pair.map(lambda k: _pool(layer, k))
        case GlobalAvgPool():
            return pair.map(np.mean)
        case GlobalSumPool():
            return pair.map(np.sum)
        case Flatten():
            return pair.map(lambda k: np.mean([k[i + i] for i in np.ndindex(_sizes(k))]))
        case Sum():
            ends = [_layer(branch, pair) for branch in layer.branches]
            names = ("nngp", "ntk", "own_x", "own_z")
            return ImagePair(*(sum(getattr(e, n) for e in ends) for n in names), pair.same)
        case Resize() | Slice() | Aggregate():
            return pair.map(lambda k: naive_positions.mapped(layer, k))
        case ConcatPositions():
            ends = [_layer(branch, pair) for branch in layer.branches]
            names = ("nngp", "ntk", "own_x", "own_z")
            blocks = ([getattr(e, n) for e in ends] for n in names)
            return ImagePair(*(naive_positions.beside(b, layer.axis) for b in blocks), pair.same)
        case SelfAttention():
            four = (pair.nngp, pair.ntk, pair.own_x, pair.own_z)
            return ImagePair(*naive_positions.attended(layer, *four), pair.same)
    raise NotImplementedError(layer)


def _affine(layer: Conv | Dense, pair: ImagePair) -> ImagePair:
    w2, b2 = layer.w_std**2, layer.b_std**2
    sums = {Conv: _convolve, ConvLocal: _convolve, ConvTranspose: _transposed}.get(type(layer))
    window = (lambda k: k) if sums is None else (lambda k: sums(layer, k))
    out = pair.map(lambda k: w2 * window(k) + b2)
    out.ntk = w2 * window(pair.ntk + pair.nngp) + b2
    return out.map(_only_equal) if isinstance(layer, ConvLocal) else out


def _only_equal(k: np.ndarray) -> np.ndarray:
    """Positions have weights and biases of their own: different ones are independent."""
    out = np.zeros_like(k)
    for i in np.ndindex(_sizes(k)):
        out[i + i] = k[i + i]
    return out


def _transposed(layer: ConvTranspose, k: np.ndarray) -> np.ndarray:
    """Every pair of inputs adds to the pairs of outputs that it reaches by one tap."""
    sizes = _sizes(k)
    rank = len(sizes)
    reach = [
        _reached(n, _at(layer.filter, a), _at(layer.strides, a), _padding(layer, a))
        for a, n in enumerate(sizes)
    ]
    out = np.zeros(tuple(end for end, _ in reach) * 2)
    taps = list(product(*(range(_at(layer.filter, a)) for a in range(rank))))
    for i, j, tap in product(np.ndindex(sizes), np.ndindex(sizes), taps):
        to = [reach[a][1](place[a], tap[a]) for place in (i, j) for a in range(rank)]
        if None not in to:
            out[tuple(to)] += k[i + j] / len(taps)
    return out


def _reached(n: int, size: int, stride: int, padding):
    """Number of outputs, and the output that input i reaches by tap a: i stride + shift - a."""
    beyond = max(size - stride, 0)
    whole = n * stride + beyond  # outputs that are reached
    if padding == "valid":
        return whole, lambda i, a: i * stride + size - 1 - a
    if padding == "same":  # the first beyond // 2 of these outputs are cut off, and the last
        out = n * stride
        return out, lambda i, a: _inside(i * stride + size - 1 - a - beyond // 2, out)
    if padding == "circular":  # or added where they belong
        out = n * stride
        return out, lambda i, a: (i * stride + size - 1 - a - beyond // 2) % out
    low, high = padding
    out = (n - 1) * stride + 1 + low + high - size + 1
    return out, lambda i, a: _inside(i * stride + low - a, out)


def _inside(place: int, n: int) -> int | None:
    return place if 0 <= place < n else None


def _normalized(layer: LayerNorm, pair: ImagePair) -> ImagePair:
    """Divided by the standard deviations of both positions, or of both images."""

    def deviations(own: np.ndarray) -> np.ndarray:
        sizes = _sizes(own)
        found = np.array([own[i + i] for i in np.ndindex(sizes)]).reshape(sizes)
        if layer.axes == "all":
            found = np.full_like(found, found.mean())
        return np.sqrt(found + layer.eps)

    x, z = deviations(pair.own_x), deviations(pair.own_z)
    outer = np.multiply.outer
    cross = outer(x, z)
    return ImagePair(
        pair.nngp / cross, pair.ntk / cross, pair.own_x / outer(x, x), pair.own_z / outer(z, z),
        pair.same,
    )  # fmt: skip


def _dropped(kept: float, pair: ImagePair) -> ImagePair:
    """A position of an image is alone in having one mask with itself: E[mask^2] / kept^2."""
    own_x, own_z = _grown(pair.own_x, kept), _grown(pair.own_z, kept)
    if not pair.same:
        return ImagePair(pair.nngp, pair.ntk, own_x, own_z, False)
    return ImagePair(_grown(pair.nngp, kept), _grown(pair.ntk, kept), own_x, own_z, True)


def _grown(k: np.ndarray, kept: float) -> np.ndarray:
    out = np.array(k, dtype=float)
    for i in np.ndindex(_sizes(out)):
        out[i + i] = out[i + i] * kept / kept**2
    return out


def _product(ends: list[ImagePair]) -> ImagePair:
    names = ("nngp", "own_x", "own_z")
    nngp, own_x, own_z = (math.prod(getattr(end, name) for end in ends) for name in names)
    ntk = sum(
        math.prod(end.ntk if k == tangent else end.nngp for k, end in enumerate(ends))
        for tangent in range(len(ends))
    )
    return ImagePair(nngp, ntk, own_x, own_z, ends[0].same)


def _relu(pair: ImagePair) -> ImagePair:
    value, slope = _arccosine(pair.nngp, pair.own_x, pair.own_z, pair.same)
    own_x, _ = _arccosine(pair.own_x, pair.own_x, pair.own_x, True)
    own_z, _ = _arccosine(pair.own_z, pair.own_z, pair.own_z, True)
    return ImagePair(value, pair.ntk * slope, own_x, own_z, pair.same)


def _arccosine(k, own_x, own_z, same: bool) -> tuple[np.ndarray, np.ndarray]:
    value, slope = np.empty_like(k), np.empty_like(k)
    sizes = _sizes(k)
    for i, j in product(np.ndindex(sizes), np.ndindex(sizes)):
        vx, vz = own_x[i + i], own_z[j + j]
        if same and i == j:
            value[i + j], slope[i + j] = vx / 2, 0.5
        elif vx == 0 or vz == 0:
            value[i + j], slope[i + j] = 0.0, 0.25
        else:
            angle = math.acos(max(-1.0, min(1.0, k[i + j] / math.sqrt(vx * vz))))
            slope[i + j] = 0.5 - angle / (2 * math.pi)
            value[i + j] = math.sqrt(vx * vz) * math.sin(angle) / (2 * math.pi)
            value[i + j] += slope[i + j] * k[i + j]
    return value, slope


def _convolve(layer: Conv, k: np.ndarray) -> np.ndarray:
    """Both positions see the same tap of the filter."""
    look, sizes = _windows(layer, k, layer.filter, layer.dilation)
    out, n_taps = np.zeros(sizes * 2), len(look[(0,) * len(sizes)])
    for i, j in product(np.ndindex(sizes), np.ndindex(sizes)):
        taps = zip(look[i], look[j], strict=True)
        out[i + j] = sum(k[a + b] for a, b in taps if None not in a + b) / n_taps
    return out


def _pool(layer: AvgPool | SumPool, k: np.ndarray) -> np.ndarray:
    """Every position of one window meets every position of the other."""
    look, sizes = _windows(layer, k, layer.window, 1)
    out = np.zeros(sizes * 2)
    for i, j in product(np.ndindex(sizes), np.ndindex(sizes)):
        pairs = [k[a + b] for a, b in product(look[i], look[j]) if None not in a + b]
        size = len(look[i]) * len(look[j]) if isinstance(layer, AvgPool) else 1
        if isinstance(layer, AvgPool) and layer.normalize_edges:
            size = max(1, len(pairs))
        out[i + j] = sum(pairs) / size
    return out


def _windows(layer, k: np.ndarray, size, dilation) -> tuple[dict, tuple[int, ...]]:
    """Output position -> input positions of its window, with None outside of the image."""
    sizes = _sizes(k)
    axes = [
        _axis(n, _at(size, a), _at(layer.strides, a), _at(dilation, a), _padding(layer, a))
        for a, n in enumerate(sizes)
    ]
    outs = tuple(len(axis) for axis in axes)
    return {
        o: list(product(*(axes[a][o[a]] for a in range(len(o))))) for o in np.ndindex(outs)
    }, outs


def _axis(n: int, size: int, stride: int, dilation: int, padding) -> list[list[int | None]]:
    reach = (size - 1) * dilation + 1
    if padding in ("same", "circular"):
        total = max((math.ceil(n / stride) - 1) * stride + reach - n, 0)
        low, high = total // 2, total - total // 2
    else:
        low, high = (0, 0) if padding == "valid" else padding
    found = []
    for start in range(-low, n + high - reach + 1, stride):
        seen = [start + tap * dilation for tap in range(size)]
        wrapped = [p % n for p in seen]
        inside = [p if 0 <= p < n else None for p in seen]
        found.append(wrapped if padding == "circular" else inside)
    return found


def _padding(layer, axis: int):
    explicit = not isinstance(layer.padding, str)
    return (
        layer.padding[axis] if explicit and isinstance(layer.padding[0], tuple) else layer.padding
    )


def _at(value, axis: int) -> int:
    return value if isinstance(value, int) else value[axis]


def _sizes(k: np.ndarray) -> tuple[int, ...]:
    return np.shape(k)[: np.ndim(k) // 2]
