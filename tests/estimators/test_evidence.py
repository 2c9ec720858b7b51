"""Scales that maximize the evidence: its gradient, GPyTorch's, and what is found."""

from __future__ import annotations

import warnings

import gpytorch
import numpy as np
import pytest
import torch
from gpytorch.distributions import MultivariateNormal
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntk_sklearn import NNGPRegressor
from ntk_sklearn.estimators._evidence import Evidence
from ntk_sklearn.estimators._noise import merge_outputs
from ntk_sklearn.estimators._search_space import search_space
from ntk_sklearn.inference import equal_rows
from ntk_sklearn.kernels import NNGP, NNGPKernel
from ntk_sklearn.networks import (
    Activation,
    Convolutional,
    Dense,
    FullyConnected,
    ResNet,
    Serial,
)

rng = np.random.default_rng(0)
N = 24
X = rng.normal(size=(N, 6))
Y = np.column_stack([np.sin(2 * X[:, 0]) + X[:, 1], 0.3 * X[:, 2] ** 2 + X[:, 0]])
Y += 0.1 * rng.normal(size=Y.shape)
y = Y[:, 0]
EQUAL = X[np.arange(N) % 15]
TREE = Serial(Dense(1.3, 0.2), Activation("relu"), Dense(1.1), Activation("erf"), Dense(0.9, 0.1))
CASES = {
    "dense": (FullyConnected(2), None),
    "erf": (FullyConnected(2, activation="erf"), None),
    "tree": (TREE, None),
    "resnet": (ResNet((1, 1), filter=None), None),
    "pooled": (Convolutional(2), (1, 2, 3)),
    "flattened": (Convolutional(1, head="flatten"), (1, 2, 3)),
    "finite": (FullyConnected(2, width=8, n_networks=2), None),
}
each = pytest.mark.parametrize("case", CASES)
OPEN = dict.fromkeys(("w_std", "b_std", "noise", "output_scale", "input_scale"), (0.001, 1000.0))
# The evidence of noise-free-looking functions grows beyond the default bounds.
within_bounds = pytest.mark.filterwarnings("ignore:the evidence is largest at a bound")


def evidence(case, rows, noise, weight, n_inputs, budget=None):
    network, image_shape = CASES[case]
    kernel = NNGP(network, image_shape=image_shape, memory_budget=budget)
    groups = equal_rows(rows)
    parts = merge_outputs(Y, noise, weight, groups)
    space = search_space(kernel, None, 0.3, n_inputs, 1.0)
    return Evidence(kernel.of_network("nngp"), rows[groups.first], parts, space), space


# The gradient


@each
@pytest.mark.parametrize("ard", [False, True])
@pytest.mark.parametrize("rows", [X, EQUAL], ids=["distinct", "equal"])
def test_gradient_is_the_central_difference(case, ard, rows):
    if ard and case == "finite":
        pytest.skip("refused")
    noise = np.broadcast_to([0.3, 0.05], (N, 2))
    weight = rng.uniform(0.5, 2.0, N)
    function, space = evidence(case, rows, noise, weight, 6 * ard)
    point = space.given + 0.1 * rng.normal(size=len(space.given))
    _, gradient = function(point)
    steps = 1e-5 * np.eye(len(point))
    expected = [(function(point + s)[0] - function(point - s)[0]) / 2e-5 for s in steps]
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("case", ["dense", "pooled"])
def test_gradient_does_not_depend_on_the_tiles(case):
    arguments = (X, np.full((N, 2), 0.3), np.ones(N), 6)
    whole, space = evidence(case, *arguments)
    tiled, _ = evidence(case, *arguments, budget={"dense": "100KB", "pooled": "500KB"}[case])
    for value, expected in zip(tiled(space.given), whole(space.given), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-11)


def gpytorch_evidence(rows, targets, noise, network):
    """GPyTorch's evidence and its derivatives in the logarithms of w_std, b_std and noise."""
    x, t = torch.from_numpy(rows), torch.from_numpy(targets)
    likelihood, kernel = gpytorch.likelihoods.GaussianLikelihood().double(), NNGPKernel(network)
    kernel = kernel.double()
    for name, value in network.scales.items():
        if value:
            kernel.set_scale(name, value)
    likelihood.noise = torch.tensor(noise, dtype=torch.float64)

    class Model(gpytorch.models.ExactGP):
        def forward(self, x):
            return MultivariateNormal(torch.zeros(len(x), dtype=x.dtype), kernel(x))

    model = Model(x, t, likelihood)
    log_likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    raw = [kernel.raw_w_std, kernel.raw_b_std, likelihood.noise_covar.raw_noise]
    with gpytorch.settings.fast_computations(False, False, False):
        value = len(t) * log_likelihood(model(x), t)
        slopes = torch.autograd.grad(value, raw)
    values = [kernel.w_std, kernel.b_std, likelihood.noise]
    logs = [
        slope * v / torch.autograd.grad(v.sum(), r)[0]
        for slope, v, r in zip(slopes, values, raw, strict=True)
    ]
    return value.item(), [slope.item() for slope in logs]


