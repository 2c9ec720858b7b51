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
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Layer,
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
        case Conv() | Dense():
            return _affine(layer, pair)
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
    window = (lambda k: _convolve(layer, k)) if isinstance(layer, Conv) else (lambda k: k)
    out = pair.map(lambda k: w2 * window(k) + b2)
    out.ntk = w2 * window(pair.ntk + pair.nngp) + b2
    return out


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
    size = len(look[(0,) * len(sizes)]) ** 2 if isinstance(layer, AvgPool) else 1
    for i, j in product(np.ndindex(sizes), np.ndindex(sizes)):
        pairs = product(look[i], look[j])
        out[i + j] = sum(k[a + b] for a, b in pairs if None not in a + b) / size
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
