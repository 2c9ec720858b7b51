"""Memory budgets that force the reference evaluator into many tiles."""

from __future__ import annotations

from math import prod

from ntk_sklearn.backends import ReferenceEvaluator
from ntk_sklearn.kernels import NetworkKernel


def tight_budget(network, image_shape, shape, side=2):
    """Bytes for float64 matrices (a stack of the given shape) and the work on tiles of one side.

    The number of features does not matter to dense networks.
    """
    n_features = 1 if image_shape is None else prod(image_shape)
    problem = NetworkKernel(network, image_shape=image_shape).problem(n_features)
    per_pair, per_input = ReferenceEvaluator().workspace(problem)
    return 8 * prod(shape) + side * side * per_pair + side * per_input
