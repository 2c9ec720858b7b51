from __future__ import annotations

import gpytorch
import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from ntk_sklearn import NNGPRegressor, NTKClassifier, NTKRegressor
from ntk_sklearn.kernels import NTK, Normalized
from ntk_sklearn.networks import FullyConnected, Linearized
from ntk_sklearn.plotting import GramDisplay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))
CLASSES = np.array(["b", "a", "c", "b", "a", "b"])
ORDER = [1, 4, 0, 3, 5, 2]


def test_rows_are_ordered_by_class_and_classes_named(ax):
    kernel = NTK(FullyConnected(1))
    display = GramDisplay.from_kernel(kernel, X, CLASSES, ax=ax)
    expected = kernel(X)[np.ix_(ORDER, ORDER)]
    np.testing.assert_array_equal(display.image_.get_array(), expected)
    np.testing.assert_array_equal(display.labels, CLASSES[ORDER])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b", "c"]
    assert ax.get_yticks().tolist() == [0.5, 3.0, 5.0]
    across = sorted(line.get_ydata()[0] for line in display.boundaries_[::2])
    assert across == [1.5, 4.5]


def test_boundaries_may_be_left_out(ax):
    display = GramDisplay.from_kernel(NTK(), X, CLASSES, ax=ax, boundaries=False)
    assert display.boundaries_ == []
    assert ax.get_xlabel() == "row, by target"


def test_colour_bar_says_what_the_colours_mean(ax):
    display = GramDisplay.from_kernel(NTK(), X, normalize=True, ax=ax)
    assert display.colorbar_.ax.get_ylabel() == display.name
    assert r"\sqrt" in display.name
    np.testing.assert_allclose(np.diag(display.image_.get_array()), 1.0, rtol=1e-14)
    assert GramDisplay(np.eye(2)).plot(colorbar=False).colorbar_ is None


def test_normalized_values_are_cosines(ax):
    display = GramDisplay.from_kernel(X @ X.T, normalize=True, ax=ax)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    np.testing.assert_allclose(display.matrix, unit @ unit.T, rtol=1e-12)


def test_targets_order_rows_without_boundaries(ax):
    y = np.array([0.3, -1.2, 2.5, 0.1, 0.7, -0.4])
    display = GramDisplay.from_kernel(RBF(), X, y, ax=ax)
    order = np.argsort(y)
    np.testing.assert_array_equal(display.matrix, RBF()(X)[np.ix_(order, order)])
    assert display.labels is None
    assert ax.get_xlabel() == "row, by target"


def test_colours_of_signed_matrices_are_symmetric_about_zero(ax):
    display = GramDisplay([[2.0, -0.5], [-0.5, 1.0]]).plot(ax)
    assert display.image_.get_clim() == (-2.0, 2.0)
    assert GramDisplay([[2.0, 0.5], [0.5, 1.0]]).plot().image_.get_clim() == (0.5, 2.0)


def test_networks_stand_for_their_ntk(ax):
    network = FullyConnected(2)
    display = GramDisplay.from_kernel(network, X, ax=ax)
    np.testing.assert_array_equal(display.matrix, NTK(network)(X))


@pytest.mark.parametrize("wrap", [lambda m: m, Linearized, Normalized])
def test_modules_and_expressions_stand_for_their_ntk(wrap, ax):
    torch.manual_seed(0)
    network = wrap(
        torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    )
    display = GramDisplay.from_kernel(network, X, ax=ax)
    np.testing.assert_allclose(display.matrix, NTK(network)(X), rtol=1e-12)


def test_gpytorch_kernels_are_evaluated(ax):
    kernel = gpytorch.kernels.RBFKernel()
    display = GramDisplay.from_kernel(kernel, torch.tensor(X), ax=ax)
    lengthscale = kernel.lengthscale.item()
    np.testing.assert_allclose(display.matrix, RBF(lengthscale)(X), rtol=1e-6)


@pytest.mark.parametrize(
    "estimator, kernel",
    [
        (NTKRegressor(FullyConnected(1)), NTK(FullyConnected(1))),
        (GaussianProcessRegressor(RBF(2.0), optimizer=None), RBF(2.0)),
    ],
)
def test_estimators_show_their_training_rows(estimator, kernel, ax):
    y = X[:, 0]
    display = GramDisplay.from_estimator(estimator.fit(X, y), ax=ax)
    np.testing.assert_allclose(display.matrix, kernel(X), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:the evidence is largest at a bound")
def test_optimized_kernels_are_shown_as_scaled(ax):
    y = np.sin(2 * X[:, 0])
    model = NNGPRegressor(FullyConnected(1), optimizer="lbfgs", ard=True).fit(X, y)
    display = GramDisplay.from_estimator(model, ax=ax)
    factor = model.L_[0] @ model.L_[0].T
    noise = model.noise_ / model.y_std_**2
    np.testing.assert_allclose(display.matrix + noise * np.eye(6), factor, rtol=1e-8, atol=1e-10)


def test_other_rows_and_labels_of_an_estimator(ax):
    model = NTKClassifier(FullyConnected(1)).fit(X, CLASSES)
    display = GramDisplay.from_estimator(model, X[:4], CLASSES[:4], ax=ax, normalize=True)
    assert display.matrix.shape == (4, 4)
    assert list(display.labels) == ["a", "b", "b", "c"]


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: GramDisplay.from_kernel(NTK()), TypeError, "needs X"),
        (lambda: GramDisplay.from_kernel(np.eye(3), X), TypeError, "must be callable"),
        (lambda: GramDisplay.from_kernel(np.ones((2, 3))), ValueError, "must be square"),
        (lambda: GramDisplay.from_kernel([[1, 2], [0, 1]]), ValueError, "must be symmetric"),
        (
            lambda: GramDisplay.from_kernel(np.diag([1, 0]), normalize=True),
            ValueError,
            "positive d",
        ),
        (lambda: GramDisplay.from_kernel(NTK(), X, CLASSES[:4]), ValueError, "inconsistent"),
        (lambda: GramDisplay.from_kernel(NTK(), X, X), ValueError, r"y must be \(n,\)"),
        (lambda: GramDisplay.from_estimator(NTKRegressor()), TypeError, "needs a fitted"),
        (
            lambda: GramDisplay.from_estimator(NTKRegressor("precomputed").fit(X @ X.T, X[:, 0])),
            TypeError,
            "keeps no matrix",
        ),
    ],
)
def test_what_is_no_kernel_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
