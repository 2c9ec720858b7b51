"""One of every activation, and its parameters."""

from __future__ import annotations

from ntk_sklearn.duals import (
    GELU,
    RBF,
    ABReLU,
    Abs,
    Cos,
    DualActivation,
    Erf,
    Exp,
    Gaussian,
    LeakyReLU,
    Linear,
    Monomial,
    Polynomial,
    ReLU,
    Sign,
    Sin,
)

ACTIVATIONS: dict[str, DualActivation] = {
    "relu": ReLU(),
    "leaky_relu": LeakyReLU(0.2),
    "abrelu": ABReLU(0.5, -0.7),
    "abs": Abs(),
    "erf": Erf(),
    "steep_erf": Erf(0.5, 2.0),
    "gelu": GELU(),
    "sin": Sin(),
    "cos": Cos(),
    "shifted_sin": Sin(0.7, 1.3, 0.4),
    "rbf": RBF(0.5),
    "exp": Exp(0.5, 0.4),
    "gaussian": Gaussian(0.8, 1.5),
    "polynomial": Polynomial((0.1, 0.5, -0.3)),
    "monomial": Monomial(3),
    "constant": Polynomial((0.7,)),
    "identity": Linear(),
    "sign": Sign(),
}
# The path of a parameter in an Activation layer, for those that have one.
PARAMETERS = {
    "leaky_relu": "a",
    "abrelu": "b",
    "erf": "amplitude",
    "steep_erf": "rate",
    "sin": "amplitude",
    "cos": "rate",
    "shifted_sin": "phase",
    "rbf": "gamma",
    "exp": "rate",
    "gaussian": "rate",
}
