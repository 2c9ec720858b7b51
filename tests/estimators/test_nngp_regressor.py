"""The Bayesian regressor against scikit-learn's Gaussian process and by its own rules."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor

from ntk_sklearn import NNGPRegressor
from ntk_sklearn.kernels import NNGP
from ntk_sklearn.networks import Convolutional, FullyConnected

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(25, 4)), rng.normal(size=(6, 4))
Y = np.column_stack([np.sin(X[:, 0]), 50.0 * X[:, 1] + 7.0])
y = Y[:, 1]
CASES = {"dense": (FullyConnected(2), None), "images": (Convolutional(1), (1, 2, 2))}
each = pytest.mark.parametrize("case", CASES)


def make(case, **options):
    network, image_shape = CASES[case]
    return NNGPRegressor(network, image_shape=image_shape, **options)


def reference(case, noise, normalize_y):
    """scikit-learn's process; its alpha is a variance of normalized targets."""
    network, image_shape = CASES[case]
    alpha = noise / (y.var() if normalize_y else 1.0)
    kernel = NNGP(network, image_shape=image_shape)
    gp = GaussianProcessRegressor(kernel, alpha=alpha, optimizer=None, normalize_y=normalize_y)
    return gp.fit(X, y)


# Against scikit-learn


@each
@pytest.mark.parametrize("normalize_y", [True, False])
@pytest.mark.parametrize("noise", [0.5, np.linspace(0.1, 30.0, 25)], ids=["one", "per row"])
def test_posterior_and_evidence_are_those_of_scikit_learn(case, normalize_y, noise):
    found = make(case, noise=noise, normalize_y=normalize_y).fit(X, y)
    expected = reference(case, noise, normalize_y)
    for option in ({"return_std": True}, {"return_cov": True}):
        for value, other in zip(
            found.predict(Z, **option), expected.predict(Z, **option), strict=True
        ):
            np.testing.assert_allclose(value, other, rtol=1e-8, atol=1e-8)
    units = len(y) * np.log(y.std()) if normalize_y else 0.0
    assert found.log_marginal_likelihood_value_ == pytest.approx(
        expected.log_marginal_likelihood_value_ - units, rel=1e-10
    )


def test_automatic_noise_is_relative_to_kernel_and_targets():
    found = NNGPRegressor(FullyConnected(2)).fit(X, y)
    level = 1e-4 * np.mean(NNGP(FullyConnected(2)).diag(X)) * y.var()
    np.testing.assert_allclose(found.noise_, [level], rtol=1e-12)
    explicit = NNGPRegressor(FullyConnected(2), noise=level).fit(X, y)
    np.testing.assert_allclose(found.predict(Z), explicit.predict(Z), rtol=1e-9)


# Error bars


@each
def test_standard_deviation_is_the_root_of_the_covariance(case):
    model = make(case, noise=0.1).fit(X, Y)
    mean, std = model.predict(Z, return_std=True)
    same, cov = model.predict(Z, return_cov=True)
    assert (std.shape, cov.shape) == ((6, 2), (6, 6, 2))
    np.testing.assert_array_equal(mean, same)
    np.testing.assert_allclose(std**2, np.einsum("iik->ik", cov), rtol=1e-9)


@pytest.mark.parametrize("noise", ["auto", 0.3])
def test_noise_of_a_new_observation_is_added_where_asked(noise):
    model = NNGPRegressor(noise=noise).fit(X, Y)
    latent, observed = (
        model.predict(Z, return_std=True, include_noise=include)[1] for include in (False, True)
    )
    np.testing.assert_allclose(observed**2 - latent**2, np.tile(model.noise_, (6, 1)), rtol=1e-6)
    latent, observed = (
        model.predict(Z, return_cov=True, include_noise=include)[1] for include in (False, True)
    )
    expected = np.eye(6)[..., np.newaxis] * model.noise_
    np.testing.assert_allclose(observed - latent, expected, rtol=1e-6, atol=1e-10)


def test_noise_per_row_says_nothing_of_new_rows():
    model = NNGPRegressor(noise=np.linspace(0.1, 1.0, 25)).fit(X, y)
    with pytest.raises(ValueError, match="one noise level"):
        model.predict(Z, return_std=True, include_noise=True)


def test_one_kind_of_error_bar_at_a_time():
    with pytest.raises(ValueError, match="at most one of return_std and return_cov"):
        NNGPRegressor().fit(X, y).predict(Z, return_std=True, return_cov=True)


