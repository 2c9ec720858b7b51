"""Random networks of two widths against the infinite-width limit, with error bars.

The mean of an empirical kernel over random networks is ``K + c / width + O(width^-2)``. The two
widths determine c: every mean must lie within four standard errors and ``|c| / width`` of the
limit, and the value extrapolated to infinite width within four of its standard errors.
"""

from __future__ import annotations

import pytest
from finite_limits import WIDTHS, distances, extrapolated, inputs, limit, sample

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
    Identity,
    LayerNorm,
    LocalAvgPool,
    NetworkError,
    Product,
    Serial,
    Sum,
    check_network,
    residual,
)

RELU, ERF = Activation("relu"), Activation("erf")

# name: (tree, shape of one input)
TREES = {
    "dense": (Serial(Dense(1.4, 0.3), RELU, Dense(1.4, 0.3), ERF, Dense(1.0, 0.1)), (4,)),
    "tanh": (Serial(*[Dense(1.4, 0.3), Activation("tanh")] * 3, Dense(1.0, 0.1)), (4,)),
    "elu": (Serial(*[Dense(1.3, 0.2), Activation("elu")] * 2, Dense()), (4,)),
    "multipliers": (
        Serial(Dense(1.4, 0.3, lr_multiplier=0.0), RELU,
               Dense(1.4, lr_multiplier=2.0, bias_ntk=0.5), ERF, Dense()),
        (4,),
    ),
    "residual": (
        Serial(Dense(1.4, 0.1), residual(Serial(RELU, Dense(1.0, 0.1))), RELU, Dense()), (4,),
    ),
    "concat": (
        Serial(Dense(1.4, 0.1), Concat(RELU, Serial(ERF, Dense(), RELU), shares=(1, 3)), Dense()),
        (4,),
    ),
    "conv_pool": (
        Serial(Conv(3, 1.4, 0.2), RELU, AvgPool(2), Conv(2, 1.4, 0.2), RELU, GlobalAvgPool(),
               Dense()),
        (2, 4, 4),
    ),
    "strided": (
        Serial(Conv(2, 1.4, 0.2, strides=3), RELU, Conv(4, 1.4, 0.2, strides=2), ERF, Flatten(),
               Dense()),
        (2, 13),
    ),
    "circular_dilated": (
        Serial(Conv(3, 1.4, 0.2, dilation=2, padding="circular"), RELU,
               Conv(2, padding=((2, 1), (0, 0))), GlobalAvgPool()),
        (2, 5, 3),
    ),
    "three_axes": (
        Serial(Conv((2, 1, 2), 1.4, 0.2), RELU, Conv(2, strides=2), Flatten()), (1, 3, 2, 3),
    ),
    "residual_conv": (
        Serial(
            Conv(3, 1.4, 0.1),
            residual(Serial(RELU, Conv(3, strides=2), RELU, Conv(3)), Conv(1, strides=2)),
            RELU, GlobalAvgPool(), Dense(),
        ),
        (2, 6),
    ),
    "transposed": (
        Serial(ConvTranspose(3, 1.4, 0.2, 2), ERF, ConvTranspose(2, 1.4, 0.1, 2, "valid"), RELU,
               GlobalAvgPool(), Dense()),
        (2, 3),
    ),
    "local": (
        Serial(ConvLocal(3, 1.4, 0.2), ERF, Conv(2, 1.2, 0.1), RELU, GlobalAvgPool(), Dense()),
        (2, 4),
    ),
    "edges": (
        Serial(Conv(2, 1.4, 0.2), RELU, AvgPool(3, 1, "same", True), Conv(2, 1.2), RELU, Flatten(),
               Dense()),
        (2, 4),
    ),
    "blurred": (Serial(Conv(3, 1.4, 0.2), RELU, LocalAvgPool(2), Flatten(), Dense()), (2, 3)),
    "layer_norm": (
        Serial(Dense(1.4, 0.3), LayerNorm(), RELU, Dense(1.2, 0.1), LayerNorm(), ERF, Dense()),
        (4,),
    ),
    "layer_norm_all": (
        Serial(Conv(2, 1.4, 0.3), LayerNorm("all"), RELU, Conv(2), GlobalAvgPool()), (2, 4),
    ),
    "dropout": (
        Serial(Conv(2, 1.4, 0.3), RELU, Dropout(0.3), Conv(2), ERF, Dropout(0.2), GlobalAvgPool(),
               Dense()),
        (2, 3),
    ),
    "product": (
        Serial(
            Dense(1.4, 0.3),
            Product(Serial(RELU, Dense(1.2, 0.1)), Serial(RELU, Dense(0.9, 0.3), ERF)),
            Dense(0.8, 0.1),
        ),
        (4,),
    ),
}  # fmt: skip


SLOW = (
    "blurred", "circular_dilated", "concat", "dropout", "edges", "layer_norm_all", "local",
    "residual_conv", "strided", "three_axes", "transposed",
)  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in TREES]
)
def test_finite_networks_converge_to_the_kernel(name: str) -> None:
    tree, shape = TREES[name]
    x, ratio = inputs(shape), WIDTHS[0] / WIDTHS[1]
    want = limit(tree, x)
    narrow, wide = (sample(tree, x, width, n_networks=200) for width in WIDTHS)
    end = extrapolated(narrow, wide)
    assert ((end.mean - want).abs() <= 4 * end.error).all()
    for width, found in zip(WIDTHS, (narrow, wide), strict=True):
        slope = (narrow.mean - end.mean).abs() * WIDTHS[0]
        assert ((found.mean - want).abs() <= 4 * found.error + slope / width).all()
    noise = 4 * (wide.error.norm() + ratio * narrow.error.norm())
    assert (wide.mean - want).norm() <= ratio * (narrow.mean - want).norm() + noise
    # single networks fluctuate by 1 / sqrt(width)
    assert narrow.error.norm() / wide.error.norm() == pytest.approx(ratio**-0.5, rel=0.3)
    # the error bars are short enough to see an error of a few percent
    assert end.error.max() <= 0.03 * want.diagonal(dim1=1, dim2=2).max()


# Trees for which the recursion computes another kernel than that of the network, what
# check_network says of them, and the shape of one input.
MALFORMED = {
    "active shortcut": (
        Serial(Dense(1.4), RELU, residual(Dense(0.3)), RELU, Dense()), "not Gaussian", (4,),
    ),
    "twice the same": (
        Serial(Dense(1.4), Sum(Identity(), Identity()), RELU, Dense()), "correlated", (4,),
    ),
    "nested identities": (
        Serial(Dense(), residual(residual(Serial(RELU, Dense()))), RELU, Dense()), "correlated",
        (4,),
    ),
    "identity and pooling": (
        Serial(Conv(), residual(AvgPool(2, strides=1, padding="same")), RELU, GlobalAvgPool(),
               Dense()),
        "correlated", (2, 5),
    ),
    "mixture of branches": (
        Serial(Dense(), RELU, Concat(Dense(3.0), Dense(0.3)), ERF, Dense()), "mixture", (4,),
    ),
    "mixture of positions": (Serial(Conv(1, 4.0), Flatten(), ERF, Dense()), "mixture", (1, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_refused_trees_have_another_limit(name: str) -> None:
    """The recursion, run in spite of the check, is wrong by far more than the error bars."""
    tree, why, shape = MALFORMED[name]
    with pytest.raises(NetworkError, match=why):
        check_network(tree)
    in_errors, in_entries = distances(tree, shape)
    assert (in_errors > 10).all()
    assert (in_entries > 0.05).all()
