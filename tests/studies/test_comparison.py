"""Modules beside their linearizations: against plain loops of torch, and over widths."""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import linregress
from torch import nn
from torch.nn import functional as F

from ntk_sklearn.finite import linearize, to_module
from ntk_sklearn.networks import FullyConnected
from ntk_sklearn.studies import trained_versus_linearized

RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((8, 5)), RNG.standard_normal((6, 5))
y = np.sin(2 * X[:, 0])
CLASSES = np.eye(3)[RNG.integers(3, size=8)]
STEPS = (0, 1, 4, 10)
CASES = {
    "squared": (y, None, partial(torch.optim.SGD, momentum=0.5), 0.02),
    "classes": (CLASSES, F.cross_entropy, torch.optim.Adam, 0.01),
}


def network(n_outputs=1):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, n_outputs)).double()


def explicit_kernel(module, x):
    parameters = list(module.parameters())
    by_output = [torch.autograd.grad(o, parameters, retain_graph=True) for o in module(x).flatten()]
    J = torch.stack([torch.cat([g.flatten() for g in gradients]) for gradients in by_output])
    return J @ J.T


def by_hand(module, x, targets, loss, optimizer, rate):
    """Losses, outputs and parameters at STEPS, by a loop as users write it."""
    model, found = deepcopy(module), []
    stepper = optimizer(model.parameters(), lr=rate)
    for k in range(STEPS[-1] + 1):
        value = loss(model(x), targets)
        if k in STEPS:
            found.append((float(value.detach()), model(x).detach().numpy(), deepcopy(model)))
        stepper.zero_grad()
        value.backward()
        stepper.step()
    return found


@pytest.mark.parametrize("name", CASES)
def test_both_are_trained_as_by_hand(name):
    targets, loss, optimizer, rate = CASES[name]
    module = network(3 if name == "classes" else 1)
    found = trained_versus_linearized(
        module, X, targets, Z, learning_rate=rate, steps=STEPS, loss=loss, optimizer=optimizer
    )
    x, t = torch.tensor(X), torch.tensor(targets).reshape(8, -1)
    told = loss or (lambda f, wanted: 0.5 * (f - wanted).square().sum())
    runs = [by_hand(m, x, t, told, optimizer, rate) for m in (module, linearize(module))]
    for run, losses, outputs in zip(
        runs,
        (found.losses, found.linearized_losses),
        (found.outputs, found.linearized_outputs),
        strict=True,
    ):
        np.testing.assert_allclose(losses, [moment[0] for moment in run], rtol=1e-10)
        np.testing.assert_allclose(outputs, [moment[1] for moment in run], atol=1e-10)
    assert found.losses[-1] < 0.9 * found.losses[0]
    last, last_linear = (run[-1][2] for run in runs)
    starts, ends = list(module.parameters()), list(last.parameters())
    for column, (start, end, linear) in enumerate(
        zip(starts, ends, last_linear.parameters(), strict=True)
    ):
        moved, apart = (float((end - other).norm().detach()) for other in (start, linear))
        assert found.movements[-1, column] == pytest.approx(moved, rel=1e-9)
        assert found.parameter_distances[-1, column] == pytest.approx(apart, rel=1e-7)
        relative = moved / float(start.detach().norm())
        assert found.relative_movements[-1, column] == pytest.approx(relative, rel=1e-9)
    K_0, K = (explicit_kernel(m, x) for m in (module, last))
    assert found.kernel_drifts[-1] == pytest.approx(float((K - K_0).norm() / K_0.norm()), rel=1e-8)
    assert found.parameters == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert found.test_outputs.shape == (4, 6, 3 if name == "classes" else 1)


def test_what_is_linear_in_its_parameters_is_its_own_linearization():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 1)).double()
    found = trained_versus_linearized(
        module, X, y, Z, learning_rate=0.05, steps=(0, 50), parameters=["2"]
    )
    assert found.losses[1] < 0.5 * found.losses[0]
    for distance in (found.train_distances, found.test_distances, found.kernel_drifts):
        np.testing.assert_allclose(distance, 0, atol=1e-12)
    np.testing.assert_allclose(found.parameter_distances, 0, atol=1e-12)


def test_higher_orders_follow_more_closely():
    distances = [
        trained_versus_linearized(
            network(), X, y, Z, learning_rate=0.01, steps=(5,), order=order, kernel_rows=0
        ).test_distances[0]
        for order in (1, 2, 3)
    ]
    assert distances[2] < 0.5 * distances[1] < 0.25 * distances[0]


@pytest.fixture(scope="module")
def over_widths():
    """Of networks with two hidden layers that are trained to the end; 6 draws of every width."""
    tree, widths = FullyConnected(2, activation="erf", w_std=1.5, b_std=0.1).build(), (64, 192, 576)
    runs = [
        [
            trained_versus_linearized(
                to_module(tree, (5,), width, 1, seed), X, y, Z,
                learning_rate=0.2, steps=(0, 15), kernel_rows=0,
            )
            for seed in range(6)
        ]
        for width in widths
    ]  # fmt: skip
    return np.log(widths), runs


