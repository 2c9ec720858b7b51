"""Networks of finite width that mix positions: their kernels, and their limits with error bars.

Means over networks of two widths are extrapolated in 1 / width, as in `test_convergence`. Networks
with attention of few channels have heavy tails; that single ones fluctuate by 1 / sqrt(width) is
not asked of them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from finite_cases import jacobian_ntk
from finite_limits import WIDTHS, distances, extrapolated, inputs, limit, sample

from ntk_sklearn.architecture import (
    Activation,
    Aggregate,
    ConcatPositions,
    Conv,
    Dense,
    ExponentialDecay,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    GraphInput,
    Identity,
    NetworkError,
    Resize,
    SelfAttention,
    Serial,
    Slice,
    Sum,
    check_network,
    residual,
)
from ntk_sklearn.finite import empirical_nngp, empirical_ntk, to_module

RELU, ERF = Activation("relu"), Activation("erf")
GRAPH = Aggregate(((0, 1, 1), (1, 0, 0), (0.5, 0, 2)))
HEAD = (GlobalAvgPool(), Dense())


def attention(**settings) -> SelfAttention:
    return SelfAttention(1.1, 0.9, 1.2, 1.3, 0.1, **settings)


def attending(*before, **settings) -> Serial:
    return Serial(Conv(3, 1.4, 0.2), *before, attention(**settings), ERF, *HEAD)


SQRT = {"weights": "identity", "scaling": "sqrt"}
DECAY = {"position_decay": ExponentialDecay(2.0), "w_position_std": 0.8}
# name: (tree, shape of one input)
TREES = {
    "softmax": (attending(RELU), (2, 3)),
    "softmax of the input": (Serial(attention(), RELU, Flatten(), Dense()), (2, 2, 2)),
    "relu": (attending(weights="relu", lr_multiplier=0.5), (2, 2, 2)),
    "abs": (attending(RELU, weights="abs", bias_ntk=0.4), (2, 3)),
    "identity": (attending(RELU, weights="identity"), (2, 3)),
    "added": (
        Serial(Conv(3, 1.4, 0.2), RELU, attention(embedded_values=True, **DECAY), GlobalAvgPool()),
        (2, 3),
    ),
    "beside": (attending(RELU, position_share=0.25, w_position_std=0.8), (2, 3)),
    "sqrt": (attending(RELU, **SQRT), (2, 3)),
    "sqrt, embedded": (
        attending(RELU, w_position_std=0.7, lr_multiplier=2.0, bias_ntk=0.3, **SQRT), (2, 3),
    ),
    "sqrt, values": (attending(RELU, embedded_values=True, **DECAY, **SQRT), (2, 3)),
    "resize": (
        Serial(Conv(3, 1.4, 0.2), RELU, Resize((3, 2), "linear"), Conv(2, 1.2, 0.1), ERF,
               Resize((2, 3)), Conv(2), GlobalAvgPool()),
        (2, 2, 4),
    ),
    "slice": (
        Serial(Conv(3, 1.4, 0.2), RELU, Slice((None, None, -2)), Conv(2, 1.2, 0.1), ERF, Flatten(),
               Dense()),
        (2, 5),
    ),
    "graph": (
        Serial(Conv(1, 1.4, 0.2), RELU, GRAPH, Conv(1, 1.2, 0.1), ERF, GRAPH, GlobalSumPool(),
               Dense(0.5)),
        (2, 3),
    ),
    "own graphs": (
        Serial(GraphInput(), Aggregate(), Conv(1, 1.4, 0.2), RELU, Aggregate(), Conv(1, 1.2, 0.1),
               ERF, GlobalSumPool(), Dense(0.5)),
        (5, 3),
    ),
    "beside positions": (
        Serial(Conv(2, 1.4, 0.2),
               ConcatPositions(Serial(RELU, Conv(2)), Slice((1, 2)),
                               Serial(RELU, Conv(3, strides=2), ERF)),
               Conv(2), RELU, *HEAD),
        (2, 4),
    ),
    "transformer": (
        Serial(Conv(1, 1.2), residual(attention(w_position_std=0.5)),
               residual(Serial(RELU, Conv(1, 1.1))), *HEAD),
        (2, 3),
    ),
}  # fmt: skip
QUICK = ("softmax",)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in TREES]
)
def test_finite_networks_converge_to_the_kernel(name: str) -> None:
    tree, shape = TREES[name]
    check_network(tree)
    x = inputs(shape)
    want = limit(tree, x)
    narrow, wide = (sample(tree, x, width, n_networks=200) for width in WIDTHS)
    end = extrapolated(narrow, wide)
    assert ((end.mean - want).abs() <= 4 * end.error).all()
    for width, found in zip(WIDTHS, (narrow, wide), strict=True):
        slope = (narrow.mean - end.mean).abs() * WIDTHS[0]
        assert ((found.mean - want).abs() <= 4 * found.error + slope / width).all()
    # the error bars are short enough to see an error of a few percent
    assert end.error.max() <= 0.05 * want.diagonal(dim1=1, dim2=2).max()


@pytest.mark.parametrize("name", TREES)
def test_ntk_is_the_product_of_jacobians(name: str) -> None:
    tree, shape = TREES[name]
    module = to_module(tree, shape, width=5, random_state=0)
    x, z = inputs(shape), inputs(shape)[:2] - 0.3
    want = jacobian_ntk(module, x, z)
    assert (empirical_ntk(module, x, z) - want).abs().max() <= 1e-12 * want.abs().max()
    gram = empirical_nngp(module, x)
    assert (gram - empirical_nngp(module, x, x)).abs().max() <= 1e-12 * gram.abs().max()


def test_heads_are_those_of_the_definition() -> None:
    """The module, computed anew with numpy from its parameters."""
    layer = attention(w_position_std=0.6, position_share=0.5)
    module = to_module(layer, (3, 4), width=7, n_outputs=2, random_state=1)
    body = module.body
    x = inputs((3, 4)).numpy()
    weights = {n: p.detach().numpy()[..., 0] for n, p in body.named_parameters() if p.ndim == 3}
    codes = body.embedding.codes.numpy()[0]
    e = np.broadcast_to(0.6 * weights["embedding.weights.weight"] @ codes, x.shape)
    keys = weights["keys.weight"] @ np.concatenate([x, e], 1) / np.sqrt(6)
    scores = np.exp(1.1 * 0.9 / 7 * np.einsum("nci,ncj->nij", keys, keys))
    G = scores / scores.sum(2, keepdims=True)
    values = 1.2 * weights["values.weight"] @ x / np.sqrt(3)
    z = 1.3 * weights["out.weight"] @ np.einsum("nij,ncj->nci", G, values) / np.sqrt(7)
    z = z + 0.1 * body.out.bias.detach().numpy()[:, None] / body.out.bias_spread
    found = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, z, rtol=1e-12, atol=1e-14)


def test_graphs_behind_the_last_weights_are_refused() -> None:
    tree = Serial(GraphInput(), Conv(1), residual(Serial(RELU, Conv(1))), Aggregate(), *HEAD[:1])
    with pytest.raises(NotImplementedError, match=r"Put Dense\(\) behind the pooling"):
        to_module(tree, (5, 3), width=4)


# What check_network refuses has another limit than the recursion's.
MALFORMED = {
    "two slices": (
        Serial(Conv(1, 1.4), ConcatPositions(Identity(), Slice((None, None, -1))), Conv(3), RELU,
               GlobalAvgPool(), Dense()),
        "are correlated", (2, 3),
    ),
    "two activations beside": (
        Serial(Conv(1, 1.4), ConcatPositions(Serial(Conv(1), RELU), Serial(Conv(1), RELU)),
               GlobalAvgPool(), Dense()),
        "not Gaussian", (2, 3),
    ),
    "two maps": (
        Serial(Conv(1, 1.4), Sum(GRAPH, Identity()), RELU, GlobalAvgPool(), Dense()),
        "are correlated", (2, 3),
    ),
    "embedded input": (
        Serial(attention(w_position_std=3.0), RELU, *HEAD), "do not average out", (1, 3),
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", MALFORMED)
def test_refused_trees_have_another_limit(name: str) -> None:
    tree, why, shape = MALFORMED[name]
    with pytest.raises(NetworkError, match=why):
        check_network(tree)
    in_errors, in_entries = distances(tree, shape)
    assert (in_errors > 8).all()
    assert (in_entries > 0.03).all()