def test_data_shrink_the_error_bars_to_the_noise():
    model = NNGPRegressor(noise=1e-6).fit(X, y)
    _, near = model.predict(X, return_std=True)
    _, far = model.predict(10.0 * Z, return_std=True)
    assert near.max() < 1.1e-3 < far.min()


# Several outputs


def test_outputs_of_different_scale_have_their_own_posterior():
    together = NNGPRegressor(noise=0.5).fit(X, Y)
    assert len(together.L_) == 2  # normalization gives each its own noise
    alone = [NNGPRegressor(noise=0.5).fit(X, Y[:, k]) for k in (0, 1)]
    for value, *other in zip(
        together.predict(Z, return_std=True),
        *(model.predict(Z, return_std=True) for model in alone),
        strict=True,
    ):
        np.testing.assert_allclose(value, np.column_stack(other), rtol=1e-9)
    evidence = sum(model.log_marginal_likelihood_value_ for model in alone)
    assert together.log_marginal_likelihood_value_ == pytest.approx(evidence, rel=1e-12)


@pytest.mark.parametrize("options", [{"normalize_y": False, "noise": 0.5}, {"noise": "auto"}])
def test_outputs_of_equal_noise_share_a_factorization(options):
    model = NNGPRegressor(**options).fit(X, Y)
    assert model.L_.shape == (1, 25, 25)
    assert model.dual_coef_.shape == (25, 2)


def test_shape_of_targets_is_the_shape_of_predictions():
    for targets, shape in ((y, (6,)), (y[:, np.newaxis], (6, 1)), (Y, (6, 2))):
        mean, std = NNGPRegressor().fit(X, targets).predict(Z, return_std=True)
        assert mean.shape == std.shape == shape


@pytest.mark.parametrize("scale", [1e3, 1e-3, 1e150, 1e-150])
def test_predictions_follow_the_units_of_y(scale):
    found = NNGPRegressor().fit(X, scale * y).predict(Z, return_std=True)
    for value, expected in zip(found, NNGPRegressor().fit(X, y).predict(Z, True), strict=True):
        np.testing.assert_allclose(value / scale, expected, rtol=1e-9)


# Weights


@each
@pytest.mark.parametrize("noise", ["auto", 0.5])
def test_integer_weights_are_repetitions_and_zero_is_absence(case, noise):
    weight = np.arange(25) % 4
    model = make(case, noise=noise)
    weighted = model.fit(X, Y, weight).predict(Z, return_std=True)
    model.fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight, axis=0))
    for value, expected in zip(weighted, model.predict(Z, return_std=True), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-7)


def test_noise_per_row_follows_the_rows_of_positive_weight():
    noise, weight = np.linspace(0.1, 1.0, 25), np.ones(25)
    weight[:5] = 0
    found = NNGPRegressor(noise=noise).fit(X, y, weight)
    expected = NNGPRegressor(noise=noise[5:]).fit(X[5:], y[5:])
    np.testing.assert_allclose(found.predict(Z), expected.predict(Z), rtol=1e-12)


# Equal rows

EQUAL = X[np.arange(25) % 10]
WEIGHT = np.linspace(0.5, 2.0, 25)


@each
@pytest.mark.parametrize("noise", [0.5, np.linspace(0.1, 30.0, 25)], ids=["one", "per row"])
def test_equal_rows_are_merged_without_a_trace(case, noise):
    found = make(case, noise=noise, normalize_y=False).fit(EQUAL, Y, WEIGHT)
    assert found.L_.shape == (1, 10, 10)
    network, image_shape = CASES[case]
    kernel = NNGP(network, image_shape=image_shape)
    A = kernel(EQUAL) + np.diag(noise / WEIGHT * np.ones(25))
    cross = kernel(Z, EQUAL)
    mean, cov = found.predict(Z, return_cov=True)
    np.testing.assert_allclose(mean, cross @ np.linalg.solve(A, Y), rtol=1e-8)
    expected = kernel(Z) - cross @ np.linalg.solve(A, cross.T)
    np.testing.assert_allclose(cov[..., 1], expected, rtol=1e-7, atol=1e-10)
    density = multivariate_normal(np.zeros(25), A).logpdf(Y.T).sum()
    assert found.log_marginal_likelihood_value_ == pytest.approx(density, rel=1e-10)


