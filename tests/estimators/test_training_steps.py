"""Steps of gradient descent, other losses, random initial functions, loss curves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntk_sklearn import NTKClassifier, NTKRegressor
from ntk_sklearn.inference import Schedule, heavy_ball, training_modes
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import Convolutional, FullyConnected

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "predictions.npz")
X, Y, Z = GOLDEN["X_train"], GOLDEN["y_train"], GOLDEN["X_test"]
LABELS = np.digitize(X[:, 0], [-0.5, 0.5])
NETWORK = FullyConnected(2)
KERNEL = NTK(NETWORK)
K, K_NEW = KERNEL(X), KERNEL(Z, X)


def descended(steps, rate, momentum, ridge=0.0, weight=None):
    """Outputs at Z of torch's optimizer on the linear model with that kernel."""
    root = np.linalg.cholesky(K)
    features, new = torch.tensor(root), torch.tensor(np.linalg.solve(root, K_NEW.T).T)
    theta = torch.zeros(len(X), Y.shape[1], dtype=torch.float64, requires_grad=True)
    w = torch.ones(len(X)) if weight is None else torch.tensor(weight)
    optimizer = torch.optim.SGD([theta], lr=rate, momentum=momentum)
    for _ in range(steps):
        optimizer.zero_grad()
        error = ((features @ theta - torch.tensor(Y)) ** 2).sum(dim=1)
        (0.5 * (w * error).sum() + 0.5 * ridge * (theta**2).sum()).backward()
        optimizer.step()
    return (new @ theta).detach().numpy()


@pytest.mark.parametrize("steps", [0, 1, 2, 37])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("weight", [None, np.arange(1.0, 13.0)], ids=["equal", "weighted"])
def test_steps_are_those_of_torch(steps, momentum, alpha, weight):
    model = NTKRegressor(
        NETWORK, alpha=alpha, t=steps, learning_rate=1e-4, momentum=momentum, normalize_y=False
    ).fit(X, Y, weight)
    expected = descended(steps, 1e-4, momentum, model.ridge_, weight)
    np.testing.assert_allclose(model.predict(Z), expected, rtol=1e-9, atol=1e-13)


def test_mean_loss_takes_larger_steps():
    options = {"t": 20, "normalize_y": False, "alpha": 0.0}
    mean = NTKRegressor(NETWORK, learning_rate=1e-3 * Y.size, loss_scale="mean", **options)
    summed = NTKRegressor(NETWORK, learning_rate=1e-3, **options)
    np.testing.assert_allclose(mean.fit(X, Y).predict(Z), summed.fit(X, Y).predict(Z), rtol=1e-11)


@pytest.mark.parametrize("loss_scale", ["sum", "mean"])
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_largest_learning_rate(loss_scale, momentum):
    """The loss falls in the end just below it, and explodes just above, which `fit` refuses."""
    base = NTKRegressor(NETWORK, loss_scale=loss_scale).fit(X, Y)
    base = NTKRegressor(NETWORK, loss_scale=loss_scale, learning_rate=1e-9, momentum=momentum)
    bound = base.set_params(t=3).fit(X, Y).max_learning_rate()
    scale = Y.size if loss_scale == "mean" else 1
    assert bound == pytest.approx(
        scale * 2 * (1 + momentum) / (np.linalg.eigvalsh(K)[-1] + base.ridge_), rel=1e-9
    )
    stable = clone(base).set_params(learning_rate=0.999 * bound).fit(X, Y)
    start, end = stable.loss_curve([0, 30000])
    assert end < 0.1 * start
    with pytest.raises(ValueError, match="gradient descent diverges with learning_rate"):
        clone(base).set_params(learning_rate=1.001 * bound).fit(X, Y)
    assert descended_error(1.01 * bound / scale, momentum) > 1e2


def descended_error(rate, momentum):
    return np.abs(descended(1500, rate, momentum)).max()


@pytest.mark.parametrize("learning_rate", [None, 1e-3])
def test_training_loss_falls_and_is_that_of_the_outputs(learning_rate):
    model = NTKRegressor(NETWORK, alpha=1e-3, learning_rate=learning_rate, normalize_y=False)
    times = [0, 1, 2, 10, 100, np.inf]
    losses = model.fit(X, Y).loss_curve(times)
    outputs = model.predict(X, t=times)
    np.testing.assert_allclose(losses, 0.5 * ((outputs - Y) ** 2).sum(axis=(1, 2)), rtol=1e-8)
    assert (np.diff(losses) < 0).all()
    mean = clone(model).set_params(loss_scale="mean").fit(X, Y)
    assert mean.loss_curve([0.0])[0] == pytest.approx(losses[0] / Y.size)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be None or a number > 0"),
        ({"learning_rate": np.nan}, ValueError, "learning_rate must be None or a number > 0"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be None or a number > 0"),
        ({"momentum": 0.9}, ValueError, "momentum needs a learning_rate"),
        ({"momentum": 1.0, "learning_rate": 1e-3}, ValueError, r"momentum must be a number in"),
        ({"learning_rate": 1e-3, "t": 1.5}, ValueError, "t counts steps and must be whole"),
        ({"loss": "hinge"}, ValueError, "loss must be one of"),
        ({"loss": "huber"}, ValueError, "trained for a finite time: give t"),
        ({"loss": "huber", "t": 1, "learning_rate": 1e-3}, ValueError, "takes no learning_rate"),
        ({"initial": "one"}, ValueError, "initial must be 'zero' or 'random'"),
        ({"verbose": -1}, ValueError, "verbose must be >= 0"),
    ],
    ids=str,
)
def test_options_are_checked_by_fit(options, error, message):
    with pytest.raises(error, match=message):
        NTKRegressor(NETWORK, **options).fit(X, Y)