@pytest.mark.parametrize("n", [100, pytest.param(800, marks=pytest.mark.slow)])
def test_evidence_and_gradient_are_those_of_gpytorch(n):
    rows, network = np.random.default_rng(1).normal(size=(n, 6)), FullyConnected(2)
    targets = np.sin(rows[:, 0]) + rows[:, 1] ** 2
    value, slopes = gpytorch_evidence(rows, targets, 0.1, network)
    model = NNGPRegressor(network, noise=0.1, normalize_y=False).fit(rows, targets)
    assert model.log_marginal_likelihood_value_ == pytest.approx(value, rel=1e-8)
    kernel, groups = NNGP(network), equal_rows(rows)
    parts = merge_outputs(targets[:, np.newaxis], np.full((n, 1), 0.1), np.ones(n), groups)
    space = search_space(kernel, {"output_scale": "fixed"}, 0.1, 0, 1.0)
    found = Evidence(kernel.of_network("nngp"), rows, parts, space)(space.given)
    assert space.names == ("w_std", "b_std", "noise")
    assert found[0] == pytest.approx(value, rel=1e-8)
    np.testing.assert_allclose(found[1], slopes, rtol=1e-8)


# What is found


@within_bounds
@each
@pytest.mark.parametrize("weight", [None, np.arange(N) % 3])
def test_optimum_is_better_than_what_was_given(case, weight):
    network, image_shape = CASES[case]
    options = {"image_shape": image_shape, "noise": 0.05}
    given = NNGPRegressor(network, **options).fit(EQUAL, Y, weight)
    best = NNGPRegressor(network, optimizer="lbfgs", **options).fit(EQUAL, Y, weight)
    gain = best.log_marginal_likelihood_value_ - given.log_marginal_likelihood_value_
    assert gain > 1.0
    assert best.n_iter_ > 0


@within_bounds
@pytest.mark.parametrize("case", ["dense", "tree", "pooled"])
def test_fit_with_the_found_values_is_the_same_fit(case):
    network, image_shape = CASES[case]
    options = {"image_shape": image_shape, "optimizer": "lbfgs"}
    bounds = {"output_scale": "fixed"}
    best = NNGPRegressor(network, noise=0.1, scale_bounds=bounds, **options).fit(EQUAL, y)
    again = NNGPRegressor(best.kernel_.network, noise=best.noise_[0], image_shape=image_shape)
    again.fit(EQUAL, y)
    values = [model.log_marginal_likelihood_value_ for model in (best, again)]
    assert values[0] == pytest.approx(values[1], rel=1e-10)
    np.testing.assert_allclose(best.predict(X), again.predict(X), rtol=1e-7)


def noisy(n, std, seed=0):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n, 2))
    return rows, np.sin(2 * rows[:, 0]) + rows[:, 1] + std * random.normal(size=n)


@pytest.mark.parametrize("std", [0.1, 0.4])
@pytest.mark.parametrize("noise", ["auto", 1.0])
@pytest.mark.parametrize("normalize_y", [True, False])
def test_noise_is_recovered(std, noise, normalize_y):
    rows, targets = noisy(100, std)
    model = NNGPRegressor(
        FullyConnected(2, activation="erf"),
        optimizer="lbfgs",
        noise=noise,
        normalize_y=normalize_y,
        scale_bounds=OPEN,
    ).fit(rows, targets)
    assert np.sqrt(model.noise_[0]) == pytest.approx(std, rel=0.2)


def test_irrelevant_feature_is_scaled_down():
    rows, targets = noisy(80, 0.1)
    rows = np.column_stack([rows, np.random.default_rng(1).normal(size=80)])
    model = NNGPRegressor(FullyConnected(1), optimizer="lbfgs", ard=True, scale_bounds=OPEN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows, targets)
    assert model.input_scale_.shape == (3,)
    assert model.input_scale_[2] < 0.1 * model.input_scale_[:2].min()
    other = rows + [0.0, 0.0, 1.0]
    np.testing.assert_allclose(model.predict(other), model.predict(rows), atol=0.1)


