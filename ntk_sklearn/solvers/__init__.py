"""Solving with symmetric positive definite matrices; knows no kernels."""

from .cholesky import Factorization, factorize, solve_checked
from .eigen import LEAST, Eigensystem, eigendecompose

__all__ = ["LEAST", "Eigensystem", "Factorization", "eigendecompose", "factorize", "solve_checked"]