def power(over_widths, part, order):
    """The power of the width and its standard error, every draw counting.

    Residuals at the start differ from draw to draw: what is of some order in them is divided by it.
    """
    x, runs = over_widths
    values = np.log([[part(run) / run.losses[0] ** (order / 2) for run in row] for row in runs])
    fit = linregress(np.repeat(x, values.shape[1]), values.ravel())
    return fit.slope, fit.stderr


@pytest.mark.slow
def test_weights_move_little_and_the_function_moves(over_widths):
    """Relative movements fall like width^-1/2 in outer layers and 1 / width in the hidden one.

    A single weight of unit variance moves as much. The function and the distance travelled by all
    weights together are of order 1: each weight moves little, not the function.
    """
    parameters = over_widths[1][0][0].parameters
    weights = [n for n, name in enumerate(parameters) if "weight" in name]
    cases = [
        (power, lambda run, n=n: run.relative_movements[-1, n])
        for n, power in zip(weights, (-0.5, -1.0, -0.5), strict=True)
    ]
    cases.append((0.0, lambda run: np.linalg.norm(run.movements[-1])))
    cases.append((0.0, lambda run: np.linalg.norm(run.test_outputs[-1] - run.test_outputs[0])))
    for expected, part in cases:
        slope, error = power(over_widths, part, order=1)
        assert abs(slope - expected) < 3 * error < 0.25
    for row in over_widths[1]:
        for run in row:
            assert run.losses[-1] < 0.05 * run.losses[0]


@pytest.mark.slow
def test_linearizations_are_followed_the_more_closely_the_wider(over_widths):
    """Parameters part by width^-1/2, functions by 1 / width, of networks without a kink."""
    for expected, part in (
        (-0.5, lambda run: np.linalg.norm(run.parameter_distances[-1])),
        (-1.0, lambda run: run.test_distances[-1]),
    ):
        slope, error = power(over_widths, part, order=2)
        assert abs(slope - expected) < 3 * error < 0.5


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, x, z):
        return torch.tanh(self.a(x)) * self.b(z)


@pytest.mark.parametrize("form", [lambda x, z: (x, z), lambda x, z: {"x": x, "z": z}])
def test_several_inputs_and_outputs(form):
    torch.manual_seed(0)
    module = Sum().double()
    before = deepcopy(module.state_dict())
    targets = RNG.standard_normal((8, 3))
    rate = {"learning_rate": 0.01, "steps": (0, 2)}
    found = trained_versus_linearized(module, form(X, X[::-1].copy()), targets, **rate)
    assert found.losses[0] == pytest.approx(found.linearized_losses[0])
    assert found.outputs.shape == (2, 8, 3)
    assert found.test_outputs.shape == (2, 0, 3)
    assert np.isnan(found.test_distances).all()
    assert all(torch.equal(t, before[name]) for name, t in module.state_dict().items())


def test_parameters_that_start_from_zero_have_no_relative_movement():
    module = network()
    nn.init.zeros_(module[0].bias)
    found = trained_versus_linearized(module, X, y, learning_rate=0.01, steps=(1,), kernel_rows=0)
    assert np.isnan(found.relative_movements).tolist() == [[False, True, False, False]]
    assert np.isnan(found.kernel_drifts).all()


@pytest.mark.parametrize(
    "given, told",
    [
        ({"y": y[:3]}, r"y must have the shape \(8, 1\)"),
        ({"y": CLASSES}, "classes are given one-hot"),
        ({"steps": (3, 1)}, "steps must be integers >= 0 in ascending order"),
        ({"steps": (0.5,)}, "steps must be integers"),
        ({"steps": 3}, "steps must be a sequence"),
        ({"y": np.nan * y}, "y must be finite numbers"),
        ({"X": np.nan * X}, "outputs for X"),
        ({"learning_rate": np.nan}, "learning_rate must be"),
        ({"kernel_rows": -2}, "kernel_rows must be an integer >= 0"),
        ({"optimizer": torch.optim.LBFGS}, "without a closure"),
        ({"optimizer": "sgd"}, "optimizer must be called"),
        ({"loss": lambda f, t: f - t}, "loss must return one number"),
        ({"loss": "squared"}, "loss must be called"),
    ],
)
def test_what_cannot_be_compared_is_refused(given, told):
    defaults = {"module": network(), "X": X, "y": y, "learning_rate": 1}
    with pytest.raises((ValueError, TypeError), match=told):
        trained_versus_linearized(**defaults | given)


def test_targets_may_be_tensors_with_gradients():
    given = torch.tensor(y, requires_grad=True)
    first, second = (
        trained_versus_linearized(network(), X, targets, learning_rate=0.01, steps=(2,))
        for targets in (given, y)
    )
    np.testing.assert_array_equal(first.losses, second.losses)
