"""scikit-learn's checks of the searches, with no expected failure."""

from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from ntk_sklearn import NNGPClassifierCV, NNGPRegressorCV, NTKClassifierCV, NTKRegressorCV

SEARCHES = [
    NTKRegressorCV(),
    NTKRegressorCV(depths=(1, 2), times=(1.0, 10.0), cv=3),
    NTKClassifierCV(),
    NTKClassifierCV(depths=(1, 2), times=(1.0, 10.0), cv=3),
    NNGPRegressorCV(),
    NNGPRegressorCV(depths=(1, 2), scoring="log_density"),
    NNGPClassifierCV(cv=2),
    NNGPClassifierCV(depths=(1, 2), cv=3),
]


@parametrize_with_checks(SEARCHES)
def test_search(estimator, check):
    check(estimator)
