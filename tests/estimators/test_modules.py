"""Estimators of a torch module against its linearization trained in parameter space."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from modules_as_networks import blocks, convolutional, dense, jacobian, outputs
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from ntk_sklearn import (
    NNGPClassifier,
    NNGPRegressor,
    NTKClassifier,
    NTKClassifierCV,
    NTKRegressor,
    NTKRegressorCV,
)
from ntk_sklearn.networks import FullyConnected, Linearized

rng = np.random.default_rng(3)
X, Z = rng.normal(size=(9, 3)), rng.normal(size=(4, 3))
Y = np.stack([np.sin(2.0 * X[:, 0]) + 3.0, 20.0 * X[:, 1] * X[:, 2]], axis=1)
WEIGHT = rng.uniform(0.5, 2.0, size=9)
TIMES = [0.0, 0.3, 2.0, 40.0]
K = pytest.mark.parametrize("k", [1, 2])
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1, 1])


def targets(k):
    return Y[:, 0] if k == 1 else Y


class InParameters:
    """The linear model f_0 + J d, with d of the least length where it is not determined."""

    def __init__(self, module, y, weight=None, ridge=0.0):
        self.module, n = module, len(X)
        k = outputs(module, X).shape[1]
        self.J = jacobian(module, X).reshape(n * k, -1)
        self.residual = y.reshape(n, -1) - outputs(module, X)
        self.w = np.repeat(np.ones(n) if weight is None else weight, k)
        self.ridge = ridge

    def at(self, rows, d):
        return outputs(self.module, rows) + jacobian(self.module, rows) @ d

    def gradient(self, d):
        error = self.J @ d - self.residual.ravel()
        return self.J.T @ (self.w * error) + self.ridge * d

    def flow(self, t):
        P, WJ = self.J.shape[1], self.w[:, None] * self.J
        A = -(self.J.T @ WJ) - self.ridge * np.eye(P)
        b = WJ.T @ self.residual.ravel()
        if np.isinf(t):
            root = np.sqrt(self.w)
            return np.linalg.pinv(root[:, None] * self.J) @ (root * self.residual.ravel())
        whole = np.zeros((P + 1, P + 1))
        whole[:P, :P], whole[:P, P] = A, b
        return expm(t * whole)[:P, P]

    def descent(self, steps, rate, momentum=0.0):
        d, velocity = np.zeros(self.J.shape[1]), 0.0
        for _ in range(steps):
            velocity = momentum * velocity + self.gradient(d)
            d = d - rate * velocity
        return d


def close(found, expected, bound=1e-8):
    expected = expected.reshape(found.shape)
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max()


# The linearized network itself.


@K
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_flow_is_that_of_the_linear_model_in_parameters(k, normalize, weight):
    module = dense(k)
    model = NTKRegressor(module, initial="network", alpha=0.0, normalize_y=normalize)
    model.fit(X, targets(k), sample_weight=weight)
    linear = InParameters(module, targets(k), weight)
    for t in [*TIMES, np.inf]:
        close(model.predict(Z, t=t), linear.at(Z, linear.flow(t)))
    assert model.predict(Z, t=[0.0, 1.0]).shape == (2, 4) if k == 1 else (2, 4, 2)


@K
def test_a_ridge_is_the_penalty_on_the_distance_travelled(k):
    module = dense(k)
    model = NTKRegressor(module, initial="network", alpha=0.1).fit(X, targets(k), WEIGHT)
    linear = InParameters(module, targets(k), WEIGHT, model.ridge_)
    P = linear.J.shape[1]
    hessian = linear.J.T @ (linear.w[:, None] * linear.J) + model.ridge_ * np.eye(P)
    close(model.predict(Z), linear.at(Z, np.linalg.solve(hessian, -linear.gradient(np.zeros(P)))))
    close(model.predict(Z, t=0.7), linear.at(Z, linear.flow(0.7)))
    diagonal = np.einsum("nana->na", blocks(module, X, X)).mean(axis=1)
    assert model.ridge_ == pytest.approx(0.1 * np.average(diagonal, weights=WEIGHT))


@K
@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("loss_scale", ["sum", "mean"])
def test_steps_are_those_of_gradient_descent_on_the_parameters(k, momentum, loss_scale):
    module, rate = dense(k), 1e-3
    scale = WEIGHT.sum() * k if loss_scale == "mean" else 1.0
    model = NTKRegressor(
        module, initial="network", alpha=0.0, learning_rate=rate * scale, momentum=momentum,
        loss_scale=loss_scale, t=150,
    ).fit(X, targets(k), WEIGHT)  # fmt: skip
    linear = InParameters(module, targets(k), WEIGHT)
    close(model.predict(Z), linear.at(Z, linear.descent(150, rate, momentum)))
    close(model.predict(Z, t=3), linear.at(Z, linear.descent(3, rate, momentum)))
    d = linear.descent(3, rate, momentum)
    errors = linear.at(X, d) - targets(k).reshape(9, -1)
    loss = 0.5 * (WEIGHT[:, None] * errors**2).sum() / scale
    normalized = loss / model.y_std_[0] ** 2
    assert model.loss_curve([3])[0] == pytest.approx(normalized, rel=1e-9)


def test_one_step_is_a_step_of_torchs_optimizer_to_first_order():
    rate, module = 1e-7, dense(2)
    model = NTKRegressor(module, initial="network", alpha=0.0, learning_rate=rate, t=1)
    change = model.fit(X, Y).predict(Z) - outputs(module, Z)
    optimizer = torch.optim.SGD(module.parameters(), lr=rate)
    before = outputs(module, Z)
    loss = 0.5 * (module(torch.from_numpy(X)) - torch.from_numpy(Y)).square().sum()
    loss.backward()
    optimizer.step()
    close(outputs(module, Z) - before, change, 1e-3)


@K
def test_other_losses_are_of_all_outputs_of_a_row(k):
    module = dense(k)

    def gradient(f, y):
        assert f.shape == y.shape == (9, k)
        return (f - y) / (1.0 + np.abs(f - y).max(axis=1, keepdims=True))

    model = NTKRegressor(
        module, initial="network", alpha=0.0, loss=gradient, t=0.5, normalize_y=False
    ).fit(X, targets(k))
    linear = InParameters(module, targets(k))

    def velocity(_, d):
        f = outputs(module, X) + (linear.J @ d).reshape(9, k)
        return -linear.J.T @ gradient(f, targets(k).reshape(9, k)).ravel()

    start = np.zeros(linear.J.shape[1])
    path = solve_ivp(velocity, (0.0, 0.5), start, method="LSODA", rtol=1e-11, atol=1e-13)
    close(model.predict(Z), linear.at(Z, path.y[:, -1]), 1e-7)


# Kernel regression with it.


@K
def test_the_default_starts_from_zero(k):
    module, y = dense(k), targets(k).reshape(9, -1)
    model = NTKRegressor(module, alpha=1e-3).fit(X, targets(k))
    Theta = blocks(module, X, X).reshape(9 * k, 9 * k)
    cross = blocks(module, Z, X).reshape(4 * k, 9 * k)
    system = Theta + model.ridge_ * np.eye(9 * k)
    center = y.mean(axis=0)
    expected = center + (cross @ np.linalg.solve(system, (y - center).ravel())).reshape(4, k)
    close(model.predict(Z), expected)
    np.testing.assert_allclose(model.predict(Z, t=0.0).reshape(4, k), [center] * 4, rtol=1e-12)
    assert model.dual_coef_.shape == (9, k)
    assert model.kernel_(X).shape == (9 * k, 9 * k)


def test_the_mean_over_outputs_is_one_kernel_for_any_number_of_targets():
    module = dense(2)
    kernel = np.einsum("nama->nm", blocks(module, X, X)) / 2
    cross = np.einsum("nama->nm", blocks(module, Z, X)) / 2
    y = np.column_stack([Y, X[:, 0] ** 2])
    model = NTKRegressor(Linearized(module, outputs="mean"), alpha=1e-2).fit(X, y)
    given = NTKRegressor("precomputed", alpha=1e-2).fit(kernel, y)
    close(model.predict(Z), given.predict(cross))


@K
def test_error_bars_of_the_posterior(k):
    module = dense(k)
    options = {"alpha": 0.05, "uncertainty": "ntkgp", "normalize_y": False}
    model = NTKRegressor(module, initial="network", **options).fit(X, targets(k), WEIGHT)
    Theta = blocks(module, X, X).reshape(9 * k, 9 * k)
    cross = blocks(module, Z, X).reshape(4 * k, 9 * k)
    noise = model.ridge_ * np.diag(1.0 / np.repeat(WEIGHT, k))
    joint = blocks(module, Z, Z).reshape(4 * k, 4 * k)
    joint = (joint - cross @ np.linalg.solve(Theta + noise, cross.T)).reshape(4, k, 4, k)
    expected = np.einsum("nama->nma", joint)
    mean, cov = model.predict(Z, return_cov=True)
    _, std = model.predict(Z, return_std=True)
    close(cov, expected)
    close(std, np.sqrt(np.einsum("nna->na", expected)))
    close(mean, model.predict(Z))
    _, noisy = model.predict(Z, return_std=True, include_noise=True)
    close(noisy, np.sqrt(std**2 + model.ridge_))


@K
def test_error_bars_are_in_the_units_of_y(k):
    y = targets(k)
    spread = [
        NTKRegressor(dense(k), alpha=0.05, uncertainty="ntkgp")
        .fit(X, c * y)
        .predict(Z, return_std=True)[1]
        for c in (1.0, 100.0)
    ]
    close(spread[1], 100.0 * spread[0])


def test_equal_rows_and_weights_zero():
    module, double = dense(2), np.concatenate([X, X[:3]])
    y = np.concatenate([Y, Y[:3] + 1.0])
    options = {"initial": "network", "alpha": 0.1}
    repeated = NTKRegressor(module, **options).fit(double, y)
    linear = InParameters(module, Y, None, repeated.ridge_)
    J = np.concatenate([linear.J, linear.J[:6]])
    r = (y - outputs(module, double)).ravel()
    d = np.linalg.solve(J.T @ J + repeated.ridge_ * np.eye(J.shape[1]), J.T @ r)
    close(repeated.predict(Z), linear.at(Z, d))
    weight = np.where(np.arange(9) < 7, 1.0, 0.0)
    dropped = NTKRegressor(module, **options).fit(X[:7], Y[:7])
    close(NTKRegressor(module, **options).fit(X, Y, weight).predict(Z), dropped.predict(Z), 1e-12)


# Classes.


@pytest.mark.parametrize("k, labels", [(1, LABELS > 0), (2, LABELS > 0), (3, LABELS)])
def test_classes_by_squared_loss(k, labels):
    module = dense(k)
    model = NTKClassifier(module, initial="network", alpha=0.0, t=2.0).fit(X, labels, WEIGHT)
    one_hot = np.eye(max(k, 2))[labels.astype(int)]
    coded = 2.0 * one_hot[:, 1:] - 1.0 if k == 1 else one_hot - 1.0 / k
    linear = InParameters(module, coded, WEIGHT)
    f = linear.at(Z, linear.flow(2.0))
    decided = f[:, 0] if k == 1 else f[:, 1] - f[:, 0] if k == 2 else f
    close(model.decision_function(Z), decided)
    codes = decided > 0 if k < 3 else decided.argmax(axis=1)
    np.testing.assert_array_equal(model.predict(Z), codes)


@pytest.mark.parametrize("k, labels", [(1, LABELS > 0), (2, LABELS > 0), (3, LABELS)])
def test_classes_by_cross_entropy(k, labels):
    module = dense(k)
    options = {"loss": "cross_entropy", "alpha": 0.0, "t": 1.0}
    model = NTKClassifier(module, initial="network", **options).fit(X, labels)
    one_hot = np.eye(max(k, 2))[labels.astype(int)]
    linear = InParameters(module, one_hot[:, 1:] if k == 1 else one_hot)

    def velocity(_, d):
        f = outputs(module, X) + (linear.J @ d).reshape(9, k)
        slope = expit(f) - one_hot[:, 1:] if k == 1 else softmax(f, axis=1) - one_hot
        return -linear.J.T @ slope.ravel()

    start = np.zeros(linear.J.shape[1])
    path = solve_ivp(velocity, (0.0, 1.0), start, method="LSODA", rtol=1e-11, atol=1e-13)
    f = linear.at(Z, path.y[:, -1])
    decided = f[:, 0] if k == 1 else f[:, 1] - f[:, 0] if k == 2 else f
    close(model.decision_function(Z), decided, 1e-7)


# Searches.


@K
def test_a_search_scores_as_grid_search_does(k):
    module, cv = dense(k), KFold(3)
    search = NTKRegressorCV(module, alphas=(1e-2, 1.0), times=(1.0, np.inf), cv=cv)
    search.fit(X, targets(k))
    grid = GridSearchCV(
        NTKRegressor(module), {"alpha": [1e-2, 1.0], "t": [1.0, np.inf]}, cv=cv
    ).fit(X, targets(k))
    found, expected = (s.cv_results_["mean_test_score"] for s in (search, grid))
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    close(search.predict(Z), grid.predict(Z))


@pytest.mark.parametrize("k", [1, 2])
def test_a_search_of_a_classifier_scores_as_grid_search_does(k):
    module, cv, labels = dense(k), KFold(3), LABELS > 0
    search = NTKClassifierCV(module, alphas=(1e-2, 1.0), cv=cv).fit(X, labels)
    grid = GridSearchCV(NTKClassifier(module), {"alpha": [1e-2, 1.0]}, cv=cv).fit(X, labels)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], grid.cv_results_["mean_test_score"]
    )
    close(search.decision_function(Z), grid.decision_function(Z))


def test_leaving_one_out_is_in_closed_form_for_one_output_alone():
    score = "neg_mean_squared_error"
    one = NTKRegressorCV(dense(1), scoring=score).fit(X, Y[:, 0]).cv_results_
    two = NTKRegressorCV(dense(2), scoring=score).fit(X, Y).cv_results_
    assert "split1_test_score" not in one
    assert "split4_test_score" in two


def test_a_fold_without_a_class_is_refused():
    with pytest.raises(ValueError, match="a fold has 2 of the classes"):
        NTKClassifierCV(dense(3), cv=KFold(3)).fit(X, np.sort(LABELS))


def test_modules_are_values_of_a_grid():
    grid = GridSearchCV(
        NTKRegressor(), {"network": [dense(1), dense(1, seed=1), FullyConnected()]}, cv=3
    ).fit(X, Y[:, 0])
    assert len(grid.cv_results_["params"]) == 3
    parts = GridSearchCV(
        NTKRegressor(dense(1)), {"network__parameters": [["0"], ["2"], None]}, cv=3
    ).fit(X, Y[:, 0])
    assert len(set(parts.cv_results_["mean_test_score"])) == 3


# What belongs to whom.


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_fitting_does_not_touch_the_module_and_training_it_not_the_fit():
    module = dense(2)
    module(torch.from_numpy(X)).sum().backward()
    before, gradients = state(module), [p.grad.clone() for p in module.parameters()]
    model = NTKRegressor(module, initial="network").fit(X, Y)
    first = model.predict(Z)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    for p, gradient in zip(module.parameters(), gradients, strict=True):
        assert torch.equal(p.grad, gradient)
    assert module.training
    with torch.no_grad():
        for p in module.parameters():
            p.add_(1.0)
    np.testing.assert_array_equal(model.predict(Z), first)
    again = model.fit(X, Y).predict(Z)  # the after-kernel
    assert np.abs(again - first).max() > 0.01
    assert model.network is module


def test_predictions_in_several_threads():
    module = dense(2)
    model = NTKRegressor(module, initial="network").fit(X, Y)
    expected = model.predict(Z)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: model.predict(Z), range(12)))
    for values in found:
        np.testing.assert_array_equal(values, expected)


def test_clones_and_pickles_have_modules_of_their_own():
    module = dense(2)
    model = NTKRegressor(Linearized(module, parameters="2"), initial="network")
    copied = clone(model)
    assert copied.network.module is not module
    fitted = copied.fit(X, Y)
    first = fitted.predict(Z)
    with torch.no_grad():
        module[0].weight.zero_()
    np.testing.assert_array_equal(fitted.predict(Z), first)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(Z), first)


def test_parameters_that_are_not_named_are_frozen():
    module = dense(2)
    model = NTKRegressor(Linearized(module, ["2"]), initial="network", alpha=0.0).fit(X, Y)
    module[0].requires_grad_(False)
    linear = InParameters(module, Y)
    close(model.predict(Z, t=1.0), linear.at(Z, linear.flow(1.0)))
    frozen = NTKRegressor(module, initial="network", alpha=0.0).fit(X, Y)
    close(frozen.predict(Z), model.predict(Z))


def test_images_and_single_precision():
    module, images = convolutional(2), rng.normal(size=(9, 1, 2, 2))
    model = NTKRegressor(module).fit(images, Y)
    same = NTKRegressor(module, image_shape=(1, 2, -1)).fit(images.reshape(9, -1), Y)
    np.testing.assert_array_equal(model.predict(images), same.predict(images.reshape(9, -1)))
    single = NTKRegressor(module.float(), dtype="float32", alpha=0.1).fit(images, Y)
    double = NTKRegressor(module, alpha=0.1).fit(images, Y)
    close(single.predict(images), double.predict(images), 1e-4)
    assert model.kernel_.explain(images).count("chosen: module") == 1


@pytest.mark.parametrize("alpha", [0.1, 0.0])
def test_fitted_arrays_own_their_memory_and_have_a_column_for_each_output(alpha):
    model = NTKRegressor(dense(2), initial="network", alpha=alpha).fit(X, Y)
    for name in ("dual_coef_", "targets_", "initial_"):
        found = getattr(model, name)
        assert found.shape == (9, 2)
        assert found.flags.owndata
    assert model.weight_.shape == (9,)


def test_refitting_to_another_network_forgets_the_outputs():
    model = NTKRegressor(dense(2)).fit(X, Y)
    model.set_params(network=FullyConnected()).fit(X, Y)
    np.testing.assert_array_equal(model.predict(Z), NTKRegressor().fit(X, Y).predict(Z))


# Refusals.


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: NTKRegressor(dense(2)).fit(X, Y[:, 0]), "1 target.* 2 output.*outputs='mean'"),
        (lambda: NTKRegressor(dense(1)).fit(X, Y), "2 target.* 1 output.*outputs='mean'"),
        (lambda: NTKRegressorCV(dense(1)).fit(X, Y), "2 target.* 1 output.*outputs='mean'"),
        (lambda: NTKClassifier(dense(2)).fit(X, LABELS), "3 classes and the module 2 output"),
        (lambda: NTKClassifier(dense(3)).fit(X, LABELS > 0), "2 outputs or 1, or Linearized"),
        (lambda: NTKClassifierCV(dense(1)).fit(X, LABELS), "3 classes and the module 1 output"),
        (lambda: NTKRegressor(dense(1), initial="random").fit(X, Y[:, 0]), "initial='network'"),
        (lambda: NTKRegressor(initial="network").fit(X, Y), "take initial='random'"),
        (lambda: NTKRegressor("precomputed", initial="network").fit(X @ X.T, Y), "a torch module"),
        (lambda: NTKRegressor(dense(1), initial="own").fit(X, Y[:, 0]), "initial must be 'zero'"),
        (
            lambda: NTKRegressor(Linearized(dense(2), outputs="mean"), initial="network").fit(X, X),
            "2 output.*3 target",
        ),
        (lambda: NTKRegressor(Linearized(dense(2), outputs="sum")).fit(X, Y), "outputs must be"),
        (lambda: NTKRegressor(Linearized(dense(2), ["9"])).fit(X, Y), "none of the module's"),
        (lambda: NTKRegressor(dense(2, n_features=4)).fit(X, Y), "cannot read rows .*image_shape"),
        (lambda: NTKRegressor(convolutional()).fit(X, Y), "cannot read rows .*image_shape"),
        (
            lambda: NTKRegressor(torch.nn.Sequential(dense(2), torch.nn.Dropout())).fit(X, Y),
            "drops units at random.*eval",
        ),
        (
            lambda: NTKRegressor(dense(1)).fit(X, Y[:, 0]).predict(Z, return_std=True),
            "uncertainty='ntkgp'",
        ),
        (
            lambda: NTKRegressor(dense(2), uncertainty="ntkgp").fit(X, Y).sample_y(Z),
            "sample_y draws outputs independently",
        ),
        (lambda: NTKRegressorCV(dense(1), depths=(1, 2)).fit(X, Y[:, 0]), "depths are those of"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("model", [NNGPRegressor, NNGPClassifier])
def test_a_module_alone_has_no_nngp(model):
    with pytest.raises(TypeError, match=r"networks\.from_module\(module\).*NTKRegressor"):
        model(dense(1)).fit(X, LABELS > 0)
