from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from ntk_sklearn import NNGPRegressor, NTKClassifier, NTKRegressor
from ntk_sklearn.finite import EmpiricalNTK
from ntk_sklearn.inference import SphereSpectrum, kernel_spectrum, multiplicities
from ntk_sklearn.kernels import NNGP, NTK, sphere_spectrum
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


@pytest.mark.parametrize("targets", [None, np.array([[3.0, 4.0], [1.0, 0.0]])])
def test_spectra_that_are_known_already(targets, ax):
    found = kernel_spectrum(np.diag([2.0, 1.0]), targets)
    display = SpectrumDisplay.from_spectrum(found, ax=ax)
    assert display.lines_[0].get_ydata().tolist() == [2.0, 1.0]
    assert display.power is None if targets is None else display.power.tolist() == [25.0, 1.0]


def test_modes_of_outputs_that_are_trained_together(ax):
    """A module's own kernel has one row for every row and output."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
    module, weight = module.double(), np.array([1.0, 2.0, 1.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    targets = np.column_stack([Y, X[:, 1]])
    for t in (1.0, np.inf):
        model = NTKRegressor(module, t=t, alpha=1e-3, normalize_y=False).fit(X, targets, weight)
        display = SpectrumDisplay.from_estimator(model, ax=ax)
        blocks = EmpiricalNTK(module).blocks(torch.tensor(X)).detach().numpy().reshape(16, 16)
        root = np.sqrt(np.repeat(weight, 2))
        K = root[:, np.newaxis] * blocks * root
        kept = eigenvalues_of(K) > 1e-9
        np.testing.assert_allclose(display.eigenvalues[kept], eigenvalues_of(K)[kept], rtol=1e-8)
        expected = powers(K, root * targets.ravel())
        np.testing.assert_allclose(display.power[kept], expected[kept], rtol=1e-5, atol=1e-9)


def test_posteriors_have_the_power_of_their_normalized_targets(ax):
    rows, targets = np.vstack([X, X[:1]]), np.column_stack([np.r_[Y, 2.0], np.r_[X[:, 1], 0.5]])
    model = NNGPRegressor(NETWORK).fit(rows, targets)
    display = SpectrumDisplay.from_estimator(model, ax=ax)
    normalized = (targets - targets.mean(axis=0)) / targets.std(axis=0)
    merged = np.vstack([normalized[[0, 8]].mean(axis=0), normalized[1:8]])
    K = NNGP(NETWORK)(X)
    np.testing.assert_allclose(display.eigenvalues, eigenvalues_of(K), rtol=1e-9)
    np.testing.assert_allclose(display.power, powers(K, merged), rtol=1e-6)


def test_other_estimators_have_eigenvalues_alone(ax):
    model = GaussianProcessRegressor(RBF(), optimizer=None).fit(X, Y)
    display = SpectrumDisplay.from_estimator(model, ax=ax)
    np.testing.assert_allclose(display.eigenvalues, eigenvalues_of(RBF()(X)), rtol=1e-9)
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
    many = multiplicities(p, 60)
    found = SphereSpectrum(p, values, many, float(many @ values), np.full(61, 1e-20))
    display = SpectrumDisplay.from_sphere(found, ax=ax)
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


@pytest.mark.parametrize("p", [2, 6])
def test_spectrum_of_one_hidden_layer(p, ax):
    """Without biases, of relu: k^-p, and nothing at odd k >= 3."""
    found = sphere_spectrum(Serial(Dense(), Activation("relu"), Dense()), p)
    display = SpectrumDisplay.from_sphere(found, ax=ax)
    assert display.slope == found.slope(range(10, 61, 2)) == pytest.approx(-p, rel=0.02)
    assert display.lines_[1].get_xdata().tolist() == [1]


def test_fits_keep_to_the_degrees_that_there_are(ax):
    found = sphere_spectrum(FullyConnected(1), 2, 20)
    display = SpectrumDisplay.from_sphere(found, fit=(0, 100), ax=ax)
    assert display.slope == found.slope(range(2, 21, 2))
    assert SpectrumDisplay.from_sphere(found, fit=None).slope_line_ is None


def test_line_without_intercept_goes_through_the_middle(ax):
    values = np.array([1.0, 0.5, 0.1])
    display = SpectrumDisplay(values, slope=-1.0).plot(ax)
    x, y = display.slope_line_.get_data()
    law = np.exp(np.interp(np.log([1, 2, 3]), np.log(x), np.log(y)))
    assert np.log(law).mean() == pytest.approx(np.log(values).mean(), rel=1e-12)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: SpectrumDisplay.from_sphere([1.0, 0.5]), TypeError, "needs a SphereSpectrum"),
        (
            lambda: SpectrumDisplay.from_sphere(sphere_spectrum(NETWORK, 3, 11)),
            ValueError,
            "two even degrees",
        ),
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
        (lambda: SpectrumDisplay.from_spectrum([1.0]), TypeError, "kernel_spectrum"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
