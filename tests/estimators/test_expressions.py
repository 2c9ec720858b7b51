"""Estimators of kernels made from kernels."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

from ntk_sklearn import (
    NNGPClassifier,
    NNGPRegressor,
    NTKClassifier,
    NTKRegressor,
    NTKRegressorCV,
)
from ntk_sklearn.kernels import (
    NNGP,
    NTK,
    Added,
    Averaged,
    DepthAveraged,
    Mixture,
    Multiplied,
    Normalized,
)
from ntk_sklearn.networks import (
    Activation,
    Dense,
    FullyConnected,
    NetworkError,
    Product,
    Serial,
    maximal_update,
)

rng = np.random.default_rng(11)
X, Z = rng.normal(size=(20, 3)), rng.normal(size=(5, 3))
X[7] = X[3]
y = np.sin(2.0 * X[:, 0]) + 0.1 * X[:, 1]
y[7] = y[3]
RELU, ERF = FullyConnected(1), FullyConnected(2, activation="erf")
SHIFTS = [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
EXPRESSIONS = [
    Normalized(RELU),
    Mixture([RELU, ERF]),
    Multiplied([RELU, ERF]),
    DepthAveraged(depths=(1, 2)),
    Averaged(RELU, SHIFTS),
]
each = pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)


@each
@pytest.mark.parametrize("model", [NTKRegressor, NNGPRegressor])
def test_regressors_are_those_of_the_precomputed_kernel(expression, model):
    kernel = (NTK if model is NTKRegressor else NNGP)(expression)
    fitted = model(expression).fit(X, y)
    given = model("precomputed").fit(kernel(X), y)
    np.testing.assert_allclose(fitted.predict(Z), given.predict(kernel(Z, X)), rtol=1e-6, atol=1e-8)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(Z), fitted.predict(Z))


@each
@pytest.mark.parametrize("model", [NTKClassifier, NNGPClassifier])
def test_classifiers(expression, model):
    labels = X.sum(axis=1) > 0  # which permutations keep
    assert model(expression).fit(X, labels).score(X, labels) > 0.9


def test_spread_of_networks_side_by_side():
    """A product layer is one network, and `Multiplied` the same one by other means."""
    first, second = Serial(Dense(1.2, 0.3)), Serial(Dense(), Activation("erf"), Dense())
    layers = Serial(Product(first, second), Dense())
    for expression in (Multiplied([first, second]), Added([layers]), Averaged(layers, [[0, 1, 2]])):
        found = NTKRegressor(expression).fit(X, y).predict(Z, return_std=True)
        expected = NTKRegressor(layers).fit(X, y).predict(Z, return_std=True)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_kernels_of_no_network_have_no_spread():
    for model in (NTKRegressor(Normalized(RELU)), NTKRegressorCV(Added([Normalized(RELU)]), cv=2)):
        fitted = model.fit(X, y)
        assert not fitted.nngp_train_.size
        with pytest.raises(ValueError, match="spread of one network"):
            fitted.predict(Z, return_std=True)
    fitted = NTKRegressor(Normalized(RELU), uncertainty="ntkgp").fit(X, y)
    assert (fitted.predict(Z, return_std=True)[1] > 0).all()


def test_random_initial_functions_are_refused():
    with pytest.raises(ValueError, match="needs one network"):
        NTKRegressor(Mixture([RELU, ERF]), initial="random").fit(X, y)


def test_search_over_ridges():
    model = NTKRegressorCV(DepthAveraged(depths=(1, 2)), alphas=(1e-3, 1e-1)).fit(X, y)
    best = NTKRegressor(DepthAveraged(depths=(1, 2)), alpha=model.alpha_).fit(X, y)
    np.testing.assert_allclose(model.predict(Z), best.predict(Z), rtol=1e-10)
    with pytest.raises(ValueError, match="depths are those of a preset"):
        NTKRegressorCV(Normalized(RELU), depths=(1, 2)).fit(X, y)


@pytest.mark.parametrize("truth", [0, 1])
def test_evidence_of_a_mixture_chooses_the_family(truth):
    """Targets drawn from one of two priors: the weight of the other one vanishes."""
    random = np.random.default_rng(truth)
    rows = random.uniform(-3.0, 3.0, size=(60, 1))
    networks = [FullyConnected(0, b_std=1.0), FullyConnected(1, activation="rbf", w_std=3.0)]
    K = NNGP(networks[truth])(rows)
    draw = np.linalg.cholesky(K + 1e-9 * np.eye(60)) @ random.normal(size=60)
    targets = draw + 0.05 * random.normal(size=60)
    scales = {f"{k}.{name}": "fixed" for k in (0, 1) for name in ("w_std", "b_std")}
    scales |= {"output_scale": "fixed"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a weight at its lower bound is no news
        model = NNGPRegressor(
            Mixture(networks), optimizer="lbfgs", scale_bounds=scales, normalize_y=False
        ).fit(rows, targets)
    weights = model.kernel_.network.weights
    assert weights[1 - truth] < 0.05 * weights[truth]
    of_truth = NNGPRegressor(
        Mixture(networks[truth : truth + 1]), optimizer="lbfgs", normalize_y=False,
        scale_bounds={"0.w_std": "fixed", "0.b_std": "fixed", "output_scale": "fixed"},
    ).fit(rows, targets)  # fmt: skip
    found, best = (m.log_marginal_likelihood_value_ for m in (model, of_truth))
    assert found >= best - 0.01  # it contains the other one
    other = NNGPRegressor(networks[1 - truth], noise=0.05**2, normalize_y=False).fit(rows, targets)
    assert found > other.log_marginal_likelihood_value_ + 5.0


@pytest.mark.slow
@each
def test_evidence_rises(expression):
    start = NNGPRegressor(expression, noise=0.01).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scales may end at bounds: the targets are no draw
        best = NNGPRegressor(expression, noise=0.01, optimizer="lbfgs").fit(X, y)
    assert best.log_marginal_likelihood_value_ > start.log_marginal_likelihood_value_


@pytest.mark.parametrize("model", [NTKRegressor, NNGPRegressor, NTKClassifier])
@pytest.mark.parametrize("make", [Normalized, lambda network: Added([RELU, network])])
def test_networks_whose_features_move_are_refused_inside_of_expressions(model, make):
    moving = maximal_update(RELU.build(), (3,))
    with pytest.raises(NetworkError, match="known at initialization only"):
        model(make(moving)).fit(X, y > 0 if model is NTKClassifier else y)
    with pytest.raises(NetworkError, match="there is no NNGP"):
        NNGP(make(moving))(X)
