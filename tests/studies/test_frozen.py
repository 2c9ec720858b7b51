"""Training with a frozen preconditioner: where it is exact, what it is beside real training."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
from optimizer_cases import NEW, OPTIMIZERS, X, Y, groups, linear_model, network, step, trained

from ntk_sklearn.finite import preconditioned_kernel, preconditioner
from ntk_sklearn.finite.tangent import ModuleFunction
from ntk_sklearn.inference import gradient_descent, gradient_flow, heavy_ball, training_modes
from ntk_sklearn.studies import frozen_preconditioner

CONSTANT = ["sgd", "sgd decay", "momentum", "momentum dampening decay", "nesterov"]


@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("kind", CONSTANT)
def test_it_is_exact_where_neither_d_nor_j_moves(kind, start):
    module = linear_model()
    optimizer = OPTIMIZERS[kind](module.parameters(), lr=0.01)
    found = frozen_preconditioner(
        module, optimizer, X, Y, start=start, steps=[5, 60], rows=NEW, loss_weight=0.5
    )
    np.testing.assert_allclose(found.predicted, found.outputs, rtol=1e-10, atol=1e-12)
    assert found.passes(1e-10) is None
    assert not found.drift.any()


def test_modules_in_single_precision():
    module = linear_model().float()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
    found = frozen_preconditioner(module, optimizer, X, Y, steps=[5, 60], rows=NEW)
    assert found.predicted.dtype == np.float64
    assert 0.0 < found.relative_error[1:].max() < 1e-5


def test_a_rate_that_falls_is_followed():
    """Adagrad whose accumulator is so large that D stays: the rate alone depends on the step."""
    module = linear_model()
    optimizer = torch.optim.Adagrad(
        module.parameters(), lr=1e5, lr_decay=0.2, initial_accumulator_value=1e14
    )
    found = frozen_preconditioner(module, optimizer, X, Y, start=2, steps=20)
    np.testing.assert_allclose(found.predicted, found.outputs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kwargs", [{}, {"centered": True}, {"momentum": 0.7, "weight_decay": 0.1}])
def test_it_is_exact_for_a_d_that_is_held(kwargs):
    """alpha = 1 keeps the averages of RMSprop, after some steps that made them."""
    module = linear_model()
    optimizer = torch.optim.RMSprop(groups_of_linear(module), lr=0.005, alpha=0.9, **kwargs)
    for _ in range(4):
        step(module, optimizer)
    for group in optimizer.param_groups:
        group["alpha"] = 1.0
    found = frozen_preconditioner(module, optimizer, X, Y, steps=[1, 2, 30], rows=NEW)
    np.testing.assert_allclose(found.predicted, found.outputs, rtol=1e-10, atol=1e-12)
    assert np.ptp(found.outputs[-1] - found.outputs[0]) > 0.1


def groups_of_linear(module):
    return [{"params": [module.weight]}, {"params": [module.bias], "lr": 0.002}]


def function_space(module, optimizer, learned, steps):
    """f_t from K_D alone, by the modes of the kernel."""
    function = ModuleFunction(module)
    D = preconditioner(optimizer, function)
    K, cross = (
        preconditioned_kernel(function, rows, X, preconditioner=D).flatten(2).flatten(0, 1).numpy()
        for rows in (X, NEW)
    )
    residual = (Y - module(X)).detach().numpy().reshape(-1, 1)
    found = []
    for k in steps:
        change = cross @ training_modes(K).coefficients(residual, learned(k))
        found.append(module(NEW).detach().numpy() + change.reshape(-1, 2))
    return np.array(found)


@pytest.mark.parametrize("kind, learned", [
    ("sgd", lambda k: partial(gradient_descent, steps=k, learning_rate=0.02)),
    ("momentum", lambda k: partial(heavy_ball, steps=k, learning_rate=0.02, momentum=0.9)),
])  # fmt: skip
def test_the_recursion_is_that_of_the_modes_of_the_kernel(kind, learned):
    module = network()
    optimizer = OPTIMIZERS[kind](module.parameters(), lr=0.02)
    found = frozen_preconditioner(module, optimizer, X, Y, steps=[1, 7, 40], rows=NEW)
    expected = function_space(module, optimizer, learned, [0, 1, 7, 40])
    np.testing.assert_allclose(found.predicted, expected, rtol=1e-9, atol=1e-10)


def test_the_recursion_of_adam_without_momentum_is_descent_in_its_kernel():
    module, optimizer = trained("adam without momentum")
    found = frozen_preconditioner(module, optimizer, X, Y, steps=[1, 7, 40], rows=NEW)
    learned = lambda k: partial(gradient_descent, steps=k, learning_rate=0.01)  # noqa: E731
    expected = function_space(module, optimizer, learned, [0, 1, 7, 40])
    np.testing.assert_allclose(found.predicted, expected, rtol=1e-9, atol=1e-10)


def test_flow_is_that_of_the_kernel():
    module, optimizer = trained("adam")
    found = frozen_preconditioner(module, optimizer, X, Y, steps=[3, 50], rows=NEW, loss_weight=0.2)
    learned = lambda k: partial(gradient_flow, t=0.2 * 0.01 * k)  # noqa: E731
    expected = function_space(module, optimizer, learned, [0, 3, 50])
    np.testing.assert_allclose(found.flow, expected, rtol=1e-9, atol=1e-10)
    D = preconditioner(optimizer, ModuleFunction(module))
    K = preconditioned_kernel(module, X, preconditioner=D).flatten(2).flatten(0, 1)
    np.testing.assert_allclose(found.kernel, 0.01 * K, rtol=1e-10)


@pytest.mark.parametrize("kind, gathered", [("momentum", 10.0), ("nesterov", 10.0)])
def test_flow_has_the_rate_that_momentum_gathers(kind, gathered):
    """Small steps of momentum 0.9 go ten times as far as those of gradient descent."""
    module = linear_model()
    rate = 1e-4
    optimizer = OPTIMIZERS[kind](module.parameters(), lr=rate, weight_decay=0.0)
    found = frozen_preconditioner(module, optimizer, X, Y, start=100, steps=[400])
    K = found.kernel / rate
    jacobian_products = torch.cat([X, torch.ones(6, 1)], dim=1).double()
    expected = gathered * np.kron(jacobian_products @ jacobian_products.T, np.eye(2))
    np.testing.assert_allclose(K, expected, rtol=1e-10, atol=1e-10)
    assert found.flow_error[-1] < 0.02  # the inertia of the buffer


@pytest.mark.parametrize("kind", list(OPTIMIZERS))
def test_the_first_steps_of_all_optimizers(kind):
    """Small steps: D of one step is nearly that of the next, relative to the change of outputs."""
    module, optimizer = trained(kind, n_steps=30, rate=1e-4)
    found = frozen_preconditioner(module, optimizer, X, Y, steps=[1, 2, 3])
    assert found.relative_error[0] == 0.0
    assert found.relative_error[1:].max() < 0.15
    assert (np.diff(found.loss) < 0).all()


def test_the_outputs_are_those_of_training():
    module, optimizer = trained("adam")
    before = copy.deepcopy((module, optimizer))
    found = frozen_preconditioner(module, optimizer, X, Y, start=2, steps=[4, 9])
    assert all(map(torch.equal, module.parameters(), before[0].parameters()))
    assert optimizer.state_dict()["state"][0]["step"] == 4
    for k in range(1, 12):
        step(module, optimizer)
        if k in (2, 6, 11):
            index = (2, 6, 11).index(k)
            np.testing.assert_allclose(found.outputs[index], module(X).detach(), rtol=1e-12)
            loss = 0.5 * (module(X) - Y).square().sum().item()
            assert found.loss[index] == pytest.approx(loss, rel=1e-12)
            if index == 0:
                D = preconditioner(optimizer, ModuleFunction(module)).diagonal
    drift = (preconditioner(optimizer, ModuleFunction(module)).diagonal - D).norm() / D.norm()
    assert found.drift[-1] == pytest.approx(drift.item(), rel=1e-10)


def test_how_long_it_holds_depends_on_how_fast_d_forgets():
    """D of Adam follows the gradients, which fall; slowly where beta_2 is large."""
    held = {}
    for beta2 in (0.9, 0.999):
        module = network()
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, betas=(0.9, beta2))
        held[beta2] = frozen_preconditioner(
            module, optimizer, X, Y, start=30, steps=[1, 2, 5, 10, 20, 40, 80]
        )
    assert held[0.999].passes(0.1) >= 2 * held[0.9].passes(0.1)
    assert held[0.9].drift[6] > 2 * held[0.999].drift[6] > 0.1
    for found in held.values():
        assert (np.diff(found.relative_error[:7]) > 0).all()


def test_an_optimizer_of_some_parameters():
    module = network()
    optimizer = torch.optim.SGD(module[2].parameters(), lr=0.01, momentum=0.9)
    found = frozen_preconditioner(module, optimizer, X, Y, steps=50)
    np.testing.assert_allclose(found.predicted, found.outputs, rtol=1e-10, atol=1e-12)
    assert list(found.steps) == list(range(51))


@pytest.mark.parametrize("make", [
    partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.1),
    partial(torch.optim.RMSprop, lr=0.01, alpha=1.0),
])  # fmt: skip
def test_what_gets_no_gradient_stays(make):
    """An optimizer may hold frozen and unused parameters, and moves neither."""
    module = linear_model()
    module.bias.requires_grad_(False)
    module.unused = torch.nn.Parameter(torch.ones(2).double())
    optimizer = make(module.parameters())
    if isinstance(optimizer, torch.optim.RMSprop):  # with a D that is held
        optimizer.param_groups[0]["alpha"] = 0.9
        step(module, optimizer)
        optimizer.param_groups[0]["alpha"] = 1.0
    found = frozen_preconditioner(module, optimizer, X, Y, start=1, steps=20)
    np.testing.assert_allclose(found.predicted, found.outputs, rtol=1e-10, atol=1e-12)


def test_a_training_that_diverges_is_not_right():
    module = linear_model()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e9)
    found = frozen_preconditioner(module, optimizer, X, Y, steps=[1, 60])
    assert np.isinf(found.relative_error[-1])
    assert found.passes(0.1) == 60


def test_groups_and_keyword_inputs():
    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = network()

        def forward(self, x, scale):
            return self.body(x) * scale

    module, scale = Named(), torch.full((6, 1), 0.5).double()
    optimizer = torch.optim.SGD(groups(module.body, 0.001), lr=0.001)
    found = frozen_preconditioner(module, optimizer, {"x": X, "scale": scale}, Y, steps=[20])
    assert found.relative_error[-1] < 0.1
    assert found.kernel.shape == (12, 12)


@pytest.mark.parametrize("change, error, message", [
    ({"y": torch.full_like(Y, torch.nan)}, ValueError, "y must be finite numbers"),
    ({"steps": [1.5]}, ValueError, "each of steps"), ({"steps": "3"}, ValueError, "steps must be"),
    ({"start": -1}, ValueError, "start must be"),
    ({"loss_weight": torch.nan}, ValueError, "loss_weight must be"),
    ({"loss_weight": -1.0}, ValueError, "loss_weight must be"),
    ({"optimizer": torch.optim.LBFGS}, TypeError, "SGD, Adam"),
    ({"optimizer": lambda p: torch.optim.SGD(network(1).parameters())}, ValueError, "moves none"),
    ({"y": Y[:5]}, ValueError, r"y has the shape \(5, 2\), the outputs \(6, 2\)"),
    ({"steps": []}, ValueError, "steps must be"), ({"steps": 0}, ValueError, "steps must be"),
    ({"optimizer": lambda p: torch.optim.Adam(p, maximize=True)}, ValueError, "maximizes"),
    ({"optimizer": torch.optim.Adam}, ValueError, "no state"),
    ({"optimizer": torch.optim.NAdam}, TypeError, "SGD, Adam"),
])  # fmt: skip
def test_bad_input_is_refused(change, error, message):
    given = {"y": Y, "steps": 3, "optimizer": partial(torch.optim.SGD, lr=0.1)} | change
    module = network()
    optimizer = given["optimizer"](module.parameters())
    with pytest.raises(error, match=message):
        frozen_preconditioner(
            module, optimizer, X, **{k: given[k] for k in given if k != "optimizer"}
        )
