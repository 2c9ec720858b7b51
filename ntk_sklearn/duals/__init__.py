"""Dual activations: Gaussian expectations of nonlinearities, one small file each."""

from .abrelu import ABReLU, Abs, LeakyReLU, ReLU
from .base import DualActivation, available, register, resolve
from .elementwise import Elementwise, NumericalActivation
from .erf import Erf, SigmoidLike
from .exponential import Exp, Gaussian
from .gabor import Gabor
from .gelu import GELU
from .linear import Linear
from .normalized import ExpNormalized
from .numerical import (
    ELU,
    SELU,
    HardTanh,
    Mish,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from .pair import GaussianPair, sine2_of_sum
from .panels import NotSmoothError
from .polynomial import Hermite, Monomial, Polynomial
from .rectified import RectifiedMonomial
from .sign import Sign
from .sinusoid import RBF, Cos, Sin

__all__ = [
    "ELU",
    "GELU",
    "RBF",
    "SELU",
    "ABReLU",
    "Abs",
    "Cos",
    "DualActivation",
    "Elementwise",
    "Erf",
    "Exp",
    "ExpNormalized",
    "Gabor",
    "Gaussian",
    "GaussianPair",
    "HardTanh",
    "Hermite",
    "LeakyReLU",
    "Linear",
    "Mish",
    "Monomial",
    "NotSmoothError",
    "NumericalActivation",
    "Polynomial",
    "ReLU",
    "ReLU6",
    "RectifiedMonomial",
    "SiLU",
    "Sigmoid",
    "SigmoidLike",
    "Sign",
    "Sin",
    "Softplus",
    "Tanh",
    "available",
    "register",
    "resolve",
    "sine2_of_sum",
]
