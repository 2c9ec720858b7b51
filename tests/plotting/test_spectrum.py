from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ntk_sklearn import NNGPRegressor, NTKClassifier, NTKRegressor
from ntk_sklearn.finite import EmpiricalNTK
from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import Activation, Dense, FullyConnected, Serial
from ntk_sklearn.plotting import SpectrumDisplay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 3))
Y = np.sin(2 * X[:, 0])
NETWORK = FullyConnected(2)


def eigenvalues_of(K):
    return np.linalg.eigvalsh(K)[::-1]


def powers(K, y):
    """Squared coefficients in the eigenbasis, the largest eigenvalue first."""
    vectors = np.linalg.eigh(K)[1][:, ::-1]
    return ((vectors.T @ np.reshape(y, (len(K), -1))) ** 2).sum(axis=1)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_eigenvalues_against_index(ax):
    display = SpectrumDisplay.from_kernel(NTK(NETWORK), X, ax=ax)
    index, values = display.lines_[0].get_data()
    assert index.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    np.testing.assert_allclose(values, eigenvalues_of(NTK(NETWORK)(X)), rtol=1e-10)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_legend() is None


def test_a_matrix_needs_no_rows(ax):
    display = SpectrumDisplay.from_kernel(np.diag([1.0, 4.0]), y=[3.0, 1.0], ax=ax)
    np.testing.assert_allclose(display.eigenvalues, [4.0, 1.0])
    np.testing.assert_allclose(display.power, [1.0, 9.0])


def test_eigenvalues_that_are_rounding_are_told_apart(ax):
    display = SpectrumDisplay([1.0, 0.1, 1e-15, 0.0]).plot(ax)
    assert display.lines_[0].get_ydata().tolist() == [1.0, 0.1]
    zeros = ax.lines[1]
    assert zeros.get_xdata().tolist() == [3.0, 4.0]
    assert zeros.get_label() == "0 up to rounding"


def test_cumulative_shares(ax):
    display = SpectrumDisplay.from_kernel(NTK(NETWORK), X, Y, ax=ax, kind="cumulative")
    values, power = eigenvalues_of(NTK(NETWORK)(X)), powers(NTK(NETWORK)(X), Y)
    for line, expected in zip(display.lines_, (values, power), strict=True):
        shares = np.cumsum(expected) / expected.sum()
        np.testing.assert_allclose(line.get_ydata(), shares, rtol=1e-8)
    assert legend(ax) == ["trace of the kernel", "power of the target"]


def test_power_of_several_targets(ax):
    targets = np.column_stack([Y, X[:, 1]])
    display = SpectrumDisplay.from_kernel(NNGP(NETWORK), X, targets, ax=ax, kind="power")
    expected = powers(NNGP(NETWORK)(X), targets)
    shares = expected / expected.sum()
    np.testing.assert_allclose(display.lines_[0].get_ydata(), shares, rtol=1e-6, atol=1e-12)
    assert ax.get_yscale() == "log"


