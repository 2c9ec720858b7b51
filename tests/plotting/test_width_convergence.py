from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn.networks import FullyConnected
from ntk_sklearn.plotting import WidthConvergenceDisplay
from ntk_sklearn.studies import width_convergence

WIDTHS = np.array([32, 128, 512])
ERRORS = np.random.default_rng(0).uniform(0.5, 2.0, (3, 6)) * WIDTHS[:, np.newaxis] ** -0.5


def test_networks_and_their_geometric_means(ax):
    display = WidthConvergenceDisplay(WIDTHS, ERRORS).plot(ax)
    x, y = display.points_.get_data()
    np.testing.assert_array_equal(y.reshape(3, 6), ERRORS)
    np.testing.assert_array_equal(x.reshape(3, 6), np.repeat(WIDTHS, 6).reshape(3, 6))
    means = ERRORS.prod(axis=1) ** (1 / 6)
    np.testing.assert_allclose(display.line_.get_ydata(), means, rtol=1e-12)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["32", "128", "512"]


def test_lines_are_the_fitted_and_the_expected_law(ax):
    X = np.random.default_rng(0).normal(size=(3, 2))
    result = width_convergence(FullyConnected(1), X, (8, 32, 128), n_draws=6)
    display = WidthConvergenceDisplay.from_study(result, ax=ax)
    np.testing.assert_array_equal(display.points_.get_ydata(), result.errors.ravel())
    slope, intercept = np.polyfit(
        np.repeat(np.log(result.widths), 6), np.log(result.errors).ravel(), 1
    )
    middle, ends = np.log(result.errors).mean(), np.array([8, 128])
    fitted, expected = display.slope_line_, display.expected_line_
    np.testing.assert_allclose(fitted.get_ydata(), np.exp(intercept) * ends**slope, rtol=1e-9)
    y = expected.get_ydata()
    assert np.log(y[1] / y[0]) / np.log(16) == pytest.approx(-0.5, rel=1e-12)
    # both go through the middle
    assert np.log(y).mean() == pytest.approx(middle, rel=1e-12)
    assert np.log(fitted.get_ydata()).mean() == pytest.approx(middle, rel=1e-12)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["networks", "geometric mean", f"fitted slope {slope:.2f}", "slope -0.5"]


@pytest.mark.parametrize("slope", [None, np.nan])
def test_lines_may_be_left_out(slope, ax):
    display = WidthConvergenceDisplay(WIDTHS, ERRORS, slope=slope, expected=None).plot(ax)
    assert display.slope_line_ is None
    assert display.expected_line_ is None
    assert len(ax.lines) == 2


def test_results_without_errors_are_refused():
    with pytest.raises(TypeError, match="errors"):
        WidthConvergenceDisplay.from_study(WIDTHS)
