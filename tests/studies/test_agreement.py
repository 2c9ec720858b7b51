"""Trained random networks against the predictor of infinite width and their own linearizations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ntk_sklearn import NTKRegressor
from ntk_sklearn.finite import empirical_ntk
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import FullyConnected
from ntk_sklearn.studies import finite_agreement
from ntk_sklearn.studies._given import given

RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((8, 5)), RNG.standard_normal((10, 5))
y = np.sin(2 * X[:, 0])
ERF = FullyConnected(1, activation="erf", w_std=1.5, b_std=0.1)
STEPS = (1, 5, 20)


@pytest.fixture(scope="module")
def found():
    return finite_agreement(ERF, X, y, Z, (128, 1024), n_draws=6, steps=STEPS)


def test_errors_fall_with_the_width(found):
    fit, linearized = found.fit, found.linearized_fit
    assert abs(fit.slope + 0.5) < 3 * fit.slope_error < 0.3
    assert abs(linearized.slope + 1) < 3 * linearized.slope_error < 0.45
    assert found.errors.shape == found.linearized_errors.shape == (2, 6, 3)
    assert (found.linearized_errors[-1] < 0.5 * found.errors[-1]).mean() > 0.9


def test_predictions_are_those_of_the_regressor(found):
    largest = np.linalg.eigvalsh(NTK(ERF)(X))[-1]
    assert found.learning_rate == pytest.approx(1 / largest)
    np.testing.assert_allclose(found.times, np.array(STEPS) / largest)
    model = NTKRegressor(ERF, alpha=0, learning_rate=1 / largest, normalize_y=False)
    zero = finite_agreement(ERF, X, y, Z, (128,), 1, steps=(0, *STEPS))
    start, initial = zero.outputs[0, 0, 0, :, 0], zero.start_outputs[0, 0, :, 0]
    model.fit(X, y - initial)
    for k, t in enumerate(STEPS, 1):
        expected = start + model.predict(Z, t=t)
        np.testing.assert_allclose(zero.predictions[0, 0, k, :, 0], expected, rtol=1e-8)
    np.testing.assert_array_equal(zero.outputs[0, 0, 1:], found.outputs[0, 0])


def test_linearizations_are_those_of_the_empirical_kernel(found):
    module = next(iter(given(ERF, X).draws(128, 1, 0)))
    x, z = torch.tensor(X), torch.tensor(Z)
    K, cross = empirical_ntk(module, x).numpy(), empirical_ntk(module, z, x).numpy()
    f, f_new = (module(rows).detach().numpy()[:, 0] for rows in (x, z))
    for k in range(STEPS[-1]):
        residual = f - y
        f, f_new = (
            f - found.learning_rate * K @ residual,
            f_new - found.learning_rate * cross @ residual,
        )
        if k + 1 in STEPS:
            linearized = found.linearized_outputs[0, 0, STEPS.index(k + 1), :, 0]
            np.testing.assert_allclose(linearized, f_new, rtol=0, atol=1e-9)


def test_a_network_is_not_the_kernel_regression_from_zero(found):
    """Width does not remove the initial function: what is left is f_0(x) less A f_0(X)."""
    largest = 1 / found.learning_rate
    model = NTKRegressor(ERF, alpha=0, learning_rate=1 / largest, normalize_y=False)
    from_zero = np.array(model.fit(X, y).predict(Z, t=STEPS))
    wrong = np.sqrt(np.mean((found.outputs[..., 0] - from_zero) ** 2, axis=(1, 2, 3)))
    right = np.sqrt(np.mean(found.errors**2, axis=(1, 2)))
    assert (wrong > 0.3).all()
    assert (right < 0.3 * wrong)[1:].all()


def test_several_outputs_are_trained_together():
    targets = np.stack([y, y**2], axis=1)
    found = finite_agreement(ERF, X, targets, Z, (256,), 1, steps=(10,))
    assert found.outputs.shape == found.predictions.shape == (1, 1, 1, 10, 2)
    moved = found.outputs - finite_agreement(ERF, X, targets, Z, (256,), 1, steps=(0,)).outputs
    assert found.errors[0, 0, 0] < 0.3 * np.sqrt(np.mean(moved**2))


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_errors_of_wide_networks(activation):
    network = FullyConnected(1, activation=activation, w_std=1.5, b_std=0.1)
    found = finite_agreement(network, X, y, Z, (256, 1024, 4096), n_draws=12, steps=STEPS)
    slope, error, _ = found.fit
    assert abs(slope + 0.5) < 3 * error < 0.25


def test_what_diverges_in_the_limit_is_refused():
    with pytest.raises(ValueError, match="gradient descent diverges with learning_rate=10"):
        finite_agreement(ERF, X, y, Z, (16,), learning_rate=10.0)
    with pytest.raises(ValueError, match="learning_rate must be"):
        finite_agreement(ERF, X, y, Z, (16,), learning_rate=np.nan)
    with pytest.raises(ValueError, match="widths must be a sequence"):
        finite_agreement(ERF, X, y, Z, 16)
    with pytest.raises(ValueError, match="X_test has 3 features"):
        finite_agreement(ERF, X, y, Z[:, :3], (16,))
