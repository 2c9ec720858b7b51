"""Solving with symmetric positive definite matrices; knows no kernels."""

from .cholesky import Factorization, factorize, solve_checked

__all__ = ["Factorization", "factorize", "solve_checked"]