@pytest.mark.parametrize("t", [2.0, np.inf])
def test_modes_of_trained_networks_with_weights(t, ax):
    weight = np.array([1.0, 2.0, 1.0, 3.0, 1.0, 1.0, 0.0, 1.0])
    model = NTKRegressor(NETWORK, t=t, normalize_y=False).fit(X, Y, weight)
    display = SpectrumDisplay.from_estimator(model, ax=ax)
    used, root = weight > 0, np.sqrt(weight[weight > 0])
    K = root[:, np.newaxis] * NTK(NETWORK)(X[used]) * root
    np.testing.assert_allclose(display.eigenvalues, eigenvalues_of(K), rtol=1e-10)
    np.testing.assert_allclose(display.power, powers(K, root * Y[used]), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("t", [2.0, np.inf])
def test_modes_of_outputs_that_are_trained_together(t, ax):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
    module, targets = module.double(), np.column_stack([Y, X[:, 1]])
    weight = np.linspace(1.0, 2.0, 8)
    model = NTKRegressor(module, initial="network", t=t, normalize_y=False)
    display = SpectrumDisplay.from_estimator(model.fit(X, targets, weight), ax=ax)
    root = np.repeat(np.sqrt(weight), 2)
    K = root[:, np.newaxis] * EmpiricalNTK(module).blocks(X).reshape(16, 16).numpy() * root
    missing = targets - module(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(display.eigenvalues, eigenvalues_of(K), rtol=1e-8)
    expected = powers(K, root * missing.ravel())
    np.testing.assert_allclose(display.power, expected, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("coefficients", [None, np.array([[3.0, 4.0], [1.0, 0.0]])])
def test_spectra_that_are_known_already(coefficients, ax):
    found = SimpleNamespace(eigenvalues=np.array([2.0, 1.0]), coefficients=coefficients)
    display = SpectrumDisplay.from_spectrum(found, ax=ax)
    assert display.lines_[0].get_ydata().tolist() == [2.0, 1.0]
    assert display.power is None if coefficients is None else display.power.tolist() == [25.0, 1.0]


def test_other_estimators_have_eigenvalues_alone(ax):
    display = SpectrumDisplay.from_estimator(NNGPRegressor(NETWORK).fit(X, Y), ax=ax)
    np.testing.assert_allclose(display.eigenvalues, eigenvalues_of(NNGP(NETWORK)(X)), rtol=1e-9)
    assert display.power is None


def test_classifiers_have_the_power_of_all_their_outputs(ax):
    model = NTKClassifier(NETWORK).fit(X, [0, 1, 2, 0, 1, 2, 0, 1])
    display = SpectrumDisplay.from_estimator(model, ax=ax, kind="power")
    np.testing.assert_allclose(np.sum(display.power), np.sum(model.targets_**2), rtol=1e-12)


# Degrees on spheres


def test_slope_of_even_degrees_is_fitted_to_a_shifted_power_law(ax):
    k, p = np.arange(61), 5
    values = 3.0 * (k + 1.5) ** -5.0
    values[3::2] = 0.0
    display = SpectrumDisplay.from_sphere(values, p, ax=ax)
    assert display.slope == pytest.approx(-5.0, rel=1e-12)
    np.testing.assert_allclose(np.exp(display.intercept), 3.0, rtol=1e-12)
    even, odd = display.lines_
    assert even.get_xdata().tolist() == list(range(0, 61, 2))
    assert odd.get_xdata().tolist() == [1]
    x, y = display.slope_line_.get_data()
    np.testing.assert_allclose([x[0], x[-1]], [10, 60])
    np.testing.assert_allclose(y, 3.0 * (x + 1.5) ** -5.0, rtol=1e-12)
    assert legend(ax) == ["even", "odd", "odd 0 up to rounding", "slope -5.00"]
    assert ax.get_xlabel() == "degree $k$"


def test_spectrum_on_the_circle_by_fourier_integrals(ax):
    """One bias-free hidden layer of relu: k^-2, and nothing at odd k >= 3."""
    angles = 2 * np.pi * np.arange(4096) / 4096
    points = np.column_stack([np.cos(angles), np.sin(angles)])
    network = Serial(Dense(), Activation("relu"), Dense())
    mu = np.fft.rfft(NTK(network)(points[:1], points)[0]).real / len(angles)
    errors = np.full(61, 1e-7)  # of the trapezoidal rule, with a kink
    found = SimpleNamespace(eigenvalues=mu[:61], dimension=2, errors=errors)
    display = SpectrumDisplay.from_sphere(found, ax=ax)
    assert display.slope == pytest.approx(-2.0, rel=0.02)
    assert display.lines_[1].get_xdata().tolist() == [1]


def test_line_without_intercept_goes_through_the_middle(ax):
    values = np.array([1.0, 0.5, 0.1])
    display = SpectrumDisplay(values, slope=-1.0).plot(ax)
    x, y = display.slope_line_.get_data()
    law = np.exp(np.interp(np.log([1, 2, 3]), np.log(x), np.log(y)))
    assert np.log(law).mean() == pytest.approx(np.log(values).mean(), rel=1e-12)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: SpectrumDisplay.from_sphere([1.0, 0.5, 0.1]), TypeError, "need the dimension"),
        (lambda: SpectrumDisplay.from_sphere(np.ones(12), 2), ValueError, "two even degrees"),
        (lambda: SpectrumDisplay.from_kernel(np.eye(2), y=[1.0]), ValueError, "y has 1 rows"),
        (lambda: SpectrumDisplay.from_kernel(np.eye(2), y=["a", "b"]), ValueError, "y must be an"),
        (lambda: SpectrumDisplay([1.0]).plot(kind="power"), ValueError, "needs power"),
        (lambda: SpectrumDisplay([1.0]).plot(kind="both"), ValueError, "kind must be one of"),
        (
            lambda: SpectrumDisplay([1.0], degrees=[0]).plot(kind="cumulative"),
            ValueError,
            "of single modes",
        ),
        (lambda: SpectrumDisplay.from_estimator(NTKRegressor()), TypeError, "needs a fitted"),
        (lambda: SpectrumDisplay.from_spectrum([1.0]), TypeError, "an object with eigenvalues"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
