"""Networks of images of all shapes, for the tests of the fused engine."""

from __future__ import annotations

from fused_cases import (
    BEHIND,
    CIRCULAR,
    FUNCTIONS,
    LINE,
    ODD,
    RELU,
    SQUARE,
    W,
    block,
    conv,
    flat,
    pooled,
    skip,
)

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Layer,
    Serial,
    Sum,
    SumPool,
    residual,
)

# Every network with the shape of its images. What makes a case stands in its name.
IMAGES: dict[str, tuple[Layer, tuple[int, ...]]] = {
    "line": (pooled(*[block()] * 3), LINE),
    "line, flat": (flat(*[block()] * 3), LINE),
    "odd": (pooled(*[block()] * 3), ODD),
    "odd, flat": (flat(*[block()] * 3), ODD),
    "1 x 1": (pooled(block(), block((1, 3)), block((3, 1))), (4, 1, 1)),
    "1 x 6": (pooled(block(), block((1, 3)), block((3, 1))), (2, 1, 6)),
    "6 x 1": (pooled(block(), block((1, 3)), block((3, 1))), (2, 6, 1)),
    "1 position": (pooled(block(), block(1), AvgPool(1), block(5)), (3, 1)),
    "2 positions": (pooled(block(), block(**CIRCULAR)), (3, 2)),
    "1 x 2, circular": (pooled(block(**CIRCULAR), block(3, **CIRCULAR)), (3, 1, 2)),
    "1 x 1, circular": (pooled(block(1, **CIRCULAR), block(3, **CIRCULAR)), (3, 1, 1)),
    "points": (pooled(block(1), block((1, 1))), ODD),
    "even": (pooled(block(2), block(4)), ODD),
    "even, circular": (pooled(block(2, **CIRCULAR), block(4, **CIRCULAR)), ODD),
    "even, valid": (pooled(block(2, padding="valid"), block((4, 1), padding="valid")), ODD),
    "wide": (pooled(block(9), block((11, 5))), (2, 3, 4)),
    "wide, flat": (flat(block(9), block((11, 5))), (2, 3, 4)),
    "other sides": (pooled(block((1, 3)), block((5, 2))), ODD),
    "valid": (pooled(block(padding="valid"), block((2, 3), padding="valid")), ODD),
    "valid, same": (pooled(block(padding="valid"), block(), block(2)), ODD),
    "valid to 1": (flat(block((7, 5), padding="valid"), block()), ODD),
    "explicit": (pooled(block(padding=((2, 0), (0, 1))), block(padding=(1, 2))), ODD),
    "far": (pooled(block(2, padding=(3, 4)), block(1, padding=(2, 0))), LINE),
    "far, flat": (flat(block(2, padding=(3, 4)), block(1, padding=(2, 0))), LINE),
    "far, strides": (pooled(block(1, padding=(4, 5), strides=3), block(3)), LINE),
    "far in a plane": (pooled(block(3, padding=((3, 0), (0, 4))), block(3)), (1, 2, 3)),
    "strides": (pooled(block(strides=2), block(strides=(1, 2)), block()), ODD),
    "strides, flat": (flat(block(strides=2), block(strides=(1, 2)), block()), ODD),
    "strides on a line": (pooled(block(strides=2), block(strides=3), block()), (2, 13)),
    "long strides": (pooled(block(2, strides=3), block(1, strides=(2, 1))), ODD),
    "strides to 1": (pooled(block(strides=9), block(3)), ODD),
    "strides, even": (pooled(block(2, strides=2), block(4, strides=2)), (1, 8, 5)),
    "strides, valid": (pooled(block(padding="valid", strides=2), block(2, padding="valid")), ODD),
    "strides, points": (pooled(block(), block(1, strides=2), block()), ODD),
    "dilation": (pooled(block(dilation=2), block((2, 3), dilation=(3, 1))), ODD),
    "dilation, valid": (pooled(block(dilation=(3, 2), padding="valid"), block(dilation=2)), ODD),
    "dilation, strides": (pooled(block(dilation=2, strides=2), block(2, dilation=2)), ODD),
    "dilation, circular": (pooled(block(dilation=2, **CIRCULAR), block((2, 3), **CIRCULAR)), ODD),
    "circular": (pooled(*[block(**CIRCULAR)] * 3), ODD),
    "circular, flat": (flat(*[block(**CIRCULAR)] * 3), ODD),
    "circular on a line": (pooled(*[block(5, **CIRCULAR)] * 2), LINE),
    "circular, strides": (pooled(block(), block(strides=2, **CIRCULAR), block(**CIRCULAR)), SQUARE),
    "circular, all around": (pooled(block(5, **CIRCULAR), block(3, **CIRCULAR)), (3, 2, 4)),
    "circular, ragged": (
        pooled(block(strides=2, **CIRCULAR), block(3, strides=3, **CIRCULAR)),
        ODD,
    ),
    "circular, ragged, flat": (
        flat(block(strides=2, **CIRCULAR), block(strides=2, **CIRCULAR)),
        ODD,
    ),
    "circular, long strides": (pooled(block(2, strides=3, **CIRCULAR), block()), LINE),
    "circular, points": (pooled(block(**CIRCULAR), block(1, strides=2), block(**CIRCULAR)), ODD),
    "mixed": (pooled(block(), block(**CIRCULAR), block(**CIRCULAR), block(), block(1)), ODD),
    "mixed, flat": (flat(block(**CIRCULAR), block(), block(**CIRCULAR)), ODD),
    "mixed, sum": (
        pooled(conv(), Sum(Serial(RELU, conv(**CIRCULAR)), Serial(RELU, conv())), RELU),
        ODD,
    ),
    "pool": (pooled(block(), AvgPool(2), block(), AvgPool(2), block()), ODD),
    "pool, flat": (flat(block(), AvgPool(2), block()), ODD),
    "pool on a line": (pooled(block(), AvgPool(2), block(), SumPool(2), block()), (2, 9)),
    "pool, overlapping": (pooled(block(), AvgPool(3, 2), block(), AvgPool(2, 1), block()), ODD),
    "pool, padded": (pooled(block(), AvgPool(3, 2, "same"), block(), AvgPool(2, 1, (1, 2))), ODD),
    "pool, circular": (pooled(block(), AvgPool(3, 2, "circular"), block(**CIRCULAR)), ODD),
    "pool, gaps": (pooled(block(), AvgPool(2, 3), block()), ODD),
    "pool, sides": (pooled(block(), AvgPool((1, 3), (1, 2)), block(), SumPool((2, 1)), RELU), ODD),
    "pool, sum": (pooled(block(), SumPool(2), block(), SumPool(2, 1, "same"), block()), ODD),
    "pool first": (pooled(AvgPool(2), block(), block()), ODD),
    "pool last": (flat(block(), conv(), AvgPool(2)), ODD),
    "pools in a row": (pooled(block(), AvgPool(2, 1), SumPool(2), block()), ODD),
    "pool, linear": (pooled(conv(), AvgPool(2), RELU, block()), ODD),
    "pool before strides": (pooled(block(), AvgPool(2), block(strides=2), block()), (1, 9, 8)),
    "pool behind strides": (flat(block(strides=2), AvgPool(2), block()), (1, 9, 8)),
    "beside pool": (
        pooled(conv(), Sum(Serial(RELU, conv(strides=2)), AvgPool(2, 2, "same")), RELU, conv()),
        ODD,
    ),
    "beside pool, flat": (
        flat(conv(), Sum(AvgPool(2, 2, "same"), Serial(RELU, conv(strides=2))), RELU, conv()),
        ODD,
    ),
    "beside pools": (
        pooled(
            conv(), Sum(AvgPool(3, 1, "same"), Serial(RELU, conv()), Serial(AvgPool(1), conv()))
        ),
        ODD,
    ),
    "one branch": (pooled(conv(), Sum(Serial(AvgPool(2), RELU, conv(2))), block()), ODD),
    "one channel share": (flat(conv(), Concat(AvgPool(2)), block()), ODD),
    "other strides": (
        pooled(
            conv(),
            Sum(Serial(RELU, conv(strides=2)), Serial(RELU, conv(2, padding="valid"))),
            RELU,
            conv(),
        ),
        (2, 3, 3),
    ),
    "residual": (pooled(conv(), skip(conv()), skip(conv(), RELU, conv()), RELU), ODD),
    "residual, flat": (flat(conv(), skip(conv()), skip(conv(), RELU, conv()), RELU), ODD),
    "residual, identity first": (pooled(conv(), Sum(Identity(), Serial(RELU, conv())), RELU), ODD),
    "residual, last": (pooled(conv(), skip(conv())), ODD),
    "residual, input": (pooled(residual(conv(3, 1.0, 0.3)), RELU, conv()), ODD),
    "residual, projected": (
        pooled(conv(), skip(conv(strides=2), RELU, conv(), shortcut=conv(1, strides=2)), RELU),
        ODD,
    ),
    "residual, circular": (
        pooled(conv(), skip(conv(**CIRCULAR), RELU, conv(**CIRCULAR)), RELU),
        ODD,
    ),
    "residual, rectified": (
        pooled(conv(), RELU, residual(Serial(conv(), RELU, conv())), conv()),
        ODD,
    ),
    "sums in sums": (
        pooled(
            conv(),
            Sum(
                Identity(), Serial(RELU, conv(), skip(conv(), RELU, conv())), Serial(RELU, conv(1))
            ),
            Sum(Serial(RELU, Sum(conv(2), Serial(conv(), RELU, conv(1)))), Identity()),
            RELU,
        ),
        ODD,
    ),
    "the same twice": (flat(conv(), Sum(block(), block()), conv()), ODD),
    "only identities": (pooled(conv(), Sum(Identity(), Serial()), RELU, conv()), SQUARE),
    "concat": (
        pooled(conv(), Concat(block(), Serial(RELU, conv(2)), shares=(0.3, 1.7)), conv()),
        ODD,
    ),
    "concat, strides": (
        flat(block(), Concat(block(strides=2), AvgPool(2, 2, "same"), shares=(3, 1)), conv()),
        ODD,
    ),
    "concat, identity": (pooled(block(), Concat(Identity(), block(), shares=(2, 1)), conv()), ODD),
    "concat in a sum": (
        pooled(
            conv(),
            skip(Concat(block(), Identity(), Sum(conv(), conv(1)), shares=(1, 2, 4)), conv()),
            RELU,
        ),
        SQUARE,
    ),
    "global sum": (Serial(block(), block(), GlobalSumPool(), Dense()), ODD),
    "layers behind a mean": (Serial(block(), conv(), GlobalAvgPool(), *BEHIND), ODD),
    "layers behind a sum": (Serial(block(), conv(), GlobalSumPool(), *BEHIND), SQUARE),
    "layers behind positions": (Serial(block(), AvgPool(2), conv(), Flatten(), *BEHIND), ODD),
    "relu behind a mean": (Serial(block(strides=2), conv(), GlobalAvgPool(), RELU, Dense()), ODD),
    "relu behind pools": (
        Serial(block(), AvgPool(2), block(), GlobalAvgPool(), *BEHIND[:1], RELU, Dense()),
        ODD,
    ),
    "only a head": (Serial(GlobalAvgPool(), Dense(1.2, 0.3)), ODD),
    "only positions": (Serial(Flatten(), Dense(1.2, 0.3), RELU, Dense()), ODD),
    "head at the end": (Serial(block(), conv(), GlobalAvgPool()), ODD),
    "many channels": (pooled(block(), block()), (67, 3, 3)),
    "frozen": (pooled(block(lr_multiplier=0.0), block(lr_multiplier=0.3), conv(bias_ntk=0.7)), ODD),
    "no bias": (pooled(*[block(3, W, 0.0)] * 3), ODD),
    "no bias, strides": (flat(*[block(2, W, 0.0, strides=2)] * 2), ODD),
    "no weights": (pooled(block(), conv(3, 0.0, 0.3), RELU, conv()), SQUARE),
    "nothing": (pooled(block(), conv(3, 0.0, 0.0), RELU, conv(3, 1.0, 0.0)), SQUARE),
    "bias only in the tangent": (pooled(block(3, W, 0.0, bias_ntk=1.0), conv(bias_ntk=0.0)), ODD),
    "large": (pooled(block(), block(), block(strides=2), block()), (3, 12, 11)),
}


def _activated(function) -> Layer:
    layers = (conv(3, 0.9, 0.3), Activation(function))
    return pooled(*layers, AvgPool(2), *layers, conv(3, 0.9, **CIRCULAR), Activation(function))


IMAGES |= {name: (_activated(function), SQUARE) for name, function in FUNCTIONS.items()}

# Activations that are summed up, to fewer digits than the others.
SUMMED: dict[str, tuple[Layer, tuple[int, ...]]] = {
    "tanh": (_activated("tanh"), SQUARE),
    "silu, strides": (
        pooled(conv(strides=2), Activation("silu"), conv(), Activation("tanh")),
        ODD,
    ),
}
