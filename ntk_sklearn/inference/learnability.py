"""How hard the examples of a training set are for a kernel: scores, small for what is learned soon.

A score is the distance between an example's target and what the kernel makes of it: after some
time of training, from the leading modes, or from the other examples. In units of y; over several
outputs the Euclidean norm.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from .checks import check_positive
from .curriculum import check_problem, filtered_targets
from .filters import gradient_flow
from .leave_one_out import inverse_diagonal, leave_one_out
from .merging import ungrouped
from .ridge import solve_ridge
from .training import training_modes


def residual_scores(K: Any, y: Any, t: float, weight: Any = None) -> np.ndarray:
    """What gradient flow on 1/2 sum_i w_i (f(x_i) - y_i)^2 from f = 0 leaves of each target at t.

    Parameters
    ----------
    K : array-like, (n, n)
        Kernel of the training rows.
    y : array-like, (n,) or (n, k)
    t : float
        Around 1 / v for the modes of eigenvalue v to be half-way; at inf all that the kernel can
        fit has been fitted.
    weight : array-like, (n,), default=None
        Positive sample weights.

    Returns
    -------
    ndarray, (n,)
        |y_i - f_t(x_i)|.
    """
    if isinstance(t, bool) or not isinstance(t, Real) or not float(t) >= 0:
        raise ValueError(f"t must be a number in [0, inf], got {t!r}")
    K, y, weight = check_problem(K, y, weight)
    modes, time = training_modes(K, weight), float(t)
    root = modes.root_weight[:, np.newaxis]
    values = modes.system.values
    check_positive(values, K * modes.root_weight**2, "K")
    left = 1.0 - gradient_flow(values, time)
    return _sizes(modes.system.apply(left, root * y.reshape(len(y), -1)) / root)


def mode_scores(K: Any, y: Any, share: float, weight: Any = None) -> np.ndarray:
    """What the leading modes, a share of all, leave of each target: |y_i - filtered_targets_i|.

    Parameters
    ----------
    K, y, share, weight
        See `filtered_targets`.

    Returns
    -------
    ndarray, (n,)
    """
    y = np.asarray(y, dtype=np.float64)
    return _sizes(y - filtered_targets(K, y, share, weight))


def left_out_scores(K: Any, y: Any, alpha: float = 1e-4, weight: Any = None) -> np.ndarray:
    """How far the prediction for each example, trained on all others, is from its target.

    Unlike the other scores these do not vanish for examples that only they explain.

    Parameters
    ----------
    K : array-like, (n, n)
    y : array-like, (n,) or (n, k)
    alpha : float, default=1e-4
        Positive ridge, in units of the (weighted) mean diagonal of K.
    weight : array-like, (n,), default=None
        Positive sample weights.

    Returns
    -------
    ndarray, (n,)
    """
    if isinstance(alpha, bool) or not isinstance(alpha, Real) or not 0 < float(alpha) < np.inf:
        raise ValueError(f"alpha must be a finite number > 0, got {alpha!r}")
    K, y, weight = check_problem(K, y, weight)
    weight = np.ones(len(K)) if weight is None else weight
    columns = y.reshape(len(y), -1)
    solution = solve_ridge(K, columns, weight, float(alpha))
    others = leave_one_out(
        columns,
        solution.ridge / weight,
        ungrouped(len(K)),
        solution.coefficients,
        inverse_diagonal(solution.factorization),
    )
    return _sizes(columns - others.mean)


def _sizes(residual: np.ndarray) -> np.ndarray:
    """Norms (n,) over outputs."""
    found: np.ndarray = np.linalg.norm(residual.reshape(len(residual), -1), axis=1)
    return found
