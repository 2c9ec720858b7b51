"""Training on general losses by an ODE, against recorded tables, closed forms and derivatives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ntk_sklearn.inference.filters import gradient_flow
from ntk_sklearn.inference.losses import (
    binary_cross_entropy,
    huber,
    softmax_cross_entropy,
    squared,
    train_on_loss,
)
from ntk_sklearn.inference.training import training_modes

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "predictions.npz")
THETA, Y = GOLDEN["ntk_train_train"], GOLDEN["y_train"]


@pytest.mark.parametrize("points", ["train", "test"])
def test_softmax_cross_entropy_against_neural_tangents(points):
    # time is divided by the number of samples there
    times, labels = np.array([0.5, 5.0, 50.0]), GOLDEN["labels_one_hot"]
    found = train_on_loss(THETA, labels, softmax_cross_entropy, times / len(Y), GOLDEN["f0_train"])
    for t, c in zip(times, found, strict=True):
        recorded = GOLDEN[f"softmax_xent/t={t}/{points}"]
        outputs = GOLDEN[f"f0_{points}"] + GOLDEN[f"ntk_{points}_train"] @ c
        assert np.abs(outputs - recorded).max() <= 1e-7 * np.abs(recorded).max()


def test_squared_loss_is_the_closed_form():
    weight, times = np.linspace(0.5, 2.0, len(Y)), np.array([0.0, 0.1, 3.0])
    modes = training_modes(THETA, weight)
    found = train_on_loss(THETA, Y, squared, times, weight=weight)
    for t, c in zip(times, found, strict=True):
        exact = modes.coefficients(Y, lambda v, t=t: gradient_flow(v, t))
        np.testing.assert_allclose(c, exact, rtol=1e-6, atol=1e-8)


def test_huber_of_a_large_delta_is_squared_and_of_a_small_one_bounds_outliers():
    times, outlier = np.array([0.5]), Y + 100.0 * (np.arange(len(Y)) == 3)[:, np.newaxis]
    wide, plain = (train_on_loss(THETA, Y, g, times) for g in (huber(1e6), squared))
    np.testing.assert_allclose(wide, plain, rtol=1e-7, atol=1e-9)
    narrow = train_on_loss(THETA, outlier, huber(0.1), times)
    assert np.abs(narrow).max() <= 0.1 * times[0] * (1 + 1e-6)


def log_loss(f, y):
    return np.logaddexp(0.0, f).sum() - (y * f).sum()


def cross_entropy(f, y):
    return (np.log(np.exp(f).sum(axis=1, keepdims=True)) * y - f * y).sum()


@pytest.mark.parametrize(
    "gradient, loss", [(binary_cross_entropy, log_loss), (softmax_cross_entropy, cross_entropy)]
)
def test_gradients_by_finite_differences(gradient, loss):
    rng, step = np.random.default_rng(0), 1e-6
    f, y = rng.normal(size=(2, 3)), np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    for place in np.ndindex(f.shape):
        shift = np.zeros_like(f)
        shift[place] = step
        slope = (loss(f + shift, y) - loss(f - shift, y)) / (2 * step)
        assert gradient(f, y)[place] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("times", [[-1.0], [np.inf], [2.0, 1.0], [np.nan]])
def test_bad_times(times):
    with pytest.raises(ValueError, match="times must be finite"):
        train_on_loss(THETA, Y, squared, np.array(times))