@pytest.mark.parametrize("alpha", [1e-8, 1e-6, 1e-4])
def test_modes_below_rounding_count_where_there_is_a_ridge(alpha):
    """Extrapolation of a smooth kernel, of which most modes are rounding: both solvers agree."""
    x = np.linspace(-1, 1, 60)[:, np.newaxis]
    y = np.sin(3 * x[:, 0]) + 0.3 * np.random.default_rng(0).standard_normal(60)
    model = NTKRegressor(FullyConnected(2, activation="erf"), alpha=alpha).fit(x, y)
    found, expected = model.predict([[3.0]], t=np.inf), model.predict([[3.0]])
    # rounding of the kernel is divided by the ridge
    np.testing.assert_allclose(found, expected, rtol=max(1e-13 / alpha, 1e-8))


def test_modes_below_rounding_are_learned_at_the_rate_of_time():
    modes = training_modes(np.diag([1.0, 1e-17, 0.0]))
    found = modes.filtered(Schedule().learned(1e4))
    np.testing.assert_allclose(found, [1e4, 1e4, 1.0])
    assert modes.filtered(Schedule().learned(np.inf)).tolist() == [0.0, 0.0, 1.0]
    assert modes.filtered(Schedule(0.1).learned(30)).tolist()[:2] == pytest.approx([3.0, 3.0])


@pytest.mark.parametrize("value", [1e-16, 1e-12, 1e-4])
def test_momentum_keeps_the_digits_of_slow_modes(value):
    steps, momentum = 1000, Fraction(9, 10)
    g, d, v = Fraction(0), Fraction(0), Fraction(value)
    for _ in range(steps):
        d = float_fraction(momentum * d + v * (1 - g))
        g = g + d
    found = heavy_ball(np.array([value]), steps, 1.0, 0.9)[0]
    assert found == pytest.approx(float(g), rel=1e-11)


def float_fraction(x):
    """x to 60 digits, to keep fractions short."""
    return Fraction(round(x * 10**80), 10**80)


