"""Optimizers as preconditioners: kernels J D^-1 J^T, and the steps that optimizers really take."""

from .base import Diagonal, Preconditioner, identity, learning_rates
from .gauss_newton import GaussNewtonPreconditioner, gauss_newton, gauss_newton_kernel
from .kernel import preconditioned_kernel
from .layer_rates import layer_learning_rates
from .optimizers import last_update, preconditioner, predicted_step, rules
from .rules import Rule
from .sign import sign_kernel

__all__ = [
    "Diagonal",
    "GaussNewtonPreconditioner",
    "Preconditioner",
    "Rule",
    "gauss_newton",
    "gauss_newton_kernel",
    "identity",
    "last_update",
    "layer_learning_rates",
    "learning_rates",
    "preconditioned_kernel",
    "preconditioner",
    "predicted_step",
    "rules",
    "sign_kernel",
]
