from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ntk_sklearn import NNGPRegressor, NTKRegressor
from ntk_sklearn.networks import FullyConnected
from ntk_sklearn.plotting import PosteriorDisplay

X = np.array([[-2.0], [-1.1], [0.3], [1.0], [2.5]])
Y = np.sin(2 * X[:, 0])
NETWORK = FullyConnected(2)
MODELS = {
    "nngp": NNGPRegressor(NETWORK, noise=1e-3),
    "ntk": NTKRegressor(NETWORK),
    "sklearn": GaussianProcessRegressor(RBF(1.0), alpha=1e-6, optimizer=None),
    "pipeline": make_pipeline(StandardScaler(), NNGPRegressor(NETWORK)),
}


def band(display):
    """Lower and upper edge, by x."""
    corners = display.band_.get_paths()[0].vertices
    x = np.unique(corners[:, 0])
    edges = [corners[corners[:, 0] == at, 1] for at in x]
    return x, np.array([(e.min(), e.max()) for e in edges])


@pytest.mark.parametrize("name", MODELS)
def test_mean_and_band_are_those_that_are_predicted(name, ax):
    model = MODELS[name].fit(X, Y)
    display = PosteriorDisplay.from_estimator(model, X, Y, ax=ax, n_std=1.5)
    x, mean = display.line_.get_data()
    np.testing.assert_allclose([x[0], x[-1], len(x)], [-2.45, 2.95, 201])
    expected, std = model.predict(x[:, np.newaxis], return_std=True)
    np.testing.assert_allclose(mean, expected, rtol=1e-12, atol=1e-12)
    at, edges = band(display)
    np.testing.assert_allclose(at, x)
    both = np.column_stack([expected - 1.5 * std, expected + 1.5 * std])
    np.testing.assert_allclose(edges, both, atol=1e-12)
    np.testing.assert_array_equal(display.points_.get_xydata(), np.column_stack([X[:, 0], Y]))
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["mean", "± 1.5 standard deviations", "data"]


@pytest.mark.parametrize("name", ["nngp", "ntk", "sklearn"])
def test_draws_are_those_of_sample_y(name, ax):
    model, grid = MODELS[name].fit(X, Y), np.linspace(-1, 1, 7)
    display = PosteriorDisplay.from_estimator(model, X, grid=grid, n_draws=3, random_state=4, ax=ax)
    expected = model.sample_y(grid[:, np.newaxis], 3, random_state=4)
    for line, draw in zip(display.draws_, expected.T, strict=True):
        np.testing.assert_allclose(line.get_ydata(), draw, rtol=1e-12)
    assert display.points_ is None


def test_draws_may_look_otherwise(ax):
    grey = {"color": "0.6", "label": "networks"}
    display = PosteriorDisplay([0, 1], [0, 1], draws=np.eye(2)).plot(ax, draw_kwargs=grey)
    assert [line.get_color() for line in display.draws_] == ["0.6", "0.6"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mean", "networks"]


def test_predictions_at_another_time(ax):
    model = NTKRegressor(NETWORK).fit(X, Y)
    display = PosteriorDisplay.from_estimator(model, X, predict_params={"t": 0.5}, n_draws=1, ax=ax)
    x = display.line_.get_xdata()[:, np.newaxis]
    np.testing.assert_allclose(display.line_.get_ydata(), model.predict(x, t=0.5), rtol=1e-12)


def test_regressors_without_error_bars(ax):
    model = NTKRegressor(NETWORK, uncertainty=None).fit(X, Y)
    display = PosteriorDisplay.from_estimator(model, X, Y, return_std=False, ax=ax)
    assert display.band_ is None
    assert display.std is None


def test_one_feature_of_several_with_the_others_at_their_means(ax):
    rows = np.random.default_rng(0).normal(size=(12, 3))
    model = BayesianRidge().fit(rows, rows @ [1.0, 2.0, 3.0])
    display = PosteriorDisplay.from_estimator(model, rows, rows[:, 0], feature=1, ax=ax)
    x, mean = display.line_.get_data()
    section = np.tile(rows.mean(axis=0), (201, 1))
    section[:, 1] = x
    np.testing.assert_allclose(mean, model.predict(section), rtol=1e-12)
    assert display.points_ is None  # rows do not lie on the section
    assert ax.get_xlabel() == "feature 1, others at their means"


def test_columns_name_the_axis(ax):
    table = pd.DataFrame({"age": [1.0, 2.0, 4.0]})
    model = BayesianRidge().fit(table.to_numpy(), [1.0, 2.0, 3.0])
    PosteriorDisplay.from_estimator(model, table, ax=ax)
    assert ax.get_xlabel() == "age"


def test_unsorted_points_are_drawn_in_order(ax):
    display = PosteriorDisplay([2.0, 1.0], [5.0, 3.0], [0.1, 0.2], draws=[[7.0], [8.0]]).plot(ax)
    assert display.line_.get_xydata().tolist() == [[1.0, 3.0], [2.0, 5.0]]
    assert display.draws_[0].get_ydata().tolist() == [8.0, 7.0]
    np.testing.assert_allclose(band(display)[1], [[2.6, 3.4], [4.8, 5.2]])


def test_nothing_is_named_without_a_label(ax):
    display = PosteriorDisplay([1, 2], [1, 2], [1, 1], draws=[[1], [2]], x_train=[1], y_train=[1])
    display.plot(ax, label=None)
    assert ax.get_legend() is None
    assert ax.get_legend_handles_labels()[1] == []


@pytest.mark.parametrize(
    "given, message",
    [
        ({}, "X has 2 features, and a line shows one: pass feature"),
        ({"feature": 2}, "feature must be a number from 0 to 1"),
        ({"feature": 0, "y2": True}, "a regressor of one target"),
    ],
)
def test_what_is_no_line_is_refused_in_words(given, message):
    rows = np.random.default_rng(0).normal(size=(6, 2))
    y = rows if given.pop("y2", False) else rows[:, 0]
    model = NNGPRegressor(NETWORK).fit(rows, y)
    with pytest.raises(ValueError, match=message):
        PosteriorDisplay.from_estimator(model, rows, **given)
