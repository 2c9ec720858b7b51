"""Expressions as objects: parameters by name, copies, equality, pickles, searches."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.model_selection import GridSearchCV

from ntk_sklearn import NNGPRegressor, NTKRegressor
from ntk_sklearn.kernels import (
    NNGP,
    NTK,
    Added,
    Averaged,
    DepthAveraged,
    Mixture,
    Multiplied,
    MyrtleCompositional,
    Normalized,
    horizontal_flip,
)
from ntk_sklearn.networks import Activation, Dense, FullyConnected, Serial

rng = np.random.default_rng(1)
X = rng.normal(size=(12, 4))
y = np.sin(X[:, 0])
TREE = Serial(Dense(1.2, 0.1), Activation("relu"), Dense())
EXPRESSIONS = [
    Normalized(FullyConnected(2)),
    Normalized(TREE),
    Added([FullyConnected(1), TREE], weights=[1.0, 2.0]),
    Mixture((FullyConnected(1), Normalized(TREE))),
    Multiplied([TREE, FullyConnected(1)]),
    DepthAveraged(FullyConnected(), depths=[1, 2]),
    Averaged(FullyConnected(1), [[0, 1, 2, 3], [1, 0, 2, 3]]),
    Averaged(group=horizontal_flip()),
    MyrtleCompositional(7),
]
each = pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)


@each
@pytest.mark.parametrize("copied", [clone, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_are_equal(expression, copied):
    again = copied(expression)
    assert again == expression
    assert again is not expression
    assert repr(again) == repr(expression)


def test_different_ones_differ():
    for k, one in enumerate(EXPRESSIONS):
        for other in EXPRESSIONS[k + 1 :]:
            assert one != other
    assert Normalized(FullyConnected(1)) != Normalized(FullyConnected(2))
    assert Added([TREE]) != Added([TREE], weights=[2.0])
    assert Added([TREE]) == Added((TREE,), weights=[1.0])
    indices = np.array([[0, 1], [1, 0]])
    assert Averaged(group=indices) == Averaged(group=indices[::-1])
    assert Averaged(group=indices) != Averaged(group=indices[:1])


def test_parameters_of_parts():
    expression = Mixture([FullyConnected(1), Normalized(FullyConnected(2))])
    params = NTK(expression).get_params()
    assert params["network__0__depth"] == 1
    assert params["network__1__network__depth"] == 2
    kernel = clone(NTK(expression)).set_params(network__1__network__depth=4, network__0=TREE)
    assert kernel.network == Mixture([TREE, Normalized(FullyConnected(4))])
    assert expression == Mixture([FullyConnected(1), Normalized(FullyConnected(2))])
    with pytest.raises(ValueError, match="Invalid parameter"):
        kernel.set_params(network__2__depth=1)


def test_parameters_of_the_default_network():
    kernel = NTK(Normalized()).set_params(network__network__depth=1)
    assert kernel.network == Normalized(FullyConnected(1))


@pytest.mark.parametrize("kind", [list, tuple])
def test_parameters_of_a_default_network_among_several(kind):
    expression = Added(kind([None, FullyConnected(1)]))
    expression.set_params(**{"0__depth": 2, "1__depth": 4})
    assert expression == Added([FullyConnected(2), FullyConnected(4)])
    assert type(expression.networks) is kind
    assert NTK(Added([None]))(X).tolist() == NTK(FullyConnected())(X).tolist()


def test_networks_one_by_one_are_refused_with_the_remedy():
    with pytest.raises(TypeError, match=r"one sequence of networks, as in Multiplied\(\[a, b\]\)"):
        Multiplied(FullyConnected(1), FullyConnected(2))
    assert [*Multiplied([TREE]).get_params(deep=False)] == ["networks"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Added([TREE], weights=[-1.0]), Added([TREE], weights=[-2.0])),
        (Mixture([TREE], weights=np.zeros(2)), Mixture([TREE])),
        (Added(TREE), Added([TREE])),
        (DepthAveraged(depths=3), DepthAveraged(depths=4)),
        (DepthAveraged(weights="a"), DepthAveraged()),
        (Averaged(group=[[1, 0]]), Averaged(group=[[0, 1]])),
    ],
)
def test_what_is_refused_can_be_compared(one, other):
    assert one == clone(one)
    assert one != other


def test_theta_has_the_scales_of_all_parts():
    kernel = NNGP(Mixture([FullyConnected(1), Normalized(TREE)], weights=[0.5, 2.0]))
    names = [h.name for h in kernel.hyperparameters if not h.fixed]
    assert names == [
        "weights.0",
        "weights.1",
        "0.w_std",
        "0.b_std",
        "1.network.layers.0.w_std",
        "1.network.layers.0.b_std",
        "1.network.layers.2.w_std",
    ]
    moved = kernel.clone_with_theta(kernel.theta + np.log(2.0))
    assert np.allclose(moved.network.weights, [1.0, 4.0])
    assert moved.network.networks[1].network.layers[0].w_std == pytest.approx(2.4)
    assert kernel.network.weights == [0.5, 2.0]  # of a copy
    bounds = dict(zip(names, np.exp(kernel.bounds), strict=True))
    np.testing.assert_allclose(bounds["weights.1"], [1e-5, 1e5])
    np.testing.assert_allclose(bounds["0.b_std"], [0.01, 10.0])
    fixed = NNGP(kernel.network, scale_bounds={"0.w_std": "fixed"})
    assert len(fixed.theta) == len(kernel.theta) - 1


def test_grid_search_through_an_expression():
    grid = {"network__network__depth": [1, 3], "network": [Normalized(FullyConnected())]}
    search = GridSearchCV(NTKRegressor(uncertainty=None), grid, cv=3).fit(X, y)
    depths = {}
    for depth in (1, 3):
        model = NTKRegressor(Normalized(FullyConnected(depth)), uncertainty=None)
        search_one = GridSearchCV(model, {"alpha": [1e-4]}, cv=3).fit(X, y)
        depths[depth] = search_one.best_score_
    found = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(found, [depths[1], depths[3]], rtol=1e-12)


def test_grid_search_in_a_part_of_several():
    model = NNGPRegressor(Added([FullyConnected(1), FullyConnected(1, activation="erf")]))
    search = GridSearchCV(model, {"network__1__depth": [1, 2]}, cv=2).fit(X, y)
    assert search.best_estimator_.kernel_.network.networks[1].depth in (1, 2)


def test_scikit_learn_s_gaussian_process_learns_weights():
    kernel = NNGP(Mixture([FullyConnected(1), FullyConnected(1, activation="erf")]))
    scales = {f"{k}.{name}": "fixed" for k in (0, 1) for name in ("w_std", "b_std")}
    kernel.scale_bounds = scales | {"weights.1": (0.5, 0.5)}
    gp = GaussianProcessRegressor(kernel, alpha=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what is held is at its bound
        gp.fit(X, y)
    start = gp.log_marginal_likelihood(kernel.theta)
    assert gp.log_marginal_likelihood_value_ > start
    assert gp.kernel_.network.weights != kernel.network.weights
