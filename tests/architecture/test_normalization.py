"""Where LayerNorm, Dropout and products may stand, and what is said where they may not."""

from __future__ import annotations

import math

import pytest

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    LayerNorm,
    NetworkError,
    Positions,
    Product,
    Serial,
    Shape,
    ShapeError,
    Sum,
    check_network,
    demanded_positions,
    infer_shape,
    residual,
)

RELU = Activation("relu")
BLOCK, CONV_BLOCK = Serial(RELU, Dense()), Serial(RELU, Conv())
HEAD = (GlobalAvgPool(), Dense())

LEGITIMATE = {
    "norm": Serial(Dense(), LayerNorm(), RELU, Dense()),
    "norm_twice": Serial(Dense(), LayerNorm(), LayerNorm(), RELU, Dense()),
    "norm_of_images": Serial(Conv(), LayerNorm("all"), RELU, Conv(), LayerNorm(), RELU, *HEAD),
    "norm_behind_pooling": Serial(Conv(), AvgPool(2), LayerNorm(), RELU, *HEAD),
    "pre_norm": Serial(Dense(), residual(Serial(LayerNorm(), BLOCK)), LayerNorm(), RELU, Dense()),
    "norm_on_fresh_branch": Serial(Dense(), residual(Serial(BLOCK, LayerNorm())), Dense()),
    "dropout": Serial(Dense(), RELU, Dropout(0.5), Dense()),
    "dropout_of_a_gaussian": Serial(Dense(), Dropout(0.5), Dense(), RELU, Dense()),
    "dropout_in_a_branch": Serial(Dense(), residual(Serial(RELU, Dropout(0.1), Dense())), Dense()),
    "product": Serial(Product(Dense(), Dense()), Dense(), RELU, Dense()),
    "gate": Serial(Dense(), Product(BLOCK, Serial(BLOCK, RELU)), Dense()),
    "product_with_the_shortcut": Serial(Dense(), Product(BLOCK, Identity()), Dense()),
    "product_of_one": Serial(Product(Dense()), RELU, Dense()),
    "product_of_images": Serial(Conv(), Product(CONV_BLOCK, Identity()), Conv(), RELU, *HEAD),
    "product_of_a_mixture": Serial(Conv(), Product(Flatten(), Serial(Flatten(), Dense())), Dense()),
    "product_in_a_branch": Serial(
        Dense(), residual(Serial(Product(BLOCK, Identity()), Dense())), RELU, Dense()
    ),
}
MALFORMED = {
    "norm_of_the_input": (
        Serial(LayerNorm(), Dense()),
        r"^layers\.0: LayerNorm\(\) on the network's input .* normalize the rows of X",
    ),
    "norm_of_an_activation": (
        Serial(Dense(), RELU, LayerNorm(), Dense()),
        r"^layers\.2: LayerNorm\(\) needs Gaussian input, but the output of Activation.*put Dense",
    ),
    "norm_last": (Serial(Dense(), LayerNorm()), "ends in a LayerNorm without weights behind it"),
    "norm_before_a_head": (Serial(Conv(), LayerNorm(), GlobalAvgPool()), "ends in a LayerNorm"),
    "norm_in_a_branch_at_the_end": (
        Serial(Dense(), residual(Serial(BLOCK, LayerNorm()))),
        "ends in a LayerNorm",
    ),
    "norm_beside_identity": (
        Serial(Dense(), residual(LayerNorm()), Dense()),
        r"branches \[0, 1\] of a sum .* correlated",
    ),
    "norm_of_a_mixture": (
        Serial(Dense(), Concat(BLOCK, BLOCK), LayerNorm(), Dense()),
        r"layers\.2: .*channels of Concat are a mixture",
    ),
    "dropout_of_the_input": (
        Serial(Dropout(0.5), Dense()),
        r"^layers\.0: Dropout\(p=0.5\) on the network's input, .* masks do not average out",
    ),
    "dropout_last": (
        Serial(Dense(), Dropout(0.5)),
        r"does not end in a Gaussian output \(the output of Dropout\(p=0.5\) is not Gaussian\)",
    ),
    "activation_behind_dropout": (
        Serial(Dense(), Dropout(0.5), RELU, Dense()),
        r"layers\.2: .* the output of Dropout",
    ),
    "norm_behind_dropout": (Serial(Dense(), Dropout(0.5), LayerNorm(), Dense()), r"of Dropout\("),
    "dropout_ends_a_branch": (
        Serial(Dense(), residual(Serial(BLOCK, Dropout(0.5))), Dense()),
        "branch 0 of a sum",
    ),
    "product_last": (Product(Dense(), Dense()), "a product of branches is not Gaussian"),
    "activation_behind_a_product": (
        Serial(Dense(), Product(BLOCK, BLOCK), RELU, Dense()),
        r"layers\.2: .* a product of branches is not Gaussian; put Dense\(\)",
    ),
    "product_of_identities": (
        Serial(Dense(), Product(Identity(), Identity()), Dense()),
        r"^layers\.1: branches \[0, 1\] of a product .* not independent.* all but one",
    ),
    "product_of_norm_and_identity": (
        Serial(Dense(), Product(LayerNorm(), Identity()), Dense()),
        r"branches \[0, 1\] of a product",
    ),
    "product_of_the_input": (
        Product(Dense(), Identity()),
        "branch 1 of a product carries the network's input",
    ),
    "product_of_mixtures": (
        Serial(Conv(), Product(Serial(CONV_BLOCK, Flatten()), Serial(Conv(), Flatten())), Dense()),
        r"in branches \[0, 1\] of a product channels of several positions",
    ),
    "sum_of_products": (
        Serial(Dense(), Sum(Product(BLOCK, BLOCK), Identity()), Dense()),
        "branch 0 of a sum",
    ),
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_legitimate(name):
    check_network(LEGITIMATE[name])


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name):
    network, message = MALFORMED[name]
    with pytest.raises(NetworkError, match=f"(?s){message}"):
        check_network(network)


