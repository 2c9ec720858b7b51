"""Layers that mix positions, by loops over pairs of positions.

A fixed map of positions is known by what it makes of images of one bright pixel.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import torch

from ntk_sklearn.architecture import Aggregate, Layer, Resize, SelfAttention, Slice

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def mapped(layer: Layer, k: np.ndarray) -> np.ndarray:
    """Sum over pairs of pixels, of the row and of the column image."""
    sizes = k.shape[: k.ndim // 2]
    pixels = list(np.ndindex(sizes))
    seen = {p: _image(layer, _bright(p, sizes)) for p in pixels}
    out = np.zeros(2 * seen[pixels[0]].shape)
    for a, b in product(pixels, pixels):
        out += k[a + b] * np.multiply.outer(seen[a], seen[b])
    return out


def _bright(pixel: tuple[int, ...], sizes: tuple[int, ...]) -> np.ndarray:
    image = np.zeros(sizes)
    image[pixel] = 1.0
    return image


def _image(layer: Layer, image: np.ndarray) -> np.ndarray:
    match layer:
        case Slice():
            return image[tuple(slice(*r) for r in layer.ranges)]
        case Aggregate():
            A = np.array(layer.adjacency.rows)
            return np.moveaxis(np.tensordot(A, image, (1, layer.axis)), 0, layer.axis)
        case Resize():
            nearest = layer.method == "nearest"
            found = torch.nn.functional.interpolate(
                torch.from_numpy(image)[None, None],
                layer.sizes,
                mode="nearest-exact" if nearest else _MODES[image.ndim],
                align_corners=None if nearest else False,
                antialias=layer.antialias and not nearest and image.ndim == 2,
            )
            return found[0, 0].numpy()
    raise NotImplementedError(layer)


def beside(blocks: list[np.ndarray], axis: int) -> np.ndarray:
    """Pairs of positions of one block, and 0 for those of two."""
    sizes = [block.shape[: block.ndim // 2] for block in blocks]
    whole = list(sizes[0])
    whole[axis] = sum(s[axis] for s in sizes)
    out, start = np.zeros(2 * tuple(whole)), 0
    for block, size in zip(blocks, sizes, strict=True):
        place = [slice(None)] * len(whole)
        place[axis] = slice(start, start + size[axis])
        out[(*place, *place)] = block
        start += size[axis]
    return out


def attended(layer: SelfAttention, nngp, ntk, own_x, own_z) -> tuple[np.ndarray, ...]:
    """Softmax or other weights, the same in every head, without embeddings."""
    out = tuple(np.zeros_like(k) for k in (nngp, ntk, own_x, own_z))
    positions = list(np.ndindex(nngp.shape[: nngp.ndim // 2]))
    gx, gz = (_weights(layer, own, positions) for own in (own_x, own_z))
    w2, b2 = (layer.w_value_std * layer.w_out_std) ** 2, layer.b_std**2
    for i, j in product(positions, positions):
        for o, (k, left, right) in zip(
            out, [(nngp, gx, gz), (ntk + 2 * nngp, gx, gz), (own_x, gx, gx), (own_z, gz, gz)],
            strict=True,
        ):  # fmt: skip
            pairs = product(positions, positions)
            o[i + j] = b2 + w2 * sum(left[i, a] * right[j, b] * k[a + b] for a, b in pairs)
    return out


def _weights(layer: SelfAttention, own: np.ndarray, positions: list) -> dict:
    scale, found = layer.w_query_std * layer.w_key_std, {}
    for i in positions:
        scores = [scale * own[i + a] for a in positions]
        if layer.weights == "softmax":
            powers = [math.exp(s) for s in scores]
            scores = [p / sum(powers) for p in powers]
        elif layer.weights != "identity":
            scores = [abs(s) if layer.weights == "abs" else max(s, 0.0) for s in scores]
        found |= {(i, a): s for a, s in zip(positions, scores, strict=True)}
    return found
