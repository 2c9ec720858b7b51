"""scikit-learn's checks of estimators, with no expected failure."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntk_sklearn import NNGPClassifier, NNGPRegressor, NTKClassifier, NTKRegressor
from ntk_sklearn.networks import Convolutional

KINDS = [NTKRegressor, NTKClassifier, NNGPRegressor, NNGPClassifier]


@parametrize_with_checks([kind() for kind in KINDS])
def test_dense(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([NNGPClassifier(method="laplace")])
def test_laplace(estimator, check):
    check(estimator)


# One layer: pooling carries the covariances of all pairs of positions, of some hundred rows here.
@parametrize_with_checks([kind(Convolutional(1), image_shape=(1, 1, -1)) for kind in KINDS])
def test_convolutional(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([kind(Convolutional(), image_shape=(1, 1, -1)) for kind in KINDS])
def test_convolutional_with_five_layers(estimator, check):
    check(estimator)


ARRAY_API = """
from sklearn.utils.estimator_checks import check_estimator
from ntk_sklearn import NTKRegressor
results = {r["check_name"]: r["status"] for r in check_estimator(NTKRegressor())}
assert results["check_array_api_input"] == "passed", results
assert set(results.values()) == {"passed"}, results
"""


@pytest.mark.slow
def test_checks_pass_with_the_array_interface_switched_on():
    # scipy reads the variable when it is imported
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    subprocess.run([sys.executable, "-c", ARRAY_API], env=environment, check=True)