def test_training_loss_counts_all_rows():
    rows, y = np.array([[0.0], [0.0], [1.0]]), np.array([0.0, 2.0, 1.0])
    model = NTKRegressor(alpha=1e-3, normalize_y=False).fit(rows, y)
    expected = 0.5 * ((model.predict(rows) - y) ** 2).sum()
    assert model.loss_curve([np.inf])[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("loss_scale", ["sum", "mean"])
def test_the_largest_rate_itself_is_refused(loss_scale):
    bound = NTKRegressor(NETWORK, loss_scale=loss_scale).fit(X, Y).max_learning_rate()
    with pytest.raises(ValueError, match="diverges"):
        NTKRegressor(NETWORK, loss_scale=loss_scale, learning_rate=bound).fit(X, Y)


def test_what_is_set_after_fit_changes_no_prediction():
    model = NTKRegressor(NETWORK, t=2.0, uncertainty=None).fit(X, Y)
    expected = model.predict(Z, t=1.0)
    model.set_params(loss="huber", learning_rate=1e-3, alpha=1.0, t=5.0)
    np.testing.assert_array_equal(model.predict(Z, t=1.0), expected)
    with pytest.raises(ValueError, match="was set after fit"):
        model.set_params(uncertainty="ensemble").predict(Z, return_std=True)


@pytest.mark.parametrize("t", [[], [[1.0, 2.0]]])
def test_times_are_one_or_a_sequence(t):
    with pytest.raises(ValueError, match="t must be a number or a sequence"):
        NTKRegressor(NETWORK).fit(X, Y).predict(Z, t=t)


# Other losses


def test_huber_loss_of_small_errors_is_squared_loss():
    tiny = 1e-3 * Y
    options = {"t": 0.3, "alpha": 1e-3, "normalize_y": False}
    found = NTKRegressor(NETWORK, loss="huber", **options).fit(X, tiny).predict(Z)
    expected = NTKRegressor(NETWORK, **options).fit(X, tiny).predict(Z)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_huber_loss_follows_an_outlier_less():
    y = np.zeros(len(X))
    y[3] = 10.0
    options = {"t": 0.05, "normalize_y": False}
    robust = NTKRegressor(NETWORK, loss="huber", **options).fit(X, y).predict(X)[3]
    assert 0 < robust < 0.5 * NTKRegressor(NETWORK, **options).fit(X, y).predict(X)[3]


def euler(gradient, targets, t, steps=20000):
    """Gradient flow of the summed loss by small steps."""
    c = np.zeros(targets.shape)
    for _ in range(steps):
        c -= t / steps * gradient(K @ c, targets)
    return K_NEW @ c


@pytest.mark.parametrize("loss_scale", ["sum", "mean"])
def test_classifier_on_cross_entropy(loss_scale):
    scale = len(X) if loss_scale == "mean" else 1  # one number per row, not per output
    model = NTKClassifier(
        NETWORK, alpha=0, t=0.5 * scale, loss="cross_entropy", loss_scale=loss_scale
    )
    logits = model.fit(X, LABELS).decision_function(Z)
    expected = euler(lambda f, y: softmax(f, axis=1) - y, np.eye(3)[LABELS], 0.5)
    np.testing.assert_allclose(logits, expected, rtol=2e-3, atol=2e-4)
    two = model.fit(X, LABELS > 1)
    if loss_scale == "sum":
        logit = two.decision_function(Z)
        expected = euler(lambda f, y: expit(f) - y, (LABELS > 1)[:, np.newaxis], 0.5)[:, 0]
        np.testing.assert_allclose(logit, expected, rtol=2e-3, atol=2e-4)


def test_cross_entropy_falls_with_time():
    model = NTKClassifier(NETWORK, loss="cross_entropy", t=1.0).fit(X, LABELS)
    paths = model.decision_function(X, t=[10.0, 0.0, 0.1, 1.0])
    entropy = -log_softmax(paths, axis=-1)[:, np.arange(len(X)), LABELS].mean(axis=1)
    assert entropy[1] == pytest.approx(np.log(3))
    assert entropy[0] < entropy[3] < entropy[2] < entropy[1]
    np.testing.assert_allclose(paths[3], model.decision_function(X), rtol=1e-5, atol=1e-8)


def test_a_loss_of_ones_own():
    def fourth_power(outputs, targets):
        return (outputs - targets) ** 3

    model = NTKRegressor(NETWORK, alpha=0, t=0.1, loss=fourth_power, normalize_y=False).fit(X, Y)
    np.testing.assert_allclose(model.predict(Z), euler(fourth_power, Y, 0.1), rtol=2e-3, atol=2e-4)
    with pytest.raises(ValueError, match="loss_curve is of squared loss"):
        model.loss_curve([1.0])
    with pytest.raises(ValueError, match="other losses have no learning rate"):
        model.max_learning_rate()
    with pytest.raises(ValueError, match=r"gradient of shape \(12, 2\), got \(\)"):
        NTKRegressor(NETWORK, t=0.1, loss=lambda f, y: ((f - y) ** 2).sum()).fit(X, Y)


# Random initial functions


@pytest.mark.parametrize("network", [FullyConnected(2), FullyConnected(1, width=64)], ids=str)
def test_one_network_starts_from_its_random_function(network):
    options = {"alpha": 1e-9, "normalize_y": True, "initial": "random"}
    models = [NTKRegressor(network, random_state=seed, **options).fit(X, Y) for seed in (0, 0, 1)]
    starts = [model.predict(Z, t=0) for model in models]
    np.testing.assert_array_equal(starts[0], starts[1])
    assert np.abs(starts[0] - starts[2]).min() > 0
    assert np.abs(starts[0] - models[0].y_mean_).max() > 0.1 * Y.std()
    for model in models:
        np.testing.assert_allclose(model.predict(X), Y, rtol=1e-4, atol=1e-6)
    # far from the data the end depends on the beginning
    ends = [model.predict(5.0 * Z) for model in models]
    assert np.abs(ends[0] - ends[2]).max() > 0.01


def test_random_networks_have_the_spread_of_the_ensemble():
    network = FullyConnected(1, activation="erf")
    zero = NTKRegressor(network, alpha=1e-4).fit(X, Y[:, 0])
    mean, std = zero.predict(Z, return_std=True)
    draws = np.stack(
        [
            NTKRegressor(network, alpha=1e-4, initial="random", random_state=s)
            .fit(X, Y[:, 0])
            .predict(Z)
            for s in range(100)
        ]
    )
    assert (np.abs(draws.mean(axis=0) - mean) < 4.5 * std / np.sqrt(100)).all()
    # a standard deviation from 100 draws is off by 7 %, the covariance of 1024 units by less
    np.testing.assert_allclose(draws.std(axis=0), std, rtol=0.3)


def test_random_start_of_classifiers_and_images():
    model = NTKClassifier(
        Convolutional(1), image_shape=(1, 1, -1), initial="random", random_state=0
    )
    found = model.fit(X, LABELS).decision_function(Z, t=[0.0, np.inf])
    assert np.abs(found[0]).min() > 0
    np.testing.assert_allclose(model.decision_function(Z[:2]), found[1][:2], rtol=1e-10)


@parametrize_with_checks(
    [
        NTKRegressor(t=100000, learning_rate=5e-5, momentum=0.9, loss_scale="mean"),
        NTKRegressor(FullyConnected(1, width=8), initial="random", random_state=0),
        NTKClassifier(t=0.1, loss="cross_entropy"),
    ]
)
def test_conformance(estimator, check):
    check(estimator)
