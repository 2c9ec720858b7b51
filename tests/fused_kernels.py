"""Kernels by the fused engine and by the reference, and how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ntk_sklearn.architecture import Layer, Shape
from ntk_sklearn.backends import Evaluator, Output, Problem, ReferenceEvaluator
from ntk_sklearn.backends.fused.evaluator import FusedEvaluator

FUSED, REFERENCE = FusedEvaluator(), ReferenceEvaluator()
SINGLE, DOUBLE = torch.float32, torch.float64


def problem_of(
    networks: Layer | Sequence[Layer], shape: tuple[int, ...], dtype: torch.dtype = DOUBLE
) -> Problem:
    """NNGP and NTK of every network."""
    every = [networks] if isinstance(networks, Layer) else networks
    outputs = tuple(Output(network, name) for network in every for name in ("nngp", "ntk"))
    return Problem(outputs, Shape(shape[0], tuple(shape[1:])), dtype)


def prepared(evaluator: Evaluator, problem: Problem, X: np.ndarray):
    return evaluator.prepare(problem, torch.as_tensor(X.reshape(len(X), -1)))


def empty(problem: Problem, *sizes: int) -> np.ndarray:
    dtype = str(problem.dtype).removeprefix("torch.")
    return np.full((len(problem.outputs), *sizes), np.nan, dtype=dtype)


def matrix(
    evaluator: Evaluator, problem: Problem, X: np.ndarray, Z: np.ndarray | None = None
) -> np.ndarray:
    """One tile: the Gram of X, or X against Z."""
    x = prepared(evaluator, problem, X)
    z = x if Z is None else prepared(evaluator, problem, Z)
    m = len(X) if Z is None else len(Z)
    out = empty(problem, len(X), m)
    evaluator.tile(problem, x, slice(0, len(X)), z, slice(0, m), Z is None, out)
    return out


def diagonal(evaluator: Evaluator, problem: Problem, X: np.ndarray) -> np.ndarray:
    out = empty(problem, len(X))
    evaluator.diagonal(problem, prepared(evaluator, problem, X), slice(0, len(X)), out)
    return out


def scale(problem: Problem, X: np.ndarray, Z: np.ndarray | None = None) -> np.ndarray:
    """sqrt(k(x, x) k(z, z)), which is 0 for what depends on nothing."""
    x, z = (np.sqrt(diagonal(REFERENCE, problem, A)) for A in (X, X if Z is None else Z))
    return x[:, :, None] * z[:, None, :]


def error(problem: Problem, X: np.ndarray, Z: np.ndarray | None = None) -> float:
    """Largest difference of the two evaluators, relative to `scale`.

    Where that is 0 the difference is that of numbers which are 0 up to rounding.
    """
    found, expected = (matrix(evaluator, problem, X, Z) for evaluator in (FUSED, REFERENCE))
    apart, size = np.abs(found - expected), scale(problem, X, Z)
    assert np.isfinite(apart).all()
    largest = size.max((1, 2), keepdims=True)
    assert (apart <= 1e-14 * largest)[size == 0].all()
    return float((apart / np.where(size > 0, size, np.where(largest > 0, largest, 1))).max())


def single_errors(
    networks: Layer | Sequence[Layer], inputs: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Per output: the error in single precision over all Grams, and the bound that it must keep.

    The bound is twice the reference's own error, or 2e-6 of the largest entry.
    """
    shape = inputs[0].shape[1:]
    double, single = (problem_of(networks, shape, dtype) for dtype in (DOUBLE, SINGLE))
    exact = np.stack([matrix(REFERENCE, double, X) for X in inputs])
    found, plain = (
        np.abs(np.stack([matrix(evaluator, single, X) for X in inputs]) - exact).max((0, 2, 3))
        for evaluator in (FUSED, REFERENCE)
    )
    return found, np.maximum(2 * plain, 2e-6 * np.abs(exact).max((0, 2, 3)))
