"""Kernels of random networks against their limit: known constants, and the power of the width."""

from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn.networks import Activation, Convolutional, Dense, FullyConnected, Serial
from ntk_sklearn.studies import width_convergence

X = np.random.default_rng(0).standard_normal((6, 5))
WIDTHS = (32, 64, 128, 256, 512)
NETWORKS = {
    "relu": FullyConnected(2),
    "erf": FullyConnected(2, activation="erf", w_std=1.5, b_std=0.1),
}
LINEAR = Serial(Dense(), Activation("identity"), Dense())


@pytest.mark.parametrize("quantity", ["ntk", "nngp"])
@pytest.mark.parametrize("name", NETWORKS)
def test_errors_fall_with_the_root_of_the_width(name, quantity):
    found = width_convergence(NETWORKS[name], X, WIDTHS, n_draws=12, quantity=quantity)
    assert abs(found.slope + 0.5) < 3 * found.slope_error
    assert found.slope_error < 0.06  # neither 0 nor -1 would do


@pytest.mark.slow
@pytest.mark.parametrize("quantity", ["ntk", "nngp"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_power_of_wide_networks(name, quantity):
    widths = (64, 128, 256, 512, 1024)
    found = width_convergence(NETWORKS[name], X, widths, n_draws=60, quantity=quantity)
    assert abs(found.slope + 0.5) < 3 * found.slope_error < 0.075


def test_images():
    images = np.random.default_rng(1).standard_normal((3, 2, 4, 4))
    network = Convolutional(depth=1)
    found = width_convergence(network, images, (8, 32, 128), n_draws=12)
    flat = width_convergence(network, images.reshape(3, -1), (8,), 12, "ntk", (2, 4, 4))
    assert abs(found.slope + 0.5) < 3 * found.slope_error < 0.3
    np.testing.assert_array_equal(found.errors[:1], flat.errors)


def test_linear_networks_have_the_errors_of_a_chi_square():
    """The NNGP of one row is chi^2 / width: relative errors are normal numbers sqrt(2 / width)."""
    found = width_convergence(LINEAR, X[:1], (256, 1024), n_draws=300, quantity="nngp")
    spread = np.sqrt(2 / found.widths)
    rms = np.sqrt(np.mean(found.errors**2, axis=1))
    np.testing.assert_allclose(rms, spread, rtol=3 / np.sqrt(2 * 300))
    assert (found.mean_errors < 3.5 * spread / 300**0.5).all()
    assert abs(found.slope + 0.5) < 3 * found.slope_error
    log_of_normal = -0.5 * (np.euler_gamma + np.log(2))  # its mean; the variance is pi^2 / 8
    at_1024 = found.intercept + found.slope * np.log(1024)
    error = np.pi / np.sqrt(8 * found.errors.size)
    assert abs(at_1024 - np.log(spread[1]) - log_of_normal) < 3 * error


def test_networks_of_a_width_do_not_depend_on_the_others():
    network = NETWORKS["relu"]
    both, one = (width_convergence(network, X, w, 2).errors for w in ((16, 32), (32,)))
    np.testing.assert_array_equal(both[1:], one)
    assert (width_convergence(network, X, (32,), 2, random_state=1).errors != one).all()


def test_where_there_is_no_power_to_fit():
    assert np.isnan(width_convergence(LINEAR, X, (32,), 2).slope)
    exact = width_convergence(Dense(), X, (16, 32), 2)
    np.testing.assert_allclose(exact.errors, 0, atol=1e-14)


@pytest.mark.parametrize(
    "given, told",
    [
        ({"widths": (64, 32)}, "widths must be positive integers in ascending order"),
        ({"widths": (0, 32)}, "widths must be positive"),
        ({"n_draws": 0}, "n_draws must be a positive integer"),
        ({"quantity": "both"}, "quantity must be 'ntk' or 'nngp'"),
        ({"network": FullyConnected(2, width=64)}, "network must be infinitely wide"),
        ({"X": np.full((2, 3), np.nan)}, "X contains NaN"),
    ],
)
def test_what_cannot_be_studied_is_refused(given, told):
    with pytest.raises(ValueError, match=told):
        width_convergence(**{"network": LINEAR, "X": X, "widths": (16, 32), **given})
