"""Networks with layers beyond the plain ones, for the tests of the fused engine."""

from __future__ import annotations

from fused_cases import CIRCULAR, LINE, RELU, W, block, conv, flat, pooled, skip

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
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
    Product,
    Serial,
    Sum,
    SumPool,
)

ERF = Activation("erf")
ODD, SQUARE, SMALL = (2, 5, 4), (2, 3, 3), (2, 3, 2)


def up(filter=3, strides=2, padding="same", **options) -> ConvTranspose:
    return ConvTranspose(filter, 1.2, 0.3, strides, padding, **options)


def local(filter=3, **options) -> ConvLocal:
    return ConvLocal(filter, 1.2, 0.3, **options)


def edges(window, strides=None, padding="same") -> AvgPool:
    return AvgPool(window, strides, padding, normalize_edges=True)


TRANSPOSED: dict[str, tuple[Layer, tuple[int, ...]]] = {
    "grows": (pooled(block(), up(), RELU, conv(), RELU), SMALL),
    "flat": (flat(block(), up((2, 3), (3, 2)), RELU, conv(), RELU), SMALL),
    "valid": (pooled(block(), up((2, 3), (3, 2), "valid"), RELU, conv(), RELU), SMALL),
    "circular": (pooled(block(), up((2, 3), (3, 2), "circular"), RELU, conv(), ERF), SMALL),
    "circular, wide": (pooled(block(), up(5, 2, "circular"), RELU, conv(), ERF), SMALL),
    "circular, 1": (pooled(block(), up(3, 1, "circular"), RELU, conv(), ERF), SMALL),
    "1": (pooled(block(), up((2, 4), 1), RELU, conv(), ERF), SMALL),
    "explicit": (pooled(up((2, 4), 2, ((1, 3), (0, 0))), RELU, conv(), ERF), SQUARE),
    "up and down": (pooled(up(), RELU, up(), RELU, conv(strides=2), RELU), SMALL),
    "line": (pooled(block(), up(), RELU, conv(), RELU), LINE),
    "rates": (flat(up(lr_multiplier=0.3, bias_ntk=0.7), RELU, conv()), SMALL),
    "beside": (pooled(conv(), Sum(Serial(RELU, up(2)), up(3)), RELU), SMALL),
}
LOCAL: dict[str, tuple[Layer, tuple[int, ...]]] = {
    "pooled": (pooled(local(), RELU), SQUARE),
    "flat": (flat(local(), RELU, local(2, strides=2), RELU), ODD),
    "strides": (pooled(block(), local(2, strides=2), RELU, conv(), RELU), ODD),
    "circular": (pooled(block(), local(2, strides=2, padding="circular"), RELU, conv()), ODD),
    "circular, 1": (pooled(block(), local(**CIRCULAR), RELU, AvgPool(2), conv(), RELU), ODD),
    "residual": (pooled(conv(), skip(local()), skip(conv(), shortcut=local(1))), ODD),
    "line": (pooled(local(2), RELU, AvgPool(2), local(), RELU), LINE),
    "rates": (pooled(local(lr_multiplier=0.3, bias_ntk=0.7), RELU, conv()), SQUARE),
}
POOLING: dict[str, tuple[Layer, tuple[int, ...]]] = {
    "edges": (pooled(block(), edges(3, 2), conv(), RELU), ODD),
    "edges, flat": (flat(conv(), edges((2, 3), 1), RELU, conv()), ODD),
    "edges, twice": (pooled(conv(), edges(2, 1), RELU, edges(3, 1), conv(), RELU), SQUARE),
    "edges, padded": (flat(block(), edges((2, 3), 1, (2, 4)), conv()), SQUARE),
    "edges before a head": (flat(block(), edges((2, 3), 1, (2, 4))), ODD),
    "edges before a mean": (pooled(block(), edges((2, 3), (2, 1))), ODD),
    "blur": (flat(block(), LocalAvgPool(2)), ODD),
    "blur beyond": (flat(block(), LocalAvgPool(9)), SQUARE),
    "blur inside": (pooled(block(), LocalAvgPool((1, 0)), conv(), RELU), SQUARE),
    "blur of a line": (flat(block(), LocalAvgPool(3)), LINE),
    "before a head": (flat(block(), AvgPool(2)), ODD),
    "before a mean": (pooled(block(), AvgPool(3, 2)), ODD),
    "kept by branches": (
        pooled(conv(), Sum(AvgPool(2), Serial(AvgPool(2), RELU, conv())), RELU), ODD,
    ),
    "kept by fresh branches": (
        flat(block(), conv(),
             Sum(Serial(edges(2), RELU, conv(1)), Serial(edges(2), RELU, conv())), RELU),
        ODD,
    ),
    "kept side by side": (
        pooled(block(), Concat(AvgPool(2), Serial(AvgPool(2), conv(1)), shares=(1, 3)), conv()),
        ODD,
    ),
    "before a sum": (Serial(block(), SumPool(2, 1, (2, 1)), GlobalSumPool(), Dense()), ODD),
    "circular": (flat(block(**CIRCULAR), AvgPool(3, 1, "circular")), ODD),
    "circular strides": (pooled(block(**CIRCULAR), AvgPool(3, 2, "circular")), ODD),
    "layers behind": (
        Serial(conv(), LocalAvgPool(1), GlobalAvgPool(), RELU, Dense(W, 0.1), ERF, Dense()), ODD,
    ),
}  # fmt: skip
RESCALED: dict[str, tuple[Layer, tuple[int, ...]]] = {
    "all": (pooled(conv(), LayerNorm("all"), RELU, conv(), LayerNorm("all"), RELU), ODD),
    "channels": (pooled(conv(), LayerNorm(), RELU, AvgPool(2), conv(), LayerNorm(), RELU), ODD),
    "eps": (flat(conv(), LayerNorm(eps=0.3), RELU, conv(), LayerNorm("all", 0.5)), ODD),
    "behind a head": (
        Serial(block(), conv(), GlobalAvgPool(), LayerNorm(eps=0.1), RELU, Dense()), ODD,
    ),
    "dropout": (pooled(block(), Dropout(0.3), conv(), RELU, Dropout(0.5)), ODD),
    "dropout, flat": (flat(block(), Dropout(0.3), conv(), RELU, Dropout(0.5)), ODD),
    "dropout, circular": (
        flat(block(**CIRCULAR), Dropout(0.3), conv(**CIRCULAR), ERF, AvgPool(2), Dropout(0.5),
             conv(), RELU),
        ODD,
    ),
    "dropout of a gaussian": (pooled(conv(), Dropout(0.3), conv(strides=2), Dropout(0.2)), ODD),
    "dropout behind a head": (
        Serial(block(), GlobalAvgPool(), Dropout(0.4), Dense(), RELU, Dense()), ODD,
    ),
    "dropout and positions": (Serial(block(), Dropout(0.4), Flatten(), Dense()), LINE),
    "no dropout": (pooled(block(), Dropout(0.0), conv(), RELU), SQUARE),
}  # fmt: skip
LAYERS = {
    f"{kind}: {name}": case
    for kind, cases in (
        ("transposed", TRANSPOSED), ("local", LOCAL), ("pooling", POOLING), ("rescaled", RESCALED)
    )
    for name, case in cases.items()
}  # fmt: skip

ROWS: dict[str, Layer] = {
    "gate": Serial(
        Dense(W, 0.1),
        Product(Serial(RELU, Dense(1.2, 0.1)), Serial(RELU, Dense(0.9, 0.3), ERF)),
        Dense(), RELU, Dense(),
    ),
    "shortcut": Serial(
        Dense(W, 0.1), Product(Identity(), Serial(RELU, Dense(0.9, 0.3))), Dense(1.0, 0.2), RELU,
        Dense(),
    ),
    "three": Serial(
        Product(Dense(), Serial(Dense(), RELU), Serial(Dense(), Activation("abs"))),
        Dense(1.0, 0.2), RELU, Dense(),
    ),
    "one": Serial(Product(Dense(W, 0.1)), RELU, Dense()),
    "dropout": Serial(Dense(W, 0.1), RELU, Dropout(0.3), Dense(), ERF, Dropout(0.5), Dense()),
    "dropout of a gaussian": Serial(Dense(W, 0.1), Dropout(0.3), Dense(), RELU, Dense()),
    "normalized": Serial(
        Dense(W, 0.1), LayerNorm(), RELU, Dense(W), LayerNorm("all", 0.2), ERF, Dense()
    ),
}  # fmt: skip
