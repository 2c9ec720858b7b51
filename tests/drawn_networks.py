"""Small random networks and inputs for hypothesis."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
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
    LocalAvgPool,
    NetworkError,
    Product,
    Serial,
    Shape,
    ShapeError,
    Sum,
    SumPool,
    check_network,
    infer_shape,
    residual,
)
from ntk_sklearn.duals import GELU, RBF, Abs, Cos, Erf, Gaussian, LeakyReLU, Linear, ReLU, Sin


class Drawn(NamedTuple):
    network: Layer
    X: np.ndarray  # with a zero, an equal, a parallel and an antiparallel row


ACTIVATIONS = (ReLU(), LeakyReLU(0.2), Abs(), Erf(), GELU(), Sin(), Cos(), RBF(0.3), Gaussian())
ACTIVATIONS += (Linear(),)
_SCALES = {"w_std": st.sampled_from([0.7, 1.0, 2**0.5]), "b_std": st.sampled_from([0.0, 0.1, 1.0])}
_RATES = {
    "lr_multiplier": st.sampled_from([0.0, 0.5, 1.0]),
    "bias_ntk": st.sampled_from([None, 0.3]),
}
_dense = st.builds(Dense, **_SCALES, **_RATES)
_activation = st.sampled_from(ACTIVATIONS).map(Activation)
_same_size = st.builds(
    Conv, st.sampled_from([1, 2, 3]), padding=st.sampled_from(["same", "circular"]), **_SCALES
)
_any_size = st.builds(
    Conv,
    st.sampled_from([2, 3]),
    strides=st.sampled_from([1, 2]),
    padding=st.sampled_from(["same", "circular", (1, 1)]),
    **_SCALES,
    **_RATES,
)
_pools = st.sampled_from([AvgPool(2), AvgPool(2, 1, "same"), AvgPool(3, 2, "circular")])
_heads = st.sampled_from([Flatten(), GlobalAvgPool()])


def _blocks(affine: st.SearchStrategy) -> st.SearchStrategy:
    """An activation and fresh weights: in sequence, around a shortcut, or side by side."""
    plain = st.builds(Serial, _activation, affine)
    side = st.builds(lambda a, b, last: Serial(Concat(a, b), last), plain, plain, affine)
    return st.one_of(plain, st.builds(residual, plain), side)


@st.composite
def _dense_trees(draw) -> Layer:
    blocks = draw(st.lists(_blocks(_dense), min_size=1, max_size=3))
    return Serial(draw(_dense), *blocks)


@st.composite
def _image_trees(draw) -> Layer:
    layers = [draw(_any_size), *draw(st.lists(_blocks(_same_size), max_size=1)), draw(_activation)]
    layers += draw(st.lists(_pools, max_size=1))
    layers += [draw(_any_size), draw(_activation), draw(_heads), draw(_dense)]
    return Serial(*layers, *draw(st.lists(_blocks(_dense), max_size=1)))


def _with_pairs(shape: tuple[int, ...], seed: int) -> np.ndarray:
    X = np.random.default_rng(seed).standard_normal((7, *shape))
    X[1], X[2], X[3], X[4] = X[0], 2.7 * X[0], -0.6 * X[0], 0.0
    return X


_seeds = st.integers(0, 2**32 - 1)
dense = st.builds(
    Drawn, _dense_trees(), st.builds(_with_pairs, st.sampled_from([(1,), (3,), (30,)]), _seeds)
)
images = st.builds(
    Drawn, _image_trees(), st.builds(_with_pairs, st.sampled_from([(1, 5), (2, 4, 5)]), _seeds)
)

# Anything that convolutions can be; what does not fit its image is left out.
_pads = st.sampled_from(["same", "valid", "circular", (0, 1), (2, 3), (1, 0)])
_any_conv = st.builds(
    Conv,
    st.sampled_from([1, 2, 3, 5]),
    strides=st.sampled_from([1, 1, 1, 2, 3]),
    dilation=st.sampled_from([1, 1, 2]),
    padding=_pads,
    **_SCALES,
    **_RATES,
)
_any_pool = st.builds(
    lambda kind, window, strides, padding: kind(window, strides, padding),
    st.sampled_from([AvgPool, SumPool]),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 2, 3]),
    _pads,
)
_shrinking = st.builds(
    lambda stride, one, padding, activation: Sum(
        Serial(activation, replace(one, strides=stride)), AvgPool(stride, stride, padding)
    ),
    st.sampled_from([1, 2, 3]),
    _same_size,
    st.sampled_from(["same", "circular"]),
    _activation,
)
_mixed = st.builds(
    lambda branches, shares, last: Serial(Concat(*branches, shares=shares[: len(branches)]), last),
    st.lists(_blocks(_same_size) | st.just(Identity()), min_size=1, max_size=3),
    st.sampled_from([(1, 2, 3), (5, 1, 1)]),
    _same_size,
)
_positions = st.one_of(
    _any_conv,
    st.builds(Serial, _activation, _any_conv),
    st.builds(residual, st.builds(Serial, _activation, _same_size)),
    st.builds(lambda a, b: Sum(a, Identity(), b), _blocks(_same_size), _blocks(_same_size)),
    _any_pool,
    _shrinking,
    _mixed,
)


@st.composite
def _any_images(draw) -> Drawn:
    layers = [
        draw(_any_conv),
        *draw(st.lists(_positions, min_size=1, max_size=5)),
        draw(_activation),
    ]
    head = draw(st.sampled_from([Flatten(), GlobalAvgPool(), GlobalSumPool()]))
    behind = [Dense(), *draw(st.lists(_blocks(_dense), max_size=1))]
    shape = draw(st.sampled_from([(2, 6), (1, 5, 4), (3, 3, 7), (2, 1, 5), (1, 9, 2)]))
    kept: list[Layer] = []
    for layer in layers:
        try:
            infer_shape(Serial(*kept, layer), Shape(shape[0], shape[1:]))
        except ShapeError:
            continue
        kept.append(layer)
    return Drawn(Serial(*kept, head, *behind), _with_pairs(shape, draw(_seeds)))


any_images = _any_images()

# The layers beyond the plain ones.
_local = st.builds(
    ConvLocal,
    st.sampled_from([1, 2, 3]),
    strides=st.sampled_from([1, 1, 2]),
    padding=_pads,
    **_SCALES,
    **_RATES,
)
_transposed = st.builds(
    ConvTranspose,
    st.sampled_from([1, 2, 3, 4]),
    strides=st.sampled_from([1, 2, 3]),
    padding=st.sampled_from(["same", "valid", "circular", (1, 2)]),
    **_SCALES,
    **_RATES,
)
_normalized = st.builds(
    LayerNorm, st.sampled_from(["channels", "all"]), eps=st.sampled_from([1e-12, 0.3])
)
_dropped = st.builds(Dropout, st.sampled_from([0.0, 0.2, 0.5]))
_edges = st.builds(
    AvgPool, st.sampled_from([2, 3]), st.sampled_from([1, 2]), _pads, normalize_edges=st.just(True)
)
_keeping = st.one_of(
    _same_size,
    st.builds(ConvLocal, st.sampled_from([1, 2, 3]), padding=st.sampled_from(["same", "circular"])),
    st.builds(
        ConvTranspose, st.sampled_from([1, 2, 3]), padding=st.sampled_from(["same", "circular"])
    ),
)
_linear = st.one_of(
    st.sampled_from([Identity(), LocalAvgPool(1), AvgPool(3, 1, "same", normalize_edges=True)]),
    st.sampled_from([AvgPool(2, 1, "circular"), LayerNorm("all"), LayerNorm()]),
)
_path = st.one_of(  # that keeps the size of images, and ends in weights
    st.builds(Serial, _linear, _activation, _dropped, _keeping),
    st.builds(Serial, _linear, _keeping),
    st.builds(Serial, _activation, _linear, _keeping, _linear),
)
_halved = AvgPool(2, 2, "same")
_further = st.one_of(
    _local,
    _transposed,
    st.builds(Serial, _activation, st.one_of(_local, _transposed, _any_conv)),
    _normalized,
    _dropped,
    _edges,
    _any_pool,
    _activation,
    st.builds(Sum, _path, _linear),
    st.builds(Sum, _path, _path, _linear),
    st.builds(
        lambda a, b, last: Serial(Concat(a, b), last), _path, st.one_of(_path, _linear), _keeping
    ),
    st.builds(lambda path: Sum(_halved, Serial(_halved, path)), _path),
    st.builds(lambda up, path: Sum(Serial(up, path), up), _transposed, _path),
)
_row_paths = st.one_of(
    st.builds(Serial, _activation, _dropped, _dense),
    st.builds(Serial, _activation, _dense, _activation),
    st.builds(Serial, _dense, st.sampled_from([LayerNorm(), LayerNorm(eps=0.3), Identity()])),
)
_of_rows = st.one_of(
    st.builds(Serial, _activation, _dropped, _dense),
    st.builds(
        Sum,
        st.builds(Serial, _activation, _dropped, _dense),
        st.sampled_from([LayerNorm(), Identity()]),
    ),
    st.builds(
        lambda a, b, last: Serial(Product(a, b), last),
        _row_paths,
        st.one_of(_row_paths, st.just(Identity())),
        _dense,
    ),
    st.builds(lambda a, b, last: Serial(Concat(a, b), last), _row_paths, _row_paths, _dense),
    _normalized,
)


@st.composite
def _further_images(draw) -> Drawn:
    shape = draw(st.sampled_from([(2, 6), (1, 4, 3), (2, 1, 4), (1, 3, 1), (2, 1, 1), (1, 1)]))
    layers = [draw(_any_conv), *draw(st.lists(_further, min_size=1, max_size=4))]
    head = draw(st.sampled_from([Flatten(), GlobalAvgPool(), GlobalSumPool()]))
    behind = _allowed([Dense(), *draw(st.lists(_of_rows, max_size=2))], (1,))
    network = Serial(*_allowed(layers, shape), head, *behind, Dense())
    return Drawn(network, _with_pairs(shape, draw(_seeds)))


@st.composite
def _further_rows(draw) -> Drawn:
    shape = draw(st.sampled_from([(1,), (3,), (30,)]))
    layers = [draw(_dense), *draw(st.lists(_of_rows, min_size=1, max_size=3))]
    return Drawn(Serial(*_allowed(layers, shape), Dense()), _with_pairs(shape, draw(_seeds)))


def _allowed(layers: list[Layer], shape: tuple[int, ...]) -> list[Layer]:
    """Without layers that do not fit their image, or have no limit where they stand."""
    kept: list[Layer] = []
    for layer in layers:
        more, end = Serial(*kept, layer), Conv(1) if len(shape) > 1 else Dense()
        try:
            check_network(Serial(more, end))
            infer_shape(more, Shape(shape[0], shape[1:]))
        except (NetworkError, ShapeError):
            continue
        kept.append(layer)
    return kept


further = st.one_of(_further_images(), _further_rows())
