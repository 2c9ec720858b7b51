"""Infinitely wide neural networks as scikit-learn and GPyTorch kernels, and as estimators."""

from ._show_versions import show_versions
from ._validation import flatten_images
from ._version import __version__
from .estimators import NNGPClassifier, NNGPRegressor, NTKClassifier, NTKRegressor

__all__ = [
    "NNGPClassifier",
    "NNGPRegressor",
    "NTKClassifier",
    "NTKRegressor",
    "__version__",
    "flatten_images",
    "show_versions",
]
