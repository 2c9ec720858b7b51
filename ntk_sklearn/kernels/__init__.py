"""Kernels of infinitely wide networks for scikit-learn and GPyTorch."""

from .expressions import (
    Added,
    Averaged,
    DepthAveraged,
    Expression,
    Flip,
    Group,
    Mixture,
    Multiplied,
    MyrtleCompositional,
    Normalized,
    Permutations,
    Translations,
    horizontal_flip,
    translations,
)
from .gpytorch import NNGPKernel, NTKKernel
from .network_kernel import NetworkKernel
from .profiles import angle_profile, shift_profile, sphere_spectrum
from .scikit import NNGP, NTK

__all__ = [
    "NNGP",
    "NTK",
    "Added",
    "Averaged",
    "DepthAveraged",
    "Expression",
    "Flip",
    "Group",
    "Mixture",
    "Multiplied",
    "MyrtleCompositional",
    "NNGPKernel",
    "NTKKernel",
    "NetworkKernel",
    "Normalized",
    "Permutations",
    "Translations",
    "angle_profile",
    "horizontal_flip",
    "shift_profile",
    "sphere_spectrum",
    "translations",
]
