"""Searches over noises and depths of Bayesian networks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.datasets import load_diabetes, load_wine
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.preprocessing import scale

from ntk_sklearn import NNGPClassifier, NNGPClassifierCV, NNGPRegressor, NNGPRegressorCV
from ntk_sklearn.kernels import NNGP, _evaluate
from ntk_sklearn.networks import FullyConnected

X, Y = load_diabetes(return_X_y=True)
X, Y = scale(X[:60]), Y[:60]
ROWS = np.vstack([X, X[:20], X[:5]])  # some rows twice or three times, with targets of their own
TARGETS = np.concatenate([Y, Y[:20] + 30.0, Y[5:10]])
WINE, LABELS = load_wine(return_X_y=True)
WINE, LABELS = scale(WINE[::2]), np.array(["red", "rosé", "white"])[LABELS[::2]]
FOLDS = KFold(4, shuffle=True, random_state=0)
NOISES, DEPTHS = (1e-2, 0.3), (2, 1)


def posterior(depth, relative, rows, y, normalize_y=True):
    """The estimator with a noise in units of the kernel's diagonal and the variance of y."""
    network = FullyConnected(depth)
    variance = y.var() if normalize_y else 1.0
    noise = relative * NNGP(network).diag(rows).mean() * variance
    return NNGPRegressor(network, noise=noise, normalize_y=normalize_y).fit(rows, y)


def log_density(model, rows, y):
    mean, std = model.predict(rows, return_std=True, include_noise=True)
    return norm(mean, std).logpdf(y).mean()


@pytest.mark.parametrize("normalize_y", [True, False])
@pytest.mark.parametrize(
    "scoring, score",
    [(None, lambda model, *data: model.score(*data)), ("log_density", log_density)],
)
def test_folds_equal_separate_fits(normalize_y, scoring, score):
    search = NNGPRegressorCV(
        noises=NOISES, depths=DEPTHS, cv=FOLDS, scoring=scoring, normalize_y=normalize_y
    ).fit(ROWS, TARGETS)
    for params, found in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        expected = []
        for train, test in FOLDS.split(ROWS):
            data = ROWS[train], TARGETS[train], normalize_y
            model = posterior(params["depth"], params["noise"], *data)
            expected.append(score(model, ROWS[test], TARGETS[test]))
        assert found == pytest.approx(np.mean(expected), rel=1e-9)


@pytest.mark.parametrize("y", [TARGETS, np.column_stack([TARGETS, TARGETS**2])])
@pytest.mark.parametrize("weighted", [True, False])
def test_leave_one_out_equals_that_of_the_fitted_estimator(y, weighted):
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(y)) if weighted else None
    search = NNGPRegressorCV(noises=[0.1], depths=(2,)).fit(ROWS, y, weight)
    left_out = search.leave_one_out()
    assert search.best_score_ == pytest.approx(r2_score(y, left_out.mean, sample_weight=weight))
    density = NNGPRegressorCV(noises=[0.1], depths=(2,), scoring="log_density").fit(ROWS, y, weight)
    # an observation of weight w has the noise s / w there, and s in a score, which weighs it
    w = np.ones(len(y)) if weight is None else weight
    std = left_out.std.reshape(len(y), -1)
    std = np.sqrt(std**2 + search.noise_ * (1 - 1 / w[:, np.newaxis]))
    each = norm.logpdf(y.reshape(len(y), -1), left_out.mean.reshape(len(y), -1), std).sum(axis=1)
    assert density.best_score_ == pytest.approx(np.average(each, weights=weight))


@pytest.mark.parametrize("y", [TARGETS, np.column_stack([TARGETS, TARGETS**2])])
def test_a_fitted_search_is_the_estimator_with_what_was_found(y):
    search = NNGPRegressorCV(FullyConnected(1), noises=[1e-4]).fit(ROWS, y)
    model = NNGPRegressor(FullyConnected(1)).fit(ROWS, y)  # "auto" is 1e-4
    assert set(vars(model)) - set(model.get_params()) <= set(vars(search))
    np.testing.assert_allclose(search.noise_, model.noise_, rtol=1e-12)
    for found, expected in zip(
        search.predict(X[:5] + 0.1, return_std=True, include_noise=True),
        model.predict(X[:5] + 0.1, return_std=True, include_noise=True),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    evidence = model.log_marginal_likelihood_value_
    assert search.log_marginal_likelihood_value_ == pytest.approx(evidence, rel=1e-9)
    assert search.sample_y(X[:3], 2, random_state=0).shape == (3, *y.shape[1:], 2)


def test_weights_count_like_repetitions():
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    number = np.arange(len(X)).repeat(weight)
    splits = list(FOLDS.split(X))
    repeated_splits = [tuple(np.flatnonzero(np.isin(number, part)) for part in s) for s in splits]
    options = {"noises": NOISES, "scoring": "log_density"}
    weighted = NNGPRegressorCV(cv=splits, **options).fit(X, Y, weight)
    repeated = NNGPRegressorCV(cv=repeated_splits, **options).fit(X[number], Y[number])
    np.testing.assert_allclose(
        weighted.cv_results_["mean_test_score"], repeated.cv_results_["mean_test_score"], rtol=1e-9
    )
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-9)