def test_equal_rows_without_noise_are_merged_by_weight():
    consistent = np.sin(EQUAL[:, 0])
    model = NNGPRegressor(FullyConnected(2), noise=0.0).fit(EQUAL, consistent)
    np.testing.assert_allclose(model.predict(EQUAL), consistent, atol=1e-9)
    assert model.jitter_ == 0.0
    message = "equal rows of X have different targets"
    with pytest.warns(UserWarning, match=message):
        model.fit(EQUAL, y, WEIGHT)
    means = [np.average(y[k::10], weights=WEIGHT[k::10]) for k in range(10)]
    np.testing.assert_allclose(model.predict(X[:10]), means, rtol=1e-8)


@pytest.mark.parametrize("noise", [0.0, "auto", 0.1])
@pytest.mark.parametrize("rows", [np.zeros((25, 4)), np.ones((25, 4))], ids=["zeros", "ones"])
@pytest.mark.parametrize("b_std", [0.0, 1.0])
def test_one_and_the_same_row_gives_a_constant(noise, rows, b_std):
    targets = np.full(25, 3.0) if noise == 0.0 else y
    model = NNGPRegressor(FullyConnected(2, b_std=b_std), noise=noise).fit(rows, targets)
    mean, std = model.predict(rows, return_std=True)
    np.testing.assert_allclose(mean, np.mean(targets), rtol=1e-12)
    assert np.isfinite(std).all()
    assert np.isfinite(model.log_marginal_likelihood_value_)


def test_zero_kernel_keeps_the_prior():
    model = NNGPRegressor(FullyConnected(2, b_std=0.0), noise=0.0, normalize_y=False)
    model.fit(np.zeros((1, 4)), [2.0])
    mean, std = model.predict(Z, return_std=True)
    np.testing.assert_array_equal(mean, 0.0)
    np.testing.assert_allclose(std**2, model.kernel_.diag(Z))
    assert model.log_marginal_likelihood_value_ == -np.inf


# A kernel matrix of the caller's


def test_precomputed_kernel_predicts_the_mean():
    network = FullyConnected(2)
    kernel = NNGP(network)
    expected = NNGPRegressor(network, noise=0.5).fit(X, Y, WEIGHT)
    found = NNGPRegressor("precomputed", noise=0.5).fit(kernel(X), Y, WEIGHT)
    np.testing.assert_allclose(found.predict(kernel(Z, X)), expected.predict(Z), rtol=1e-9)
    evidence = found.log_marginal_likelihood_value_
    assert evidence == pytest.approx(expected.log_marginal_likelihood_value_, rel=1e-10)


def test_precomputed_kernel_leaves_rows_of_no_weight_out():
    kernel, weight = NNGP(FullyConnected(2)), np.arange(25) % 3
    found = NNGPRegressor("precomputed").fit(kernel(X), y, weight).predict(kernel(Z, X))
    expected = NNGPRegressor(FullyConnected(2)).fit(X, y, weight).predict(Z)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("option", ["return_std", "return_cov"])
def test_precomputed_kernel_has_no_error_bars(option):
    K = NNGP()(X)
    model = NNGPRegressor("precomputed").fit(K, y)
    with pytest.raises(ValueError, match="precomputed"):
        model.predict(K, **{option: True})


# Draws


@pytest.mark.parametrize("targets", [y, Y], ids=["one", "two"])
def test_draws_have_the_moments_of_the_posterior(targets):
    model = NNGPRegressor(FullyConnected(2), noise=0.5, random_state=0).fit(X, targets)
    draws = model.sample_y(Z, 20_000)
    mean, std = model.predict(Z, return_std=True)
    assert draws.shape == (*mean.shape, 20_000)
    assert np.abs(draws.mean(axis=-1) - mean).max() < 0.05 * std.max()
    np.testing.assert_allclose(draws.std(axis=-1), std, rtol=0.03)
    np.testing.assert_array_equal(model.sample_y(Z, 3), model.sample_y(Z, 3))
    assert (model.sample_y(Z, 3) != model.sample_y(Z, 3, random_state=1)).any()


# Refusals


@pytest.mark.parametrize(
    "noise, error",
    [
        (-1.0, ValueError),
        (np.nan, ValueError),
        ("some", TypeError),
        (None, TypeError),
        (True, TypeError),
        (np.ones(24), ValueError),
        (np.ones((25, 1)), ValueError),
        (np.append(np.ones(24), -1.0), ValueError),
        (np.append(np.ones(24), np.nan), ValueError),
    ],
    ids=str,
)
def test_noise_is_a_variance(noise, error):
    with pytest.raises(error, match="noise must be"):
        NNGPRegressor(noise=noise).fit(X, y)
