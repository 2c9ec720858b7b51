"""Both kernels of a network through the reference evaluator, as plain arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ntk_sklearn.architecture import Layer, Shape
from ntk_sklearn.backends import Output, Problem, ReferenceEvaluator


class Kernels(NamedTuple):
    nngp: np.ndarray
    ntk: np.ndarray


def problem_of(network: Layer, X: np.ndarray, dtype: torch.dtype = torch.float64) -> Problem:
    outputs = (Output(network, "nngp"), Output(network, "ntk"))
    return Problem(outputs, Shape(X.shape[1], X.shape[2:]), dtype)


def kernels(
    network: Layer, X: np.ndarray, Z: np.ndarray | None = None, dtype: torch.dtype = torch.float64
) -> Kernels:
    """Gram of X, or X against Z; rows are (channels,) or (channels, *spatial)."""
    problem, evaluator = problem_of(network, X, dtype), ReferenceEvaluator()
    x = evaluator.prepare(problem, torch.as_tensor(X))
    z = x if Z is None else evaluator.prepare(problem, torch.as_tensor(Z))
    out = np.empty((2, len(x), len(z)))
    evaluator.tile(problem, x, slice(0, len(x)), z, slice(0, len(z)), Z is None, out)
    return Kernels(*out)


def diagonals(network: Layer, X: np.ndarray, dtype: torch.dtype = torch.float64) -> Kernels:
    """k(x_i, x_i) without pairs of inputs."""
    problem, evaluator = problem_of(network, X, dtype), ReferenceEvaluator()
    x = evaluator.prepare(problem, torch.as_tensor(X))
    out = np.empty((2, len(x)))
    evaluator.diagonal(problem, x, slice(0, len(x)), out)
    return Kernels(*out)


def relative_error(value: np.ndarray, reference: np.ndarray) -> float:
    """Largest absolute difference over the largest absolute value (1 if all are 0)."""
    return float(np.abs(value - reference).max() / (np.abs(reference).max() or 1.0))