def test_precomputed_equals_rows():
    options = {"noises": NOISES, "scoring": "log_density", "cv": 3}
    search = NNGPRegressorCV(**options).fit(X, Y)
    given = NNGPRegressorCV("precomputed", **options).fit(NNGP()(X), Y)
    assert given.best_score_ == pytest.approx(search.best_score_, rel=1e-9)
    np.testing.assert_allclose(given.predict(NNGP()(X[:5] + 1, X)), search.predict(X[:5] + 1))


@pytest.mark.parametrize("noises", [[], [0.0], [-1.0], 0.1])
def test_noises_are_positive(noises):
    with pytest.raises(ValueError, match="noise"):
        NNGPRegressorCV(noises=noises).fit(X, Y)


# Classification


@pytest.mark.parametrize("labels", [LABELS, LABELS == "rosé"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_classifier_equals_grid_search(labels, class_weight):
    rows, y = np.vstack([WINE, WINE[:20]]), np.concatenate([labels, labels[20:40]])
    model = NNGPClassifier(FullyConnected(), class_weight=class_weight)
    grid = {"network__depth": DEPTHS}
    expected = GridSearchCV(model, grid, scoring="neg_log_loss", error_score="raise").fit(rows, y)
    search = NNGPClassifierCV(depths=DEPTHS, class_weight=class_weight).fit(rows, y)
    for name in ("split0_test_score", "mean_test_score", "std_test_score", "rank_test_score"):
        np.testing.assert_allclose(
            search.cv_results_[name], expected.cv_results_[name], rtol=1e-9, atol=1e-12
        )
    np.testing.assert_allclose(search.predict_proba(WINE), expected.predict_proba(WINE), rtol=1e-9)
    model = expected.best_estimator_
    assert set(vars(model)) - set(model.get_params()) <= set(vars(search))


@pytest.mark.slow
def test_methods_are_compared():
    rows, labels = WINE[::3], LABELS[::3]
    methods = ("dirichlet", "laplace")
    search = NNGPClassifierCV(FullyConnected(1), methods=methods, cv=3).fit(rows, labels)
    for method, score in zip(methods, search.cv_results_["mean_test_score"], strict=True):
        model = NNGPClassifier(FullyConnected(1), method=method)
        expected = cross_val_score(model, rows, labels, cv=3, scoring="neg_log_loss")
        assert score == pytest.approx(expected.mean(), rel=1e-9)
    assert search.method == search.method_ == search.best_params_["method"]


def test_scorers_of_classes():
    search = NNGPClassifierCV(FullyConnected(1), scoring="accuracy", cv=3).fit(WINE, LABELS)
    expected = cross_val_score(NNGPClassifier(FullyConnected(1)), WINE, LABELS, cv=3)
    assert search.best_score_ == pytest.approx(expected.mean())


def test_unknown_methods_are_named():
    with pytest.raises(ValueError, match="methods"):
        NNGPClassifierCV(methods=("variational",)).fit(WINE, LABELS)


@pytest.mark.parametrize("kind", [NNGPRegressorCV, NNGPClassifierCV])
def test_one_pass_of_the_recursion_for_all_depths(monkeypatch, kind):
    evaluated = []
    matrix = _evaluate.matrix

    def counted(problem, *args, **kwargs):
        evaluated.append([output.quantity for output in problem.outputs])
        return matrix(problem, *args, **kwargs)

    monkeypatch.setattr(_evaluate, "matrix", counted)
    kind(depths=(1, 2, 4)).fit(X, (Y > 100).astype(int))
    assert evaluated == [["nngp"] * 3]
