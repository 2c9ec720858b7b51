"""Infinitely wide neural networks as scikit-learn and GPyTorch kernels, and as estimators."""

from ._show_versions import show_versions
from ._validation import flatten_images
from ._version import __version__
from .estimators import (
    NNGPClassifier,
    NNGPClassifierCV,
    NNGPRegressor,
    NNGPRegressorCV,
    NTKClassifier,
    NTKClassifierCV,
    NTKRegressor,
    NTKRegressorCV,
)

__all__ = [
    "NNGPClassifier",
    "NNGPClassifierCV",
    "NNGPRegressor",
    "NNGPRegressorCV",
    "NTKClassifier",
    "NTKClassifierCV",
    "NTKRegressor",
    "NTKRegressorCV",
    "__version__",
    "flatten_images",
    "show_versions",
]
