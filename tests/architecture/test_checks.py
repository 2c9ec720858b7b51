"""Which trees have a Gaussian limit."""

from __future__ import annotations

import pytest

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    NetworkError,
    SelfAttention,
    Serial,
    Sum,
    SumPool,
    check_network,
    residual,
)

RELU = Activation("relu")
BLOCK, CONV_BLOCK = Serial(RELU, Dense()), Serial(RELU, Conv())
HEAD = (GlobalAvgPool(), Dense())

LEGITIMATE = {
    "linear": Dense(),
    "dense": Serial(Dense(), RELU, Dense()),
    "residual": Serial(Dense(), residual(BLOCK), residual(BLOCK), RELU, Dense()),
    "branch_from_the_input": Sum(Dense(), Serial(Dense(), RELU, Dense())),
    "two_fresh_branches": Serial(Dense(), Sum(BLOCK, BLOCK), RELU, Dense()),
    "identity_beside_fresh_branches": Serial(Dense(), Sum(BLOCK, Identity(), BLOCK), Dense()),
    "single_branch": Serial(Dense(), Sum(Identity()), RELU, Dense()),
    "nested": Serial(Dense(), residual(Serial(RELU, Dense(), residual(BLOCK))), Dense()),
    "nested_around_fresh": Serial(Dense(), Sum(Serial(residual(BLOCK), Dense()), Identity())),
    "pooled_shortcut": Serial(Conv(), Sum(Serial(CONV_BLOCK, AvgPool(2)), AvgPool(2)), *HEAD),
    "pooling_after_fresh_weights": Serial(
        Conv(), residual(Serial(CONV_BLOCK, SumPool(3, 1, "same"))), *HEAD
    ),
    "projection": Serial(Conv(), Sum(Serial(RELU, Conv(strides=2)), Conv(1, strides=2)), *HEAD),
    "pooled_gaussian": Serial(Conv(), AvgPool(2), RELU, *HEAD),
    "activation_on_a_pooled_head": Serial(Conv(), GlobalAvgPool(), RELU, Dense()),
    "pooling_head": Serial(Conv(), GlobalAvgPool()),
    "flatten": Serial(Conv(), RELU, Flatten(), Dense(), RELU, Dense()),
    "flattened_input": Serial(Flatten(), Dense(), RELU, Dense()),
    "concat_before_dense": Serial(Dense(), Concat(BLOCK, BLOCK), Dense()),
    "concat_of_activations": Serial(Dense(), Concat(RELU, Activation("erf")), Dense()),
    "concat_with_the_shortcut": Serial(Dense(), Concat(BLOCK, Identity()), Dense(), RELU, Dense()),
    "concat_before_conv": Serial(Conv(), Concat(CONV_BLOCK, Identity()), Conv(), RELU, *HEAD),
    "concat_before_pooling": Serial(Conv(), Concat(RELU, Identity()), AvgPool(2), *HEAD),
    "concat_in_a_branch": Serial(Dense(), residual(Serial(Concat(BLOCK, RELU), Dense())), Dense()),
}
MALFORMED = {
    "two_identities": (
        Serial(Dense(), Sum(Identity(), Identity()), Dense()),
        r"^layers\.1: branches \[0, 1\] of a sum .* correlated .* cross term",
    ),
    "residual_in_a_branch": (
        Serial(Dense(), residual(residual(BLOCK)), Dense()),
        r"branches \[0, 1\] .* without passing fresh random weights",
    ),
    "twice_nested": (
        Serial(
            Dense(), Sum(BLOCK, residual(residual(BLOCK, Dense()), Sum(Identity())), Identity())
        ),
        r"^layers\.1: branches \[1, 2\] of a sum",
    ),
    "identity_and_pooling": (
        Serial(Conv(), Sum(AvgPool(3, 1, "same"), Identity()), *HEAD),
        "At most one branch may be an identity",
    ),
    "two_poolings": (Serial(Conv(), Sum(AvgPool(2), SumPool(2)), *HEAD), r"branches \[0, 1\]"),
    "activation_ends_a_branch": (
        Serial(Dense(), residual(RELU), Dense()),
        r"branch 0 of a sum, Activation\('relu'\), is not Gaussian: the output of Activation\(",
    ),
    "identity_of_the_input": (Sum(Dense(), Identity()), "branch 1 .* input is not Gaussian"),
    "activation_first": (Serial(RELU, Dense()), r"^layers\.0: .* input is not Gaussian"),
    "two_activations": (
        Serial(Dense(), RELU, RELU, Dense()),
        r"layers\.2: .* needs Gaussian input",
    ),
    "activation_last": (Serial(Dense(), RELU), "does not end in a Gaussian output"),
    "pooled_activation_in_a_sum": (
        Serial(Conv(), residual(Serial(RELU, AvgPool(3, 1, "same"))), *HEAD),
        "branch 0 of a sum",
    ),
    "activation_behind_flatten": (
        Serial(Conv(), Flatten(), RELU, Dense()),
        r"layers\.2: .* Flatten\(\) .*mixture",
    ),
    "activation_behind_flattened_attention": (
        Serial(Conv(), Concat(CONV_BLOCK, CONV_BLOCK), SelfAttention(), Flatten(), RELU, Dense()),
        r"layers\.4: .* Flatten\(\) .*mixture",
    ),
    "activation_behind_flattened_branches": (
        Serial(Conv(), Sum(Serial(RELU, Conv(), Flatten()), Flatten()), RELU, Dense()),
        "mixture",
    ),
    "activation_behind_concat": (
        Serial(Dense(), Concat(BLOCK, BLOCK), RELU, Dense()),
        r"layers\.2: .* channels of Concat are a mixture .* put Dense\(\) or Conv\(\) before",
    ),
    "pooling_keeps_a_mixture": (
        Serial(Conv(), Concat(Identity(), CONV_BLOCK), GlobalAvgPool(), RELU, Dense()),
        "mixture",
    ),
    "concat_in_a_sum": (
        Serial(Dense(), residual(Concat(BLOCK, BLOCK)), Dense()),
        "branch 0 of a sum, Concat.*mixture",
    ),
    "concat_last": (Serial(Dense(), Concat(BLOCK, BLOCK)), "does not end in a Gaussian .*mixture"),
    "concat_of_the_input": (
        Serial(Concat(Dense(), Identity()), Dense()),
        "branch 1 of a concatenation carries the network's input, whose channels are finitely many",
    ),
    "nothing": (Serial(), "does not end in a Gaussian output"),
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_legitimate(name):
    check_network(LEGITIMATE[name])


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name):
    network, message = MALFORMED[name]
    with pytest.raises(NetworkError, match=f"(?s){message}"):
        check_network(network)


@pytest.mark.parametrize("value", ["relu", None, [Dense()], Dense])
def test_what_is_not_a_network(value):
    with pytest.raises(TypeError, match="a network is a tree of layers, got"):
        check_network(value)


def test_network_errors_are_value_errors():
    assert issubclass(NetworkError, ValueError)
