"""Searches over ridges, times and depths of trained networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_wine
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, make_scorer, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    PredefinedSplit,
    ShuffleSplit,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from ntk_sklearn import NTKClassifier, NTKClassifierCV, NTKRegressor, NTKRegressorCV
from ntk_sklearn.kernels import NTK, _evaluate
from ntk_sklearn.networks import Convolutional, FullyConnected, Myrtle, ResNet

X, Y = load_diabetes(return_X_y=True)
X, Y = scale(X[:60]), Y[:60]
ROWS = np.vstack([X, X[:20], X[:5]])  # some rows twice or three times, with targets of their own
TARGETS = np.concatenate([Y, Y[:20] + 30.0, Y[5:10]])
WINE, LABELS = load_wine(return_X_y=True)
WINE, LABELS = scale(WINE[::2]), np.array(["red", "rosé", "white"])[LABELS[::2]]
FOLDS = KFold(4, shuffle=True, random_state=0)
ALPHAS, TIMES, DEPTHS = (1e-3, 0.1), (0.3, math.inf), (2, 1)


def grid_search(model, grid, rows, y, **params):
    model = model.set_params(network=FullyConnected())
    grid = {"network__depth": DEPTHS, **grid}
    return GridSearchCV(model, grid, error_score="raise", **params).fit(rows, y)


def assert_same_scores(search, expected):
    for name in expected.cv_results_:
        if "_test_score" in name:
            found = search.cv_results_[name]
            np.testing.assert_allclose(found, expected.cv_results_[name], rtol=1e-9, atol=1e-9)
    assert list(search.best_params_.values()) == list(expected.best_params_.values())


# The same scores and models as GridSearchCV


@pytest.mark.parametrize("loss_scale", ["sum", "mean"])
@pytest.mark.parametrize("y", [TARGETS, np.column_stack([TARGETS, TARGETS**2])])
def test_regressor_equals_grid_search(loss_scale, y):
    model = NTKRegressor(loss_scale=loss_scale)
    expected = grid_search(model, {"alpha": ALPHAS, "t": TIMES}, ROWS, y, cv=FOLDS)
    search = NTKRegressorCV(
        alphas=ALPHAS, times=TIMES, depths=DEPTHS, cv=FOLDS, loss_scale=loss_scale
    ).fit(ROWS, y)
    assert_same_scores(search, expected)
    for found, wanted in zip(
        search.predict(X[::7] + 0.1, return_std=True),
        expected.best_estimator_.predict(X[::7] + 0.1, return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:equal rows of X have different targets")
@pytest.mark.parametrize("options", [{}, {"normalize_y": False}])
def test_regressor_without_a_ridge_equals_grid_search(options):
    expected = grid_search(NTKRegressor(**options), {"alpha": [0.0]}, ROWS, TARGETS, cv=5)
    search = NTKRegressorCV(alphas=[0.0], depths=DEPTHS, **options).fit(ROWS, TARGETS)
    expected.best_params_["t"] = math.inf
    assert search.cv_results_["params"][0] == {"alpha": 0.0, "depth": 2, "t": math.inf}
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"], rtol=1e-9
    )


@pytest.mark.parametrize("labels", [LABELS, LABELS == "rosé"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_classifier_equals_grid_search(labels, class_weight):
    rows, y = np.vstack([WINE, WINE[:20]]), np.concatenate([labels, labels[20:40]])
    model = NTKClassifier(class_weight=class_weight)
    expected = grid_search(
        model, {"alpha": ALPHAS, "t": TIMES}, rows, y, cv=5, scoring="balanced_accuracy"
    )
    search = NTKClassifierCV(
        alphas=ALPHAS, times=TIMES, depths=DEPTHS, cv=5, class_weight=class_weight,
        scoring="balanced_accuracy",
    ).fit(rows, y)  # fmt: skip
    assert_same_scores(search, expected)
    np.testing.assert_allclose(
        search.decision_function(WINE), expected.decision_function(WINE), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_array_equal(search.predict(WINE), expected.predict(WINE))


def test_images_and_float32():
    rows, network = np.abs(X[:40, :8]), Convolutional(1, filter=2)
    options = {"image_shape": (2, 4), "dtype": "float32"}
    search = NTKRegressorCV(network, alphas=[0.1], depths=(1, 2), cv=2, **options).fit(rows, Y[:40])
    for depth, score in zip((1, 2), search.cv_results_["mean_test_score"], strict=True):
        model = NTKRegressor(clone(network).set_params(depth=depth), alpha=0.1, **options)
        assert score == pytest.approx(cross_val_score(model, rows, Y[:40], cv=2).mean(), rel=1e-4)


def test_finite_widths():
    network = FullyConnected(width=32, n_networks=2)
    search = NTKRegressorCV(network, alphas=[0.1], depths=(1, 2), cv=3).fit(X, Y)
    for depth, score in zip((1, 2), search.cv_results_["mean_test_score"], strict=True):
        model = NTKRegressor(clone(network).set_params(depth=depth), alpha=0.1)
        assert score == pytest.approx(cross_val_score(model, X, Y, cv=3).mean(), rel=1e-9)


@pytest.mark.parametrize("cv", [None, 4])
def test_precomputed_equals_rows(cv):
    options = {"alphas": ALPHAS, "cv": cv, "uncertainty": "ntkgp"}
    search = NTKRegressorCV(**options).fit(X, Y)
    given = NTKRegressorCV("precomputed", **options).fit(NTK()(X), Y)
    assert_same_scores(given, search)
    np.testing.assert_allclose(given.predict(NTK()(X[:5] + 1, X)), search.predict(X[:5] + 1))


# Leave-one-out


def left_out(weight, alpha, normalize):
    """Predictions for each row by a fit without it; the scale of y and the ridge are of all."""
    mean, std = 0.0, 1.0
    if normalize:
        mean = np.average(TARGETS, weights=weight)
        std = np.sqrt(np.average((TARGETS - mean) ** 2, weights=weight))
    K = NTK()(ROWS)
    ridge = alpha * np.average(np.diag(K), weights=weight)
    found = []
    for i in np.arange(len(ROWS)):
        others = np.arange(len(ROWS)) != i
        A = K[np.ix_(others, others)] + ridge * np.diag(1.0 / weight[others])
        found.append(K[i, others] @ np.linalg.solve(A, (TARGETS[others] - mean) / std))
    return np.array(found) * std + mean


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_leave_one_out_equals_deletion(normalize, weighted):
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(ROWS)) if weighted else None
    search = NTKRegressorCV(alphas=ALPHAS, normalize_y=normalize).fit(ROWS, TARGETS, weight)
    used = np.ones(len(ROWS)) if weight is None else weight
    for alpha, score in zip(ALPHAS, search.cv_results_["mean_test_score"], strict=True):
        expected = r2_score(TARGETS, left_out(used, alpha, normalize), sample_weight=weight)
        assert score == pytest.approx(expected, rel=1e-9)


def test_leave_one_out_of_classifier_equals_deletion():
    search = NTKClassifierCV(FullyConnected(1), alphas=[0.1]).fit(WINE, LABELS)
    K, targets = NTK(FullyConnected(1))(WINE), np.eye(3)[np.unique(LABELS, return_inverse=True)[1]]
    ridge, predicted = 0.1 * np.diag(K).mean(), []
    for i in range(len(WINE)):
        others = np.arange(len(WINE)) != i
        A = K[np.ix_(others, others)] + ridge * np.eye(len(WINE) - 1)
        outputs = K[i, others] @ np.linalg.solve(A, targets[others] - 1 / 3)
        predicted.append(search.classes_[outputs.argmax()])
    assert search.best_score_ == accuracy_score(LABELS, predicted)


@pytest.mark.parametrize("options", [{"times": (1.0, math.inf)}, {"alphas": (0.0, 0.1)}])
def test_folds_where_leave_one_out_has_no_closed_form(options):
    search = NTKRegressorCV(**options).fit(X, Y)
    assert "split4_test_score" in search.cv_results_
    assert "split1_test_score" not in NTKRegressorCV().fit(X, Y).cv_results_


# Weights, splits and scorers


def test_weights_count_like_repetitions_in_both_parts_of_a_split():
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    part = np.arange(len(X)) % 3
    options = {"alphas": ALPHAS, "times": TIMES}
    weighted = NTKRegressorCV(cv=PredefinedSplit(part), **options).fit(X, Y, weight)
    repeated = NTKRegressorCV(cv=PredefinedSplit(part.repeat(weight)), **options).fit(
        X.repeat(weight, axis=0), Y.repeat(weight)
    )
    assert_same_scores(weighted, repeated)
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-9)


@pytest.mark.parametrize(
    "scoring", ["neg_mean_absolute_error", make_scorer(r2_score), lambda model, X, y: X[0, 0]]
)
def test_scorers(scoring):
    search = NTKRegressorCV(alphas=[0.1], cv=FOLDS, scoring=scoring).fit(X, Y)
    expected = cross_val_score(NTKRegressor(alpha=0.1), X, Y, cv=FOLDS, scoring=scoring)
    assert search.best_score_ == pytest.approx(expected.mean(), rel=1e-9)


def test_scorer_of_outputs():
    labels = LABELS == "rosé"
    search = NTKClassifierCV(alphas=[0.1], cv=3, scoring="roc_auc").fit(WINE, labels)
    model = NTKClassifier(alpha=0.1)
    expected = cross_val_score(model, WINE, labels, cv=3, scoring="roc_auc")
    assert search.best_score_ == pytest.approx(expected.mean(), rel=1e-9)


def test_splits_may_be_random_or_an_iterable():
    splits = list(ShuffleSplit(3, random_state=1).split(X))
    for cv in (ShuffleSplit(3, random_state=1), iter(splits)):
        search = NTKRegressorCV(alphas=[0.1], cv=cv).fit(X, Y)
        expected = cross_val_score(NTKRegressor(alpha=0.1), X, Y, cv=splits)
        assert search.best_score_ == pytest.approx(expected.mean(), rel=1e-9)


def test_the_first_of_equally_good_candidates_wins():
    search = NTKRegressorCV(depths=(2, 1), scoring=lambda model, X, y: 0.0).fit(X, Y)
    assert search.best_params_ == {"alpha": 1e-4, "depth": 2, "t": math.inf}
    assert (search.best_index_, search.alpha_, search.t_, search.depth_) == (0, 1e-4, math.inf, 2)
    assert search.kernel_.network == FullyConnected(2)


# The work


@pytest.mark.parametrize("depths", [(1, 2, 4), None])
def test_one_pass_of_the_recursion_for_all_depths(monkeypatch, depths):
    evaluated = []
    matrix = _evaluate.matrix

    def counted(problem, *args, **kwargs):
        evaluated.append([output.quantity for output in problem.outputs])
        return matrix(problem, *args, **kwargs)

    monkeypatch.setattr(_evaluate, "matrix", counted)
    NTKRegressorCV(depths=depths, times=TIMES).fit(X, Y)
    assert evaluated == ([["ntk"] * 3, ["nngp"]] if depths else [["ntk", "nngp"]])


def test_a_fitted_search_is_the_estimator_with_what_was_found():
    search = NTKRegressorCV(alphas=[0.1], times=[2.0]).fit(X, Y)
    model = NTKRegressor(alpha=0.1, t=2.0).fit(X, Y)
    np.testing.assert_allclose(search.predict(X, t=[0.5, 3.0]), model.predict(X, t=[0.5, 3.0]))
    np.testing.assert_allclose(search.loss_curve([0.0, 1.0]), model.loss_curve([0.0, 1.0]))
    assert search.max_learning_rate() == pytest.approx(model.max_learning_rate())
    assert search.sample_y(X[:3], 2, random_state=0).shape == (3, 2)
    assert set(vars(model)) - set(model.get_params()) <= set(vars(search))


def test_in_a_pipeline():
    model = make_pipeline(StandardScaler(), NTKClassifierCV(depths=(1, 2)))
    assert cross_val_score(model, WINE, LABELS, cv=3, error_score="raise").mean() > 0.95


# What is refused


@pytest.mark.parametrize(
    "options, match",
    [
        ({"alphas": []}, "alphas"),
        ({"alphas": 0.1}, "alphas"),
        ({"alphas": [-1.0]}, "alpha"),
        ({"times": [-1.0]}, "t must be"),
        ({"depths": []}, "depths"),
        ({"depths": (1,), "network": ResNet(filter=None)}, "depth"),
        ({"depths": (1,), "network": FullyConnected().build()}, "depth"),
        ({"depths": (1,), "network": "precomputed"}, "depth"),
        ({"depths": (3,), "network": Myrtle()}, "depth"),
        ({"depths": (-1,)}, "depth"),
        ({"scoring": "no such score"}, "scor"),
        ({"cv": [(np.arange(60), [])]}, "split"),
        ({"uncertainty": "all"}, "uncertainty"),
    ],
)
def test_bad_parameters_are_named(options, match):
    model = NTKRegressorCV(**options)
    rows = NTK()(X) if options.get("network") == "precomputed" else X
    with pytest.raises(ValueError, match=match):
        model.fit(rows, Y)
    assert not hasattr(model, "n_features_in_")


def test_several_scorers_are_refused():
    with pytest.raises(TypeError, match="scoring"):
        NTKRegressorCV(scoring=["r2"]).fit(X, Y)


def test_scores_that_are_not_finite():
    with (
        pytest.warns(UndefinedMetricWarning),
        pytest.raises(ValueError, match="no candidate has a finite score"),
    ):
        NTKRegressorCV(cv=[([0, 1], [2])]).fit(X, Y)


def test_a_kernel_that_is_zero_predicts_the_mean():
    network = FullyConnected(1, b_std=0.0)
    for options in ({}, {"cv": 3}, {"times": (1.0,)}):
        search = NTKRegressorCV(network, **options).fit(np.zeros_like(X), Y)
        np.testing.assert_allclose(search.predict(X[:3]), Y.mean())
        assert search.best_score_ <= 0
