"""Fisher, Gauss-Newton and empirical Fisher matrices, and their dual on the side of the rows."""

from .eigenpairs import Eigenpairs
from .fisher import EmpiricalFisher, FisherOperator
from .gauss_newton import GaussNewton
from .losses import (
    BinaryCrossEntropy,
    ConvexLoss,
    SoftmaxCrossEntropy,
    SquaredLoss,
    output_gradient,
    output_hessian,
)

__all__ = [
    "BinaryCrossEntropy",
    "ConvexLoss",
    "Eigenpairs",
    "EmpiricalFisher",
    "FisherOperator",
    "GaussNewton",
    "SoftmaxCrossEntropy",
    "SquaredLoss",
    "output_gradient",
    "output_hessian",
]
