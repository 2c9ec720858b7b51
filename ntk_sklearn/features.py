"""Features in front of a network: sines and cosines of random or given frequencies."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from ._validation import all_or_nothing, as_rows

__all__ = ["FourierFeatures"]


class FourierFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Sines and cosines of inputs, in front of an estimator in a pipeline.

    .. math:: \gamma(x) = [a_j \cos(2 \pi b_j \cdot x),\ a_j \sin(2 \pi b_j \cdot x)]_{j = 1..m}

    All rows have the same norm, and their inner products depend on x - z alone, so that the kernel
    of a dense network behind them is stationary (Tancik et al. 2020):

    .. math:: k(\gamma(x), \gamma(z)) =
              h\Big(\frac{1}{2m} \sum_j a_j^2 \cos(2 \pi b_j \cdot (x - z))\Big).

    The frequencies decide which functions have large eigenvalues and are learned early: with a
    larger `scale`, faster ones. Features of integer frequencies make a kernel periodic.

    Parameters
    ----------
    n_frequencies : int, default=128
        m, where frequencies are drawn; half of the number of features.
    scale : float, default=1.0
        Standard deviation of every component of the frequencies, which are Gaussian: in cycles per
        unit of x.
    frequencies : array-like, (m, n_features), optional
        The b_j themselves; `n_frequencies`, `scale` and `random_state` are ignored then.
    amplitudes : float or array-like, (m,), default=1.0
        The a_j. Networks divide inputs by their number, so that rows enter with the mean square
        of the a_j^2 / 2: with sqrt(2) like standardized features.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    frequencies_ : ndarray, (m, n_features)
    amplitudes_ : ndarray, (m,)
    n_features_in_ : int

    References
    ----------
    Tancik et al., "Fourier features let networks learn high frequency functions in low dimensional
    domains", NeurIPS 2020, section 4. Rahimi and Recht, "Random features for large-scale kernel
    machines", 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from ntk_sklearn import NTKRegressor
    >>> from ntk_sklearn.features import FourierFeatures
    >>> x = np.linspace(0, 1, 40, endpoint=False)[:, None]
    >>> y = np.sin(2 * np.pi * 4 * x[:, 0])
    >>> features = FourierFeatures(64, scale=2.0, random_state=0)
    >>> model = make_pipeline(features, NTKRegressor()).fit(x[::2], y[::2])
    >>> bool(model.score(x[1::2], y[1::2]) > 0.95)
    True
    """

    def __init__(
        self,
        n_frequencies: int = 128,
        *,
        scale: float = 1.0,
        frequencies: Any = None,
        amplitudes: Any = 1.0,
        random_state: Any = None,
    ) -> None:
        self.n_frequencies = n_frequencies
        self.scale = scale
        self.frequencies = frequencies
        self.amplitudes = amplitudes
        self.random_state = random_state

    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> FourierFeatures:
        """Draw or check the frequencies.

        Parameters
        ----------
        X : array-like, (n, n_features)
            Of which only the number of features matters.
        y : None
            Ignored.

        Raises
        ------
        ValueError
            For frequencies and amplitudes that are not finite or do not fit X and each other, a
            number of frequencies below 1, and a scale that is not positive; for X that is not
            finite, masked, or holds text.
        """
        X = validate_data(self, as_rows(X, None)[0], dtype=np.float64)
        self.frequencies_ = self._frequencies(X.shape[1])
        self.amplitudes_ = self._amplitudes(len(self.frequencies_))
        self._n_features_out = 2 * len(self.frequencies_)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The features, all cosines and then all sines.

        Parameters
        ----------
        X : array-like, (n, n_features)

        Returns
        -------
        ndarray, (n, 2 m)
        """
        check_is_fitted(self)
        X = validate_data(self, as_rows(X, None)[0], dtype=np.float64, reset=False)
        phases = 2.0 * np.pi * (X @ self.frequencies_.T)
        features = [self.amplitudes_ * np.cos(phases), self.amplitudes_ * np.sin(phases)]
        return np.concatenate(features, axis=1)

    def _frequencies(self, n_features: int) -> np.ndarray:
        if self.frequencies is None:
            shape = (_positive_integer(self.n_frequencies), n_features)
            random = check_random_state(self.random_state)
            drawn: np.ndarray = _positive(self.scale) * random.normal(size=shape)
            return drawn
        found: np.ndarray = check_array(self.frequencies, dtype=np.float64, copy=True)
        if found.shape[1] != n_features:
            raise ValueError(
                f"frequencies must be (m, n_features) with {n_features} features as in X, got "
                f"shape {found.shape}"
            )
        return found

    def _amplitudes(self, m: int) -> np.ndarray:
        found = np.asarray(self.amplitudes, dtype=np.float64)
        if found.shape not in ((), (m,)) or not np.isfinite(found).all() or not found.any():
            raise ValueError(
                f"amplitudes must be a number or ({m},), one per frequency, finite and not all 0; "
                f"got shape {found.shape}"
            )
        return np.broadcast_to(found, (m,)).copy()


def _positive_integer(n: Any) -> int:
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
        raise ValueError(f"n_frequencies must be an integer >= 1, got {n!r}")
    return int(n)


def _positive(scale: Any) -> float:
    if not isinstance(scale, Real) or not 0 < float(scale) < np.inf:
        raise ValueError(f"scale must be a finite number > 0, got {scale!r}")
    return float(scale)
