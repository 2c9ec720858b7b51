"""Estimators: what an infinitely wide network predicts."""

from .nngp_classifier import NNGPClassifier
from .nngp_regressor import NNGPRegressor
from .ntk_classifier import NTKClassifier
from .ntk_regressor import NTKRegressor

__all__ = ["NNGPClassifier", "NNGPRegressor", "NTKClassifier", "NTKRegressor"]
