"""Dual activations: Gaussian expectations of nonlinearities, one small file each."""

from .abrelu import ABReLU, Abs, LeakyReLU, ReLU
from .base import DualActivation, available, register, resolve
from .erf import Erf
from .exponential import Exp, Gaussian
from .gelu import GELU
from .linear import Linear
from .pair import GaussianPair, sine2_of_sum
from .polynomial import Monomial, Polynomial
from .sign import Sign
from .sinusoid import RBF, Cos, Sin

__all__ = [
    "GELU",
    "RBF",
    "ABReLU",
    "Abs",
    "Cos",
    "DualActivation",
    "Erf",
    "Exp",
    "Gaussian",
    "GaussianPair",
    "LeakyReLU",
    "Linear",
    "Monomial",
    "Polynomial",
    "ReLU",
    "Sign",
    "Sin",
    "available",
    "register",
    "resolve",
    "sine2_of_sum",
]
