"""scikit-learn's checks of the searches, with no expected failure."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntk_sklearn import NNGPClassifierCV, NNGPRegressorCV, NTKClassifierCV, NTKRegressorCV

SEARCHES = [
    NTKRegressorCV(),
    NTKClassifierCV(depths=(1, 2), times=(1.0, 10.0), cv=3),
    NNGPRegressorCV(depths=(1, 2), scoring="log_density"),
    NNGPClassifierCV(cv=2),
]
OTHERS = [
    NTKRegressorCV(depths=(1, 2), times=(1.0, 10.0), cv=3),
    NTKClassifierCV(),
    NNGPRegressorCV(),
    NNGPClassifierCV(depths=(1, 2), cv=3),
]


@parametrize_with_checks(SEARCHES)
def test_search(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(OTHERS)
def test_other_search(estimator, check):
    check(estimator)
