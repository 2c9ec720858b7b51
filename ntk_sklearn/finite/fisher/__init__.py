"""Fisher, Gauss-Newton and empirical Fisher matrices, and their dual on the side of the rows."""

from .eigenpairs import Eigenpairs
from .empirical import EmpiricalFisher
from .gauss_newton import FisherOperator, GaussNewton
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