@within_bounds
def test_predictions_are_those_of_the_found_kernel():
    options = {"optimizer": "lbfgs", "ard": True, "normalize_y": False}
    model = NNGPRegressor(FullyConnected(1), noise=0.1, **options).fit(X, Y)
    rows, kernel = X * model.input_scale_, model.kernel_
    new = rng.normal(size=(5, 6))
    A = model.output_scale_ * kernel(rows) + model.noise_[0] * np.eye(N)
    cross = model.output_scale_ * kernel(new * model.input_scale_, rows)
    mean, cov = model.predict(new, return_cov=True)
    np.testing.assert_allclose(mean, cross @ np.linalg.solve(A, Y), rtol=1e-8)
    prior = model.output_scale_ * kernel(new * model.input_scale_)
    expected = prior - cross @ np.linalg.solve(A, cross.T)
    np.testing.assert_allclose(cov[..., 0], expected, rtol=1e-7, atol=1e-10)
    _, std = model.predict(new, return_std=True)
    np.testing.assert_allclose(std[:, 0], np.sqrt(np.diag(expected)), rtol=1e-7)


@within_bounds
def test_restarts_are_reproducible_and_find_nothing_worse():
    options = {"optimizer": "lbfgs", "noise": 0.1}
    alone = NNGPRegressor(FullyConnected(1), **options).fit(X, y)
    found = [
        NNGPRegressor(FullyConnected(1), n_restarts=2, random_state=3, **options).fit(X, y)
        for _ in range(2)
    ]
    values = [model.log_marginal_likelihood_value_ for model in (alone, *found)]
    assert values[1] == values[2] >= values[0] - 1e-9
    np.testing.assert_array_equal(found[0].noise_, found[1].noise_)
    assert found[0].kernel_.network == found[1].kernel_.network


def test_given_values_out_of_bounds_are_kept_where_they_are_better():
    rows, targets = noisy(100, 0.1)
    model = NNGPRegressor(FullyConnected(1), optimizer="lbfgs", scale_bounds=OPEN, noise=0.01)
    best = model.fit(rows, targets)
    given = NNGPRegressor(best.kernel_.network, noise=best.noise_[0], optimizer="lbfgs")
    given.scale_bounds = {"noise": (1.0, 2.0), "output_scale": "fixed", "w_std": "fixed"}
    given.scale_bounds["b_std"] = (best.kernel_.network.b_std * 0.999, best.kernel_.network.b_std)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        given.fit(rows, targets)
    np.testing.assert_array_equal(given.noise_, best.noise_)
    assert given.n_iter_ == 0


@pytest.mark.parametrize("noise", [0.0, np.full(N, 0.2)], ids=["none", "per row"])
@within_bounds
def test_noise_that_is_0_or_per_row_stays(noise):
    model = NNGPRegressor(FullyConnected(1), noise=noise, optimizer="lbfgs").fit(X, y)
    np.testing.assert_allclose(model.noise_, np.mean(noise))
    assert model.n_iter_ > 0