@pytest.mark.parametrize("axes", ["positions", "all ", None, (1, 2), -1])
def test_axes(axes):
    with pytest.raises(ValueError, match=r"LayerNorm\.axes must be one of \('channels', 'all'\)"):
        LayerNorm(axes)


@pytest.mark.parametrize(
    "eps, error", [(-1.0, ValueError), (math.nan, ValueError), ("1", TypeError)]
)
def test_eps(eps, error):
    with pytest.raises(error, match=r"LayerNorm\.eps must be"):
        LayerNorm(eps=eps)


@pytest.mark.parametrize("p", [-0.1, 1, 1.0, 2, math.nan])
def test_probabilities(p):
    with pytest.raises(ValueError, match=r"Dropout\.p must be a probability in \[0, 1\)"):
        Dropout(p)


@pytest.mark.parametrize("p", [True, "0.5", None])
def test_probabilities_are_numbers(p):
    with pytest.raises(TypeError, match=r"Dropout\.p must be a number"):
        Dropout(p)


def test_a_product_takes_layers():
    with pytest.raises(TypeError, match="Product takes layers"):
        Product(Dense(), "relu")
    with pytest.raises(ValueError, match="Product needs at least 1 branch"):
        Product()


def test_shapes_are_kept():
    shape = Shape(None, (4, 3))
    for layer in (LayerNorm(), LayerNorm("all"), Dropout(0.1)):
        assert infer_shape(layer, shape) == shape
    assert infer_shape(Product(Conv(strides=2), AvgPool(2, padding="same")), shape) == Shape(
        None, (2, 2)
    )


def test_branches_of_a_product_agree():
    with pytest.raises(ShapeError, match=r"branches end in different shapes \[\(4,\), \(2,\)\]"):
        infer_shape(Product(Conv(), Conv(strides=2)), Shape(3, (4,)))


def test_pairs_of_positions():
    flat, pooled = (Flatten(), Dense()), HEAD
    for layer in (LayerNorm(), LayerNorm("all"), Dropout(0.2), Product(Conv(), Conv())):
        assert demanded_positions(Serial(Conv(), layer, *flat)) is Positions.SAME
        assert demanded_positions(Serial(Conv(), layer, *pooled)) is Positions.ALL
    pool = Product(Conv(), AvgPool(3, 1, "same"))
    assert demanded_positions(Serial(Conv(), pool, *flat)) is Positions.ALL
