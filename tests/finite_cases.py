"""Trees that tests of finite width share, and their kernels by explicit Jacobians."""

from __future__ import annotations

from math import prod

import torch

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    LayerNorm,
    Product,
    Serial,
    Sum,
    SumPool,
    residual,
)

ERF, RELU = Activation("erf"), Activation("relu")

# name: (tree, shape of one input)
CASES = {
    "linear": (Dense(1.3, 0.4), (5,)),
    "dense": (Serial(Dense(1.4, 0.1), RELU, Dense(1.2, 0.3), ERF, Dense(0.9, 0.2)), (5,)),
    "no_bias": (Serial(Dense(1.4), RELU, Dense()), (5,)),
    "multipliers": (
        Serial(
            Dense(1.4, 0.1, lr_multiplier=0.3), ERF,
            Dense(1.2, 0.3, lr_multiplier=2.0, bias_ntk=0.7), ERF,
            Dense(1.1, 0.0, bias_ntk=0.5),
        ),
        (5,),
    ),
    "frozen": (
        Serial(
            Dense(1.4, 0.1, lr_multiplier=0.0), ERF,
            Dense(1.2, 0.3, bias_ntk=0.0), ERF,
            Dense(1.1, 0.2, lr_multiplier=0.0, bias_ntk=1.0),
        ),
        (5,),
    ),
    "average": (
        Serial(Conv(3, 1.4, 0.1), ERF, AvgPool(2), Conv(2, 1.2, 0.2), RELU, GlobalAvgPool(),
               Dense(1.1, 0.1)),
        (2, 5, 4),
    ),
    "flatten": (Serial(Conv(3, 1.4, 0.1), ERF, Flatten(), Dense(1.1, 0.1)), (2, 4, 3)),
    "sum_pool": (Serial(Conv(3, 1.4), ERF, SumPool(2), Flatten(), Dense(1.1)), (2, 6)),
    "conv_then_average": (Serial(Conv(2), ERF, Conv(3, 1.1, 0.2), GlobalAvgPool()), (2, 4, 3)),
    "conv_then_sum": (
        Serial(Conv(2), ERF, Conv(3, 1.1, 0.2, strides=2), GlobalSumPool()), (1, 3, 4, 3),
    ),
    "conv_then_flatten": (Serial(Conv(2), ERF, Conv(3, 1.1, 0.2), Flatten()), (2, 3, 2)),
    "strided": (
        Serial(Conv(2, 1.3, 0.1, strides=3, dilation=2, padding="circular"), ERF,
               Conv((2, 1), padding=((1, 0), (0, 2)), b_std=0.2), GlobalAvgPool(), Dense()),
        (2, 7, 5),
    ),
    "residual": (
        Serial(Dense(1.4, 0.1), residual(Serial(RELU, Dense(1.2, 0.1))), ERF, Dense(1.1, 0.2)),
        (5,),
    ),
    "residual_images": (
        Serial(
            Conv(3, 1.4, 0.1),
            residual(Serial(RELU, Conv(3, strides=2), ERF, Conv(3, b_std=0.3)), Conv(1, strides=2)),
            RELU, GlobalAvgPool(), Dense(),
        ),
        (2, 4, 4),
    ),
    "residual_end": (
        Serial(Dense(1.4, 0.1), ERF, Dense(1.2, 0.3), residual(Serial(ERF, Dense(0.9, 0.2)))),
        (5,),
    ),
    "concat": (
        Serial(
            Dense(1.4, 0.1),
            Concat(Serial(RELU, Dense(b_std=0.2), ERF), ERF, shares=(1, 2)),
            Dense(0.8, 0.1),
        ),
        (5,),
    ),
    "concat_flattened": (
        Serial(
            Conv(3, 1.4, 0.1),
            Concat(Serial(Conv(3, strides=2), RELU, Flatten()), Serial(GlobalAvgPool(), Dense())),
            Dense(0.8, 0.1),
        ),
        (2, 4),
    ),
    "two_readouts": (
        Serial(Dense(1.4, 0.1), ERF, Sum(Dense(0.8, 0.3), Serial(Dense(), RELU, Dense(1.2)))),
        (5,),
    ),
    "transposed": (
        Serial(ConvTranspose(3, 1.3, 0.2, 2), ERF,
               ConvTranspose(2, 1.1, 0.3, (1, 3), "circular", lr_multiplier=0.3), ERF,
               GlobalAvgPool(), Dense()),
        (2, 3, 2),
    ),
    "local": (
        Serial(ConvLocal(2, 1.3, 0.2, strides=2, lr_multiplier=0.3), ERF,
               ConvLocal(3, 1.1, 0.3, padding="circular"), ERF, GlobalAvgPool(), Dense()),
        (2, 4, 3),
    ),
    "local_then_average": (Serial(Conv(2), ERF, ConvLocal(2, 1.1, 0.2), GlobalAvgPool()), (2, 4)),
    "local_then_flatten": (Serial(Conv(2), ERF, ConvLocal(2, 1.1, 0.2), Flatten()), (2, 3, 2)),
    "edges": (
        Serial(Conv(2), ERF, AvgPool((2, 3), 1, "same", True), Conv(2, b_std=0.1), GlobalAvgPool()),
        (2, 3, 4),
    ),
    "normalized": (
        Serial(Conv(2, b_std=0.2), LayerNorm(), ERF, Conv(2), LayerNorm("all", 0.1), ERF, Flatten(),
               Dense()),
        (2, 3, 2),
    ),
    "product": (
        Serial(Dense(1.4, 0.1), Product(Serial(ERF, Dense(b_std=0.2)), Serial(ERF, Dense(), ERF)),
               Dense(0.8, 0.1)),
        (5,),
    ),
    "identity": (Serial(Serial(), Dense(), Identity(), Flatten(), ERF, Serial(Dense())), (5,)),
}  # fmt: skip


def rows(name: str, n: int, seed: int = 0) -> torch.Tensor:
    """Random rows (n, n_features) for a case."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, prod(CASES[name][1]), generator=generator, dtype=torch.float64)


def jacobian_ntk(module: torch.nn.Module, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Mean over outputs of the product of the Jacobians by all trained parameters."""
    trained = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}

    def jacobian(rows: torch.Tensor) -> torch.Tensor:
        def outputs(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
            return torch.func.functional_call(module, parameters, (rows,))

        found = torch.func.jacrev(outputs)(trained)
        return torch.cat([j.reshape(*j.shape[:2], -1) for j in found.values()], dim=2)

    left, right = jacobian(x), jacobian(z)
    return torch.einsum("nkp,mkp->nm", left, right) / left.shape[1]
