"""What the regressors share: targets in and out, and draws from the predicted distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state

from ._base import KernelEstimator


class NetworkRegressor(MultiOutputMixin, RegressorMixin, KernelEstimator):
    """Base of the regressors: one output or several, in the units of y."""

    _one_target: bool

    def _one(self, values: np.ndarray) -> np.ndarray:
        """Without the last axis where y had one dimension."""
        return values[..., 0] if self._one_target else values

    def sample_y(
        self, X: Any, n_samples: int = 1, random_state: Any = None, **at: Any
    ) -> np.ndarray:
        """Functions drawn from the predicted distribution, at the rows of X jointly.

        Parameters
        ----------
        X : array-like, (m, n_features) or images
        n_samples : int, default=1
        random_state : int, RandomState or None
            None takes the estimator's.
        **at
            Passed on to `predict`: the time `t` where it takes one.

        Returns
        -------
        ndarray, (m, n_samples) or (m, n_targets, n_samples)
        """
        mean, cov = self.predict(X, return_cov=True, **at)
        one = mean.ndim == 1
        means, covs = (mean[:, np.newaxis], cov[..., np.newaxis]) if one else (mean, cov)
        random = check_random_state(self.random_state if random_state is None else random_state)
        draws = [
            center[:, np.newaxis] + _root(spread) @ random.standard_normal((len(mean), n_samples))
            for center, spread in zip(means.T, np.moveaxis(covs, -1, 0), strict=True)
        ]
        found = np.stack(draws, axis=1)
        return found[:, 0] if one else found


def _root(covariance: np.ndarray) -> np.ndarray:
    """S with S S^T the covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    found: np.ndarray = vectors * np.sqrt(np.maximum(values, 0.0))
    return found
