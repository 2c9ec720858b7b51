"""Accuracy of the defaults on data that scikit-learn ships."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ntk_sklearn import NNGPClassifier, NTKClassifier
from ntk_sklearn.inference import centred_one_hot, solve_ridge
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import Convolutional

DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS = DIGITS / 16.0
FOLDS = StratifiedKFold(5, shuffle=True, random_state=0)


def test_dense_network_on_digits():
    # 0.9905 measured; an RBF support vector classifier reaches 0.989
    assert cross_val_score(NTKClassifier(), DIGITS, LABELS, cv=FOLDS).mean() >= 0.988


def scores(network, train_size, test_size):
    """Accuracies of a pooled and of the default dense network on a part of the digits."""
    X, Z, y, truth = train_test_split(
        DIGITS, LABELS, train_size=train_size, test_size=test_size, stratify=LABELS, random_state=0
    )
    pooled = NTKClassifier(network, image_shape=(1, 8, 8), dtype="float32")
    return pooled.fit(X, y).score(Z, truth), NTKClassifier().fit(X, y).score(Z, truth)


def test_pooling_helps_with_few_digits():
    pooled, dense = scores(Convolutional(2), 80, 60)
    assert pooled > max(dense, 0.95)  # 0.967 and 0.933 measured


@pytest.mark.slow
def test_default_convolutional_network_with_few_digits():
    pooled, dense = scores(Convolutional(), 150, 100)
    assert pooled > max(dense, 0.975)  # 0.99 and 0.97 measured


@pytest.mark.slow
def test_default_convolutional_network_on_digits():
    K = NTK(Convolutional(), image_shape=(1, 8, 8), dtype="float32")(DIGITS).astype(float)
    accuracies = []
    for train, test in FOLDS.split(DIGITS, LABELS):
        targets, alpha = centred_one_hot(LABELS[train], 10), NTKClassifier().alpha
        solution = solve_ridge(K[np.ix_(train, train)], targets, np.ones(len(train)), alpha)
        found = (K[np.ix_(test, train)] @ solution.coefficients).argmax(axis=1)
        accuracies.append(np.mean(found == LABELS[test]))
    assert np.mean(accuracies) >= 0.993  # 0.9955 measured


@pytest.mark.slow
@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_probabilities_are_no_worse_than_those_of_an_optimized_gaussian_process(load):
    X, y = load(return_X_y=True)

    def log_loss(classifier):
        model = make_pipeline(StandardScaler(), classifier)
        return -cross_val_score(model, X, y, cv=FOLDS, scoring="neg_log_loss").mean()

    # wine: 0.086 and 0.43; breast cancer: 0.079 and 0.099
    assert log_loss(NNGPClassifier()) <= log_loss(GaussianProcessClassifier(1.0 * RBF(1.0)))
