"""Layers that mix positions: shapes, pairs of positions, limits, and what is refused."""

from __future__ import annotations

import pickle
import re

import pytest

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
    LayerNorm,
    NetworkError,
    Positions,
    Resize,
    SelfAttention,
    Serial,
    Shape,
    ShapeError,
    Slice,
    Sum,
    check_network,
    demanded_positions,
    infer_shape,
    most_positions,
    residual,
    scales,
)

RELU, HEAD = Activation("relu"), (GlobalAvgPool(), Dense())
RING = ((0, 1, 1), (1, 0, 1), (1, 1, 0))
PATH = ((1, 1, 0), (0, 1, 1))
EMBEDDED = SelfAttention(w_position_std=1.0)

SHAPES = {
    "resize": (Resize(4), (2, 3), (4, 4)),
    "resize by axis": (Resize((1, 2, 3)), (5, 5, 5), (1, 2, 3)),
    "slice": (Slice(slice(1, -1), (None, None, 2)), (4, 5), (2, 3)),
    "reversed": (Slice((None, None, -1)), (4,), (4,)),
    "aggregate": (Aggregate(RING), (3,), (3,)),
    "coarser": (Aggregate(PATH, axis=1), (4, 3), (4, 2)),
    "own": (Aggregate(axis=1), (4, 3), (4, 3)),
    "attention": (SelfAttention(), (4, 3), (4, 3)),
    "beside": (ConcatPositions(Conv(), Conv(strides=2), axis=1), (1, 5), (1, 8)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name):
    layer, sizes, expected = SHAPES[name]
    assert infer_shape(layer, Shape(2, sizes)).spatial == expected
    assert pickle.loads(pickle.dumps(layer)) == layer
    assert eval(repr(layer)) == layer
    assert hash(eval(repr(layer))) == hash(layer)


def test_graph_input_hands_on_the_features():
    assert infer_shape(GraphInput(), Shape(5, (3,))) == Shape(2, (3,))


MISFITS = {
    "resize without positions": (Resize(3), Shape(4), "it needs images"),
    "attention without positions": (SelfAttention(), Shape(4), "it needs images"),
    "resize by other axes": (Resize((3, 3)), Shape(1, (4,)), "2 entries, the image has 1"),
    "slices": (Slice((1, 2)), Shape(1, (4, 4)), "1 slices for 2 spatial axes"),
    "nothing left": (Slice((5, None)), Shape(1, (4,)), "it leaves no positions of (4,)"),
    "nodes": (Aggregate(RING), Shape(1, (4,)), "3 columns, but axis 0 has 4 nodes"),
    "axis": (Aggregate(RING, axis=1), Shape(1, (3,)), "axis 1 of images with 1 spatial axes"),
    "sizes beside": (
        ConcatPositions(Conv(), Conv(strides=2)), Shape(1, (4, 4)), "do not fit side by side",
    ),
    "axis beside": (ConcatPositions(Conv(), axis=1), Shape(1, (4,)), "along axis 1"),
    "rows without a graph": (GraphInput(), Shape(3, (3,)), "image_shape=(channels + n, n)"),
    "graph with two axes": (GraphInput(), Shape(9, (3, 3)), "rows of shape (channels + n, n)"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit(name):
    layer, shape, message = MISFITS[name]
    with pytest.raises(ShapeError, match=f"layers.1: .*{re.escape(message)}"):
        infer_shape(Serial(Identity(), layer), shape)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: Resize(0), ValueError, "Resize.sizes must be at least 1"),
        (lambda: Resize(2, "cubic"), ValueError, "Resize.method must be one of"),
        (lambda: Slice(1), TypeError, "Slice takes one slice for each spatial axis"),
        (lambda: Slice((0.5, 1)), TypeError, "integers and None"),
        (lambda: Slice((0, 1, 0)), ValueError, "step of a slice must not be 0"),
        (lambda: Aggregate(3), TypeError, "Aggregate.adjacency must be a matrix"),
        (lambda: Aggregate(RING, -1), ValueError, "Aggregate.axis must be an integer >= 0"),
        (lambda: ConcatPositions(), ValueError, "ConcatPositions needs at least 1 branch"),
        (lambda: ConcatPositions(Conv(), axis=True), ValueError, "ConcatPositions.axis"),
        (lambda: SelfAttention(-1.0), ValueError, "SelfAttention.w_query_std must be finite and"),
        (lambda: SelfAttention(weights="max"), ValueError, "SelfAttention.weights must be one of"),
        (lambda: SelfAttention(scaling="1/d"), ValueError, "SelfAttention.scaling must be one of"),
        (lambda: SelfAttention(scaling="sqrt"), ValueError, "no closed form"),
        (lambda: SelfAttention(bias_ntk=-1.0), ValueError, "SelfAttention.bias_ntk"),
        (lambda: SelfAttention(position_share=0.5), ValueError, "w_position_std is 0"),
        (lambda: SelfAttention(embedded_values=True), ValueError, "w_position_std is 0"),
        (
            lambda: SelfAttention(position_share=1.0, w_position_std=1.0),
            ValueError,
            "None or in (0, 1)",
        ),
        (
            lambda: SelfAttention(position_decay=2.0, w_position_std=1.0),
            TypeError,
            "None or callable",
        ),
        (lambda: SelfAttention(position_norm=0), ValueError, "position_norm must be positive"),
        (lambda: ExponentialDecay(0.0), ValueError, "ExponentialDecay.length must be positive"),
    ],
)
def test_bad_parameters(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_pairs_of_positions():
    for layer in (Resize(3), Slice((1, None))):
        assert demanded_positions(Serial(Conv(), layer, Flatten())) is Positions.SAME
        assert demanded_positions(Serial(layer, Conv(), *HEAD)) is Positions.ALL
    for layer in (Resize(3, "linear"), Aggregate(RING), Aggregate(), SelfAttention()):
        assert demanded_positions(Serial(Conv(), layer, Flatten())) is Positions.ALL
    beside = ConcatPositions(Conv(), Serial(SelfAttention()))
    assert demanded_positions(Serial(beside, Flatten())) is Positions.ALL
    assert demanded_positions(Serial(ConcatPositions(Conv(), Conv()), Flatten())) is Positions.SAME


def test_most_positions():
    network = Serial(Conv(), Sum(Serial(Resize(9), Conv(strides=3)), Conv()), *HEAD)
    assert most_positions(network, Shape(1, (3, 3))) == 81
    assert most_positions(Dense(), Shape(5)) == 1


def test_scales_by_path():
    found = scales(Serial(Conv(1), SelfAttention(0.5, w_position_std=0.7)))
    assert found["layers.1.w_query_std"] == 0.5
    assert found["layers.1.w_position_std"] == 0.7


LEGITIMATE = {
    "attention of activations": Serial(Conv(), RELU, SelfAttention(), RELU, *HEAD),
    "attention of the input": Serial(SelfAttention(), RELU, *HEAD),
    "attention last": Serial(Conv(), RELU, SelfAttention(), GlobalAvgPool()),
    "transformer": Serial(
        Conv(1), residual(Serial(LayerNorm(), EMBEDDED)),
        residual(Serial(LayerNorm(), Conv(1), RELU, Conv(1))), *HEAD,
    ),
    "two attentions in a sum": Serial(Conv(), Sum(EMBEDDED, SelfAttention()), RELU, *HEAD),
    "slices of shortcuts": Serial(Conv(), Sum(Serial(RELU, Conv(padding="valid")),
                                              Slice((1, -1))), RELU, *HEAD),
    "activation behind a map": Serial(Conv(1), Aggregate(RING), RELU, *HEAD),
    "graph": Serial(GraphInput(), Aggregate(), Conv(1), RELU, Aggregate(), GlobalSumPool(),
                    Dense()),
    "graph behind a sum": Serial(GraphInput(), Conv(1), residual(Serial(RELU, Conv(1))),
                                 Aggregate(), *HEAD),
    "graph in a branch": Serial(GraphInput(), Conv(1), residual(Serial(RELU, Aggregate(),
                                                                       Conv(1))), *HEAD),
    "beside": Serial(Conv(), ConcatPositions(Conv(), Identity(), Conv()), RELU, *HEAD),
    "one activation beside": Serial(Conv(), ConcatPositions(RELU, Conv()), Conv(), *HEAD),
    "one branch": Serial(ConcatPositions(Identity()), Conv(), *HEAD),
    "residual around branches": Serial(
        Conv(), residual(ConcatPositions(Conv(), Conv()), ConcatPositions(Conv(), Conv()))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEGITIMATE)
def test_legitimate(name):
    check_network(LEGITIMATE[name])


REFUSED = {
    "embedded input": (Serial(EMBEDDED, *HEAD), r"^layers.0: positional embeddings .* Conv\(1\)"),
    "concatenated embedding": (
        Serial(SelfAttention(position_share=0.5, w_position_std=1.0), *HEAD),
        "positional embeddings",
    ),
    "two maps of one signal": (
        Serial(Conv(1), Sum(Aggregate(RING), Identity()), RELU, *HEAD), "are correlated",
    ),
    "two slices of one signal": (
        Serial(Conv(), ConcatPositions(Slice((0, 1)), Slice((2, 3))), *HEAD),
        r"branches \[0, 1\] of a concatenation of positions .* are correlated",
    ),
    "shortcut of a shortcut": (
        Serial(Conv(), residual(Serial(ConcatPositions(Conv(), Identity()), Slice((0, 3))))),
        r"branches \[0, 1\] of a sum",
    ),
    "two activations": (
        Serial(Conv(), ConcatPositions(Serial(Conv(), RELU), Serial(Conv(), RELU)), Conv(), *HEAD),
        r"branches \[0, 1\] .* are not Gaussian \(the output of Activation\('relu'\)",
    ),
    "the input beside": (ConcatPositions(Conv(), Identity()), "channels are finitely many"),
    "activation behind one": (
        Serial(Conv(), ConcatPositions(RELU, Conv()), RELU, *HEAD), "needs Gaussian input",
    ),
    "no graph": (Serial(Conv(1), Aggregate(), *HEAD), r"layers.1: .* begin the network with Graph"),
    "graph too late": (Serial(Conv(1), GraphInput(), *HEAD), "must be the first layer"),
    "graph read in branches": (
        Serial(Sum(*[Serial(GraphInput(), Conv(1))] * 2), *HEAD), "in front of all branches",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    network, message = REFUSED[name]
    with pytest.raises(NetworkError, match=f"(?s){message}"):
        check_network(network)
