"""What was predicted for rows left out, as estimators that a scorer can ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import check_scoring, r2_score


class _LeftOut(BaseEstimator):
    """Answers are known for some rows only, which are given again as X."""

    def __init__(self, outputs: np.ndarray) -> None:
        self.outputs = outputs

    def fit(self, X: Any, y: Any) -> _LeftOut:
        """Nothing: the answers are there."""
        return self

    def _of(self, X: Any, answers: np.ndarray) -> np.ndarray:
        if len(X) != len(answers):
            raise ValueError(
                f"a scorer must ask for all {len(answers)} rows that were left out, got {len(X)}"
            )
        return answers


class LeftOutRegressor(RegressorMixin, _LeftOut):
    """Predictions in the units of y, with error bars where there are some.

    Parameters
    ----------
    outputs : ndarray, (m,) or (m, n_targets)
    std : callable or None
        () -> standard deviation of the observations, of the shape of `outputs`.
    """

    def __init__(self, outputs: np.ndarray, std: Callable[[], np.ndarray] | None = None) -> None:
        super().__init__(outputs)
        self.std = std

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The predictions, and the standard deviation of the observations (noise included)."""
        mean = self._of(X, self.outputs)
        if not return_std:
            return mean
        if self.std is None:
            raise ValueError("predictions of rows left out have no error bars here")
        return mean, self.std()

    def score(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """R^2, the mean over outputs; without scikit-learn's checks, which take longer."""
        center = np.average(y, axis=0, weights=sample_weight)
        spread = np.average((y - center) ** 2, axis=0, weights=sample_weight)
        if not (spread > 0).all():
            return float(super().score(X, y, sample_weight))
        errors = np.average((y - self.predict(X)) ** 2, axis=0, weights=sample_weight)
        return float(np.mean(1.0 - errors / spread))


class LeftOutClassifier(ClassifierMixin, _LeftOut):
    """Outputs of a classifier trained on `classes`."""

    def __init__(self, outputs: np.ndarray, classes: np.ndarray) -> None:
        super().__init__(outputs)
        self.classes_ = self.classes = classes

    def decision_function(self, X: Any) -> np.ndarray:
        """(m,) for two classes, else (m, n_classes)."""
        outputs = self._of(X, self.outputs)
        return outputs[:, 0] if len(self.classes_) == 2 else outputs

    def predict(self, X: Any) -> np.ndarray:
        """The class of the largest output."""
        outputs = self.decision_function(X)
        codes = (outputs > 0).astype(int) if outputs.ndim == 1 else outputs.argmax(axis=1)
        labels: np.ndarray = self.classes_[codes]
        return labels

    def score(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """The accuracy; without scikit-learn's checks, which take longer."""
        return float(np.average(self.predict(X) == y, weights=sample_weight))


class LeftOutProbabilities(ClassifierMixin, _LeftOut):
    """Probabilities of the `classes` that a classifier was trained on."""

    def __init__(self, outputs: np.ndarray, classes: np.ndarray) -> None:
        super().__init__(outputs)
        self.classes_ = self.classes = classes

    def predict_proba(self, X: Any) -> np.ndarray:
        """(m, n_classes)."""
        return self._of(X, self.outputs)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class."""
        labels: np.ndarray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels


def r_squared(
    estimator: Any, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """R^2, in a unit of y whose squares neither overflow nor vanish; exact, as a power of two."""
    _, exponent = np.frexp(np.abs(y).max())
    found, true = (np.ldexp(values, -exponent) for values in (estimator.predict(X), y))
    return float(r2_score(true, found, sample_weight=sample_weight))


def log_density(
    estimator: Any, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Mean log density of observations under normal distributions, summed over outputs."""
    mean, std = estimator.predict(X, return_std=True)
    each = -0.5 * ((y - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2.0 * np.pi)
    each = each.reshape(len(each), -1).sum(axis=1)
    return float(np.average(each, weights=sample_weight))


def log_probability(
    estimator: Any, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Mean log probability of the labels: minus the log loss, also of classes left out entirely."""
    probabilities = estimator.predict_proba(X)
    found = (y[:, np.newaxis] == estimator.classes_) * probabilities
    likely = np.maximum(found.sum(axis=1), np.finfo(probabilities.dtype).eps)
    return float(np.average(np.log(likely), weights=sample_weight))


@dataclass(frozen=True)
class Scoring:
    """A score of predictions for rows left out.

    Attributes
    ----------
    scorer : callable
        (estimator, X, y, sample_weight) -> score, as scikit-learn makes them.
    rows, y : ndarray
        Of all rows that are used.
    weight : ndarray or None
        Weights as they were given.
    """

    scorer: Callable[..., float]
    rows: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    def __call__(self, answers: Any, test: Any = slice(None)) -> float:
        """The score of answers for the rows `test`."""
        weights = {} if self.weight is None else {"sample_weight": self.weight[test]}
        with config_context(skip_parameter_validation=True):  # thousands of small calls
            return float(self.scorer(answers, self.rows[test], self.y[test], **weights))


def find_scorer(estimator: Any, scoring: Any, known: dict[Any, Any]) -> Callable[..., float]:
    """A scorer by name, or itself, `known` ones first; None is the estimator's `score`.

    Raises
    ------
    TypeError
        For several scorers.
    """
    if scoring is not None and not isinstance(scoring, str) and not callable(scoring):
        raise TypeError(
            f"scoring must be None, the name of one scorer or a function, got {scoring!r}"
        )
    if not callable(scoring) and scoring in known:
        found: Callable[..., float] = known[scoring]
        return found
    scorer: Callable[..., float] = check_scoring(estimator, scoring=scoring)
    return scorer