def test_fixed_scales_stay():
    bounds = {"w_std": "fixed", "noise": "fixed", "readout_w_std": (0.1, 10.0)}
    model = NNGPRegressor(FullyConnected(1), noise=0.1, optimizer="lbfgs", scale_bounds=bounds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network = model.fit(X, y).kernel_.network
    assert network.w_std == FullyConnected(1).w_std
    assert model.noise_[0] == pytest.approx(0.1)
    assert network.readout_w_std != 1.0
    assert network.b_std != FullyConnected(1).b_std
    frozen = NNGPRegressor(FullyConnected(1), optimizer="lbfgs", scale_bounds="fixed").fit(X, y)
    assert frozen.kernel_.network == FullyConnected(1)
    assert (frozen.n_iter_, frozen.output_scale_) == (0, 1.0)


def test_network_that_was_passed_is_left_as_it_is():
    network = FullyConnected(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = NNGPRegressor(network, optimizer="lbfgs").fit(X, y)
    assert network == FullyConnected(1) != model.kernel_.network


@within_bounds
def test_single_precision_is_searched_in_double():
    options = {"optimizer": "lbfgs", "noise": 0.1}
    single, double = (
        NNGPRegressor(FullyConnected(1), dtype=t, **options).fit(X, y)
        for t in ("float32", "float64")
    )
    np.testing.assert_array_equal(single.noise_, double.noise_)


@pytest.mark.parametrize("targets", [np.zeros(N), np.full(N, 7.0)], ids=["zeros", "sevens"])
def test_constant_targets_leave_the_scales(targets):
    model = NNGPRegressor(FullyConnected(1), optimizer="lbfgs").fit(X, targets)
    assert (model.output_scale_, model.n_iter_) == (1.0, 0)
    np.testing.assert_allclose(model.predict(X), targets, atol=1e-12)


# Warnings and refusals


def test_warning_names_the_bound():
    bounds = {"noise": (0.5, 2.0), "output_scale": "fixed", "input_scale": (0.9, 1.1)}
    bounds |= {"w_std": "fixed", "b_std": "fixed"}
    rows, targets = noisy(100, 0.01)
    model = NNGPRegressor(optimizer="lbfgs", noise=1.0, ard=True, scale_bounds=bounds)
    with pytest.warns(ConvergenceWarning, match=r"noise \(0.5\), input_scale\[0\] \(1.1\)"):
        model.fit(rows, targets)


def test_search_survives_scales_that_fail(monkeypatch):
    calls = []
    whole = Evidence.__call__

    def sometimes(self, logs):
        calls.append(logs)
        if len(calls) in (3, 5):
            return -np.inf, np.zeros(len(logs))
        return whole(self, logs)

    monkeypatch.setattr(Evidence, "__call__", sometimes)
    rows, targets = noisy(60, 0.1)
    options = {"noise": 0.5, "scale_bounds": OPEN}
    model = NNGPRegressor(FullyConnected(1), optimizer="lbfgs", **options).fit(rows, targets)
    assert len(calls) > 6
    assert np.sqrt(model.noise_[0]) == pytest.approx(0.1, rel=0.3)


def test_scales_that_overflow_have_no_evidence():
    function, space = evidence("dense", X, np.full((N, 2), 0.3), np.ones(N), 6)
    for name, value in (("w_std", 400.0), ("b_std", 200.0), ("noise", np.nan)):
        logs = space.given.copy()
        logs[space.names.index(name)] = value
        value, gradient = function(logs)
        assert value == -np.inf
        np.testing.assert_array_equal(gradient, 0.0)


def test_failure_of_the_optimizer_is_a_warning(monkeypatch):
    failing = lambda self, logs: (-np.inf, np.zeros(len(logs)))  # noqa: E731
    monkeypatch.setattr(Evidence, "__call__", failing)
    model = NNGPRegressor(FullyConnected(1), noise=0.2, optimizer="lbfgs")
    with pytest.warns(ConvergenceWarning, match="L-BFGS"):
        model.fit(X, y)
    assert model.noise_[0] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"optimizer": "adam"}, ValueError, "optimizer must be 'lbfgs' or None"),
        ({"n_restarts": -1}, ValueError, "n_restarts"),
        ({"n_restarts": 1.5}, TypeError, "n_restarts"),
        ({"n_restarts": True}, TypeError, "n_restarts"),
        ({"scale_bounds": {"w": (1, 2)}}, ValueError, r"names \['w'\].*'w_std'.*'input_scale'"),
        ({"scale_bounds": "free"}, ValueError, "scale_bounds must be None, 'fixed' or a mapping"),
        ({"scale_bounds": {"noise": (1.0, 0.1)}}, ValueError, "noise must be 0 < low <= high"),
        ({"scale_bounds": {"noise": "fxed"}}, ValueError, "noise must be 0 < low <= high"),
        ({"scale_bounds": {"w_std": "fxed"}}, ValueError, "w_std must be 0 < low <= high"),
        ({"scale_bounds": {"noise": (0.0, 1.0)}}, ValueError, "noise must be 0 < low <= high"),
        ({"scale_bounds": {"w_std": (1.0, np.inf)}}, ValueError, "w_std must be 0 < low"),
        ({"scale_bounds": {"w_std": (1, 2, 3)}}, ValueError, "w_std must be 0 < low"),
        ({"network": CASES["finite"][0], "ard": True}, ValueError, "infinite width"),
        ({"network": FullyConnected(b_std=0), "scale_bounds": {"b_std": (1, 2)}}, ValueError, "b"),
    ],
    ids=str,
)
def test_options_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        NNGPRegressor(**{"optimizer": "lbfgs"} | options).fit(X, y)


def test_precomputed_kernel_has_no_scales():
    with pytest.raises(ValueError, match="precomputed"):
        NNGPRegressor("precomputed", optimizer="lbfgs").fit(NNGP()(X), y)


def test_finite_width_varies_noise_and_output_scale():
    kernel = NNGP(CASES["finite"][0])
    assert search_space(kernel, None, 0.1, 0, 1.0).names == ("noise", "output_scale")


def test_default_bounds_follow_targets_that_are_not_normalized():
    space = search_space(NNGP(), None, 0.1, 0, 1e6)
    np.testing.assert_allclose(np.exp(space.bounds[-2:]), [[1e-8, 1e8], [1e-5, 1e11]])


def unequal(estimator):
    told = "the evidence of a weighted row is that of one observation, not of repeated ones"
    return {
        "check_sample_weight_equivalence_on_dense_data": told,
        "check_sample_weight_equivalence_on_sparse_data": told,
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [NNGPRegressor(FullyConnected(1), optimizer="lbfgs")], expected_failed_checks=unequal
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)
