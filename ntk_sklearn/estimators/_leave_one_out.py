"""Leave-one-out of all outputs of a regressor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..inference import Groups, inverse_diagonal, leave_one_out
from ..solvers import Factorization


class LeaveOneOutPrediction(NamedTuple):
    """What all other rows say of each training row, in the units of y.

    Attributes
    ----------
    mean : ndarray, (n,) or (n, n_targets)
    std : ndarray, (n,) or (n, n_targets)
        Of the observation: its noise is included.
    log_density : ndarray, (n,) or (n, n_targets)
        log p(y_i | all other rows).
    """

    mean: np.ndarray
    std: np.ndarray
    log_density: np.ndarray


def left_out(
    y: np.ndarray,
    noise: np.ndarray,
    groups: Groups,
    coefficients: np.ndarray,
    factorizations: Sequence[Factorization],
) -> LeaveOneOutPrediction:
    """Of targets (n, k) with noise (n, k), one factorization for all outputs or one for each."""
    shared, found = len(factorizations) == 1, []
    for j, factorization in enumerate(factorizations):
        k = slice(None) if shared else slice(j, j + 1)
        inverse = inverse_diagonal(factorization)
        left = leave_one_out(y[:, k], noise[:, j], groups, coefficients[:, k], inverse)
        std = np.broadcast_to(np.sqrt(left.variance)[:, np.newaxis], left.mean.shape)
        found.append((left.mean, std, left.log_density))
    columns = zip(*found, strict=True)
    return LeaveOneOutPrediction(*(np.concatenate(part, axis=1) for part in columns))
