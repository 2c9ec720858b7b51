"""Estimators: what an infinitely wide network predicts."""

from .nngp_classifier import NNGPClassifier
from .nngp_classifier_cv import NNGPClassifierCV
from .nngp_regressor import NNGPRegressor
from .nngp_regressor_cv import NNGPRegressorCV
from .ntk_classifier import NTKClassifier
from .ntk_classifier_cv import NTKClassifierCV
from .ntk_regressor import NTKRegressor
from .ntk_regressor_cv import NTKRegressorCV

__all__ = [
    "NNGPClassifier",
    "NNGPClassifierCV",
    "NNGPRegressor",
    "NNGPRegressorCV",
    "NTKClassifier",
    "NTKClassifierCV",
    "NTKRegressor",
    "NTKRegressorCV",
]
