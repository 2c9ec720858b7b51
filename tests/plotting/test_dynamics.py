from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn import NNGPRegressor, NTKRegressor
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import FullyConnected
from ntk_sklearn.plotting import TrainingDynamicsDisplay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 3))
Y = np.sin(2 * X[:, 0])
TIMES = np.array([0.1, 1.0, 5.0])


def model(depth=2, **options):
    return NTKRegressor(FullyConnected(depth), alpha=0, normalize_y=False, **options).fit(X, Y)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_loss_of_an_estimator_is_the_sum_over_modes(ax):
    display = TrainingDynamicsDisplay.from_estimator(model(), TIMES, ax=ax)
    v, V = np.linalg.eigh(NTK(FullyConnected(2))(X))
    left = np.exp(-2 * np.outer(TIMES, v)) @ (V.T @ Y) ** 2 / 2
    np.testing.assert_array_equal(display.lines_[0].get_xdata(), TIMES)
    np.testing.assert_allclose(display.lines_[0].get_ydata(), left, rtol=1e-9)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time $t$", "training loss")
    assert ax.get_legend() is None


def test_times_that_are_not_given_hold_the_whole_of_fast_modes(ax):
    display = TrainingDynamicsDisplay.from_estimator(model(), ax=ax)
    times, loss = display.lines_[0].get_data()
    assert loss[0] > 0.95 * np.sum(Y**2) / 2
    assert loss[-1] < 1e-3 * loss[0]
    assert times.shape == (200,)
    assert ax.get_ylim()[0] >= 0.99e-8 * loss[0]


def test_steps_are_called_steps(ax):
    slow, fast = (model(learning_rate=rate) for rate in (0.01, 0.02))
    display = TrainingDynamicsDisplay.from_estimator({"slow": slow, "fast": fast}, ax=ax)
    assert ax.get_xlabel() == "step"
    steps = display.lines_[0].get_xdata()
    assert (steps[0], steps[-1], len(steps)) == (1, 1000, 1000)
    np.testing.assert_allclose(display.lines_[1].get_ydata(), fast.loss_curve(steps), rtol=1e-12)
    assert legend(ax) == ["slow", "fast"]


@pytest.mark.parametrize(
    "estimators, error, message",
    [
        (lambda: [model(), model(learning_rate=0.01)], ValueError, "others time"),
        (lambda: NNGPRegressor().fit(X, Y), TypeError, "needs NTK estimators"),
    ],
)
def test_estimators_that_do_not_belong_together_are_refused(estimators, error, message):
    with pytest.raises(error, match=message):
        TrainingDynamicsDisplay.from_estimator(estimators())


def test_measured_curves_are_grey_behind_or_in_the_colours_of_theirs(ax):
    curves, measured = np.exp(-np.outer([1, 2], TIMES)), RNG.uniform(0.1, 1, (2, 5, 3))
    display = TrainingDynamicsDisplay(TIMES, curves, labels=["a", "b"], measured=measured)
    display.plot(ax)
    assert len(display.measured_lines_) == 10
    for k, line in enumerate(display.measured_lines_):
        np.testing.assert_array_equal(line.get_ydata(), measured[k // 5, k % 5])
        assert line.get_color() == display.lines_[k // 5].get_color()
        assert line.get_zorder() < display.lines_[0].get_zorder()
    assert legend(ax) == ["measured, finite width", "a", "b"]
    grey = TrainingDynamicsDisplay(TIMES, curves, measured=measured[0]).plot()
    assert {line.get_color() for line in grey.measured_lines_}.isdisjoint(
        {line.get_color() for line in grey.lines_}
    )


def test_measured_curves_may_have_times_of_their_own(ax):
    display = TrainingDynamicsDisplay(
        TIMES, np.exp(-TIMES), measured=[[0.5, 0.2]], measured_times=[0.5, 2.0]
    ).plot(ax, xscale="linear", yscale="linear")
    assert display.measured_lines_[0].get_xdata().tolist() == [0.5, 2.0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")


def test_training_that_diverges_is_drawn_as_far_as_it_goes(ax):
    losses = [[1.0, 0.1, 0.01], [1.0, 1e3, np.inf]]
    display = TrainingDynamicsDisplay(TIMES, losses).plot(ax)
    np.testing.assert_array_equal([line.get_ydata() for line in display.lines_], losses)
    assert 0 < ax.get_ylim()[0] < 0.01
    assert 1e3 < ax.get_ylim()[1] < 1e5
    display.figure_.canvas.draw()


# Modes


def test_modes_fall_exponentially_each_at_its_own_rate(ax):
    display = TrainingDynamicsDisplay.from_spectrum([0.1, 3.0, 1.0], TIMES, modes=[1, 3], ax=ax)
    np.testing.assert_allclose(display.lines_[0].get_ydata(), np.exp(-3.0 * TIMES), rtol=1e-14)
    np.testing.assert_allclose(display.lines_[1].get_ydata(), np.exp(-0.1 * TIMES), rtol=1e-14)
    assert legend(ax) == ["mode 1", "mode 3"]
    assert ax.get_yscale() == "linear"


def test_modes_in_steps_are_those_of_a_loop(ax):
    display = TrainingDynamicsDisplay.from_spectrum([3.0, 1.0], [1, 2, 7], learning_rate=0.6, ax=ax)
    for line, value in zip(display.lines_, (3.0, 1.0), strict=True):
        rest, path = 1.0, []
        for _ in range(7):
            rest -= 0.6 * value * rest
            path.append(rest)
        np.testing.assert_allclose(line.get_ydata(), np.array(path)[[0, 1, 6]], rtol=1e-13)
    assert ax.get_xlabel() == "step"


@pytest.mark.parametrize("learning_rate", [None, 1e-3])
def test_times_and_modes_that_are_not_given(learning_rate, ax):
    values = np.arange(1.0, 101.0) ** -2.0
    display = TrainingDynamicsDisplay.from_spectrum(values, learning_rate=learning_rate, ax=ax)
    assert display.labels[0] == "mode 1"
    assert display.labels[-1] == "mode 100"
    first, last = display.lines_[0].get_ydata(), display.lines_[-1].get_ydata()
    assert first[0] > 0.97
    assert last[-1] < 0.01


@pytest.mark.parametrize(
    "given, message",
    [
        ({"modes": [0]}, "between 1 and 2"),
        ({"modes": [3]}, "between 1 and 2"),
        ({"modes": [0.5]}, "modes must be integers"),
        ({"eigenvalues": [1.0, 0.0]}, "must be positive"),
    ],
)
def test_modes_that_do_not_exist_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        TrainingDynamicsDisplay.from_spectrum(**({"eigenvalues": [2.0, 1.0]} | given))
