"""Kernels of infinitely wide networks for scikit-learn and GPyTorch."""

from .gpytorch import NNGPKernel, NTKKernel
from .network_kernel import NetworkKernel
from .scikit import NNGP, NTK

__all__ = ["NNGP", "NTK", "NNGPKernel", "NTKKernel", "NetworkKernel"]
