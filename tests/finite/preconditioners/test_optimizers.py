"""D, m and the predicted step against the steps that torch's optimizers take."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from optimizer_cases import (
    NEW,
    OPTIMIZERS,
    WITH_MOMENTUM,
    X,
    Y,
    at_rate,
    groups,
    network,
    step,
    trained,
)
from torch import nn

from ntk_sklearn.finite import (
    identity,
    last_update,
    learning_rates,
    preconditioned_kernel,
    preconditioner,
    predicted_step,
)
from ntk_sklearn.finite.tangent import Jacobian, ModuleFunction

RATES = [1e-3, 1e-4, 1e-5]


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def real_update(module, optimizer):
    """The function before a step, what the step adds to the parameters, and the residual."""
    function, before = ModuleFunction(module), flat(module)
    residual = step(module, optimizer)
    return function, flat(module) - before, residual


@pytest.mark.parametrize("n_steps", [0, 1, 5])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_update_is_that_of_the_step(kind, n_steps):
    module, optimizer = trained(kind, n_steps)
    function, update, _ = real_update(module, optimizer)
    found = last_update(optimizer, function)
    torch.testing.assert_close(found, update, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", ["momentum", "adam", "adamw", "rmsprop", "adagrad decay"])
@pytest.mark.parametrize("variant", [{"maximize": True}, {"foreach": True}, {"foreach": False}])
def test_variants_of_the_implementation_have_the_same_state(kind, variant):
    module = network()
    optimizer = OPTIMIZERS[kind](groups(module, 0.01), lr=0.01, **variant)
    for _ in range(3):
        step(module, optimizer)
    function, update, _ = real_update(module, optimizer)
    torch.testing.assert_close(last_update(optimizer, function), update, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw", "adagrad"])
def test_fused_implementations_have_the_same_state(kind):
    module = network()
    try:
        optimizer = OPTIMIZERS[kind](module.parameters(), lr=0.01, fused=True)
    except (RuntimeError, TypeError) as error:
        pytest.skip(f"not in this torch: {error}")
    for _ in range(3):
        step(module, optimizer)
    function, update, _ = real_update(module, optimizer)
    torch.testing.assert_close(last_update(optimizer, function), update, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam])
def test_rates_may_be_tensors(make):
    module = network()
    optimizer = make(module.parameters(), lr=torch.tensor(0.01).double(), foreach=False)
    step(module, optimizer)
    function, update, _ = real_update(module, optimizer)
    torch.testing.assert_close(last_update(optimizer, function), update, rtol=1e-10, atol=1e-14)


def test_groups_with_other_rates_betas_and_eps():
    module = network()
    first, last = groups(module, 0.01)
    optimizer = torch.optim.Adam(
        [{**first, "betas": (0.5, 0.8)}, {**last, "eps": 1e-2, "weight_decay": 0.3}], lr=0.01
    )
    for _ in range(3):
        step(module, optimizer)
    function, update, _ = real_update(module, optimizer)
    torch.testing.assert_close(last_update(optimizer, function), update, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("make", [OPTIMIZERS["adam"], OPTIMIZERS["sgd"], OPTIMIZERS["adagrad"]])
def test_smaller_rates_of_groups_stand_in_d(make):
    """With m = g, which first steps have, the step is -learning_rate D^-1 times the gradient."""
    module = network()
    optimizer = make(groups(module, 0.01), lr=0.01)
    function, update, _ = real_update(module, optimizer)
    D = preconditioner(optimizer, function)
    assert D.learning_rate == pytest.approx(0.03)
    slope = torch.cat([p.grad.flatten() for p in module.parameters()])
    torch.testing.assert_close(-D.learning_rate * D.apply(slope), update, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(D.root(D.root(slope)), slope / D.diagonal, rtol=1e-12, atol=0)


def test_d_of_adam_by_hand():
    """Three gradients of one number, the averages summed from their definition."""
    p = nn.Linear(1, 1, bias=False).double()
    optimizer = torch.optim.Adam(p.parameters(), lr=0.1, betas=(0.6, 0.8), eps=0.01)
    slopes = [0.5, -2.0, 1.5]
    for slope in slopes:
        p.weight.grad = torch.full((1, 1), slope, dtype=torch.float64)
        optimizer.step()
    weights = [0.2 * 0.8 ** (2 - k) for k in range(3)]
    mean = sum(w * s**2 for w, s in zip(weights, slopes, strict=True)) / sum(weights)
    found = preconditioner(optimizer, ModuleFunction(p)).diagonal.item()
    assert found == pytest.approx(math.sqrt(mean) + 0.01, rel=1e-12)


# The change of the function: its relative error falls in proportion to the step


def relative_errors(kind, predict):
    module, optimizer = trained(kind)
    found = []
    for rate in RATES:
        copied, stepped = at_rate(module, optimizer, rate)
        before = copied(NEW).detach()
        function, _, residual = real_update(copied, stepped)
        change = copied(NEW).detach() - before
        found.append(
            ((predict(stepped, function, residual) - change).norm() / change.norm()).item()
        )
    return np.array(found)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_predicted_step_is_right_to_first_order(kind):
    errors = relative_errors(kind, lambda o, f, _: predicted_step(o, f, NEW))
    slope = np.polyfit(np.log(RATES), np.log(errors), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.03)
    assert errors[0] < 0.05


def without_momentum(optimizer, function, residual):
    """-lr J D^-1 J^T r, which sounds right."""
    D = preconditioner(optimizer, function)
    K = preconditioned_kernel(function, NEW, X, preconditioner=D)
    return -D.learning_rate * torch.einsum("nkml,ml->nk", K, residual)


@pytest.mark.parametrize("kind", ["momentum", "adam", "amsgrad", "rmsprop centered momentum"])
def test_the_gradient_in_place_of_the_buffer_is_wrong_at_every_step_size(kind):
    errors = relative_errors(kind, without_momentum)
    assert errors.min() > 0.1
    assert np.ptp(errors) < 0.01 * errors.mean()


@pytest.mark.parametrize("kind", ["sgd", "adam without momentum", "rmsprop", "adagrad"])
def test_the_gradient_is_right_without_momentum(kind):
    errors = relative_errors(kind, without_momentum)
    assert np.polyfit(np.log(RATES), np.log(errors), 1)[0] == pytest.approx(1.0, abs=0.03)


def test_the_gradient_is_right_in_the_first_step_of_adam():
    errors = []
    for rate in RATES:
        module = network()
        before = module(NEW).detach()
        optimizer = torch.optim.Adam(module.parameters(), lr=rate)
        function, _, residual = real_update(module, optimizer)
        change = module(NEW).detach() - before
        found = without_momentum(optimizer, function, residual)
        errors.append(((found - change).norm() / change.norm()).item())
    assert np.polyfit(np.log(RATES), np.log(errors), 1)[0] == pytest.approx(1.0, abs=0.03)


def test_d_before_the_update_of_v_is_wrong_at_every_step_size():
    module, optimizer = trained("adam")
    stale = preconditioner(optimizer, ModuleFunction(module))

    def predict(stepped, function, _):
        current = preconditioner(stepped, function)
        m_over_d = last_update(stepped, function) / -current.learning_rate
        update = -current.learning_rate * stale.apply(m_over_d * current.diagonal)
        return Jacobian(function, function.values, function.prepare(NEW)).jvp(update)

    errors = relative_errors("adam", predict)
    assert errors.min() > 0.02
    assert np.ptp(errors) < 0.01 * errors.mean()


def test_without_its_decay_the_step_of_adamw_is_wrong_at_every_step_size():
    def predict(optimizer, function, _):
        rate, decay = (optimizer.param_groups[0][key] for key in ("lr", "weight_decay"))
        update = last_update(optimizer, function)
        update += rate * decay * function.flatten(function.values)
        return Jacobian(function, function.values, function.prepare(NEW)).jvp(update)

    assert relative_errors("adamw", predict).min() > 0.01


MODULES = {
    "convolution": lambda: nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(20, 2)
    ),
    "attention": lambda: nn.TransformerEncoderLayer(2, 1, 4, batch_first=True, activation="gelu"),
}


@pytest.mark.parametrize("kind", MODULES)
def test_steps_of_other_modules(kind):
    torch.manual_seed(1)
    module = MODULES[kind]().double().eval()
    x = torch.randn(4, *((2, 5) if kind == "convolution" else (5, 2))).double()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    errors = []
    for rate in (1e-3, 1e-3, 1e-3, 1e-4, 1e-5):
        optimizer.param_groups[0]["lr"] = rate
        function, before = ModuleFunction(module), module(x).detach()
        optimizer.zero_grad()
        (module(x) - 1.0).square().sum().backward()
        optimizer.step()
        change = (module(x).detach() - before).flatten(1)
        errors.append((predicted_step(optimizer, function, x) - change).norm() / change.norm())
    ratios = torch.stack(errors)[2:].log10().diff()
    assert (ratios + 1.0).abs().max() < 0.2  # ten times less each time


def test_adam_in_single_precision():
    module = network().float()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    inputs, targets = X.float(), Y.float()
    for _ in range(4):
        function = ModuleFunction(module, dtype=torch.float64)
        optimizer.zero_grad()
        (module(inputs) - targets).square().sum().backward()
        optimizer.step()
    change = ModuleFunction(module, dtype=torch.float64)
    change = change(change.values, (X,)) - function(function.values, (X,))
    found = predicted_step(optimizer, function, X)
    assert found.dtype == torch.float64
    np.testing.assert_array_equal(predicted_step(optimizer, function, X.numpy()), found.numpy())
    assert (found - change).norm() < 0.02 * change.norm()


def test_parts_of_the_change_come_from_parts_of_the_parameters():
    module, optimizer = trained("adam")
    parts = [ModuleFunction(module, parameters=[name]) for name in ("0", "2")]
    whole, _, _ = real_update(module, optimizer)
    found = sum(predicted_step(optimizer, part, NEW) for part in parts)
    torch.testing.assert_close(found, predicted_step(optimizer, whole, NEW), rtol=1e-12, atol=1e-14)


def test_nothing_is_touched():
    module, optimizer = trained("adamw")
    function, _, _ = real_update(module, optimizer)
    weights, state = flat(module), copy.deepcopy(optimizer.state_dict())
    predicted_step(optimizer, function, NEW)
    preconditioner(optimizer, function).inverse.mul_(0.0)
    assert torch.equal(flat(module), weights)
    for key, values in optimizer.state_dict()["state"].items():
        assert all(torch.equal(values[name], state["state"][key][name]) for name in values)


@pytest.mark.parametrize("kind", WITH_MOMENTUM)
def test_steps_with_momentum_need_no_gradients(kind):
    module, optimizer = trained(kind)
    function, update, _ = real_update(module, optimizer)
    optimizer.zero_grad()
    if kind == "nesterov":
        with pytest.raises(ValueError, match="before zero_grad"):
            last_update(optimizer, function)
    else:
        torch.testing.assert_close(last_update(optimizer, function), update, rtol=1e-10, atol=1e-14)


# What cannot be told


class Averaged(torch.optim.Adam):
    def step(self, closure=None):
        return super().step(closure)


@pytest.mark.parametrize("make", [torch.optim.NAdam, torch.optim.LBFGS, Averaged])
def test_other_optimizers_are_refused_with_the_names_of_those_that_are_known(make):
    module = network()
    with pytest.raises(TypeError, match=f"SGD, Adam, AdamW, RMSprop, Adagrad .*{make.__name__}"):
        preconditioner(make(module.parameters()), ModuleFunction(module))


@pytest.mark.parametrize("kind", ["adam", "adamw", "rmsprop", "adagrad decay"])
def test_there_is_no_d_before_the_first_step(kind):
    module, optimizer = trained(kind, n_steps=0)
    with pytest.raises(ValueError, match=r"no state for \['0.weight'.*after a step"):
        preconditioner(optimizer, ModuleFunction(module))


@pytest.mark.parametrize("kind, d", [("sgd", 1.0), ("nesterov", 1.0), ("adagrad", math.sqrt(0.1))])
def test_some_have_a_d_before_the_first_step(kind, d):
    module, optimizer = trained(kind, n_steps=0)
    D = preconditioner(optimizer, ModuleFunction(module))
    assert D.learning_rate == 0.01
    torch.testing.assert_close(D.diagonal, torch.full_like(D.diagonal, d))
    with pytest.raises(ValueError, match=r"no step|no gradient"):
        last_update(optimizer, ModuleFunction(module))


def test_parameters_that_never_get_a_gradient_have_no_d():
    module = nn.ModuleDict({"used": network(), "idle": nn.Linear(2, 2).double()})
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    step(module["used"], optimizer)
    whole = nn.Sequential(module["used"], module["idle"])
    with pytest.raises(ValueError, match=r"no state for \['1.weight', '1.bias'\].*leave out"):
        preconditioner(optimizer, ModuleFunction(whole))
    assert preconditioner(optimizer, ModuleFunction(whole, parameters=["0"])).n_parameters == 50


def test_the_optimizer_of_another_module_is_refused():
    module, optimizer = trained("adam")
    with pytest.raises(ValueError, match=r"does not move \['0.weight'"):
        preconditioner(optimizer, ModuleFunction(copy.deepcopy(module)))


def test_functions_must_be_made_before_the_step():
    module, optimizer = trained("adam")
    early = ModuleFunction(module)
    step(module, optimizer)
    function, _, _ = real_update(module, optimizer)
    last_update(optimizer, function)
    for wrong in (early, ModuleFunction(module)):
        with pytest.raises(ValueError, match="make the ModuleFunction before the step"):
            predicted_step(optimizer, wrong, NEW)


def test_modules_stand_for_their_functions_where_the_time_before_the_step_does_not_matter():
    module, optimizer = trained("adam")
    function = ModuleFunction(module)
    D = preconditioner(optimizer, module)
    torch.testing.assert_close(D.inverse, preconditioner(optimizer, function).inverse)
    rates = {"0": 0.1}
    for made in (identity, lambda given: learning_rates(given, rates)):
        torch.testing.assert_close(made(module).inverse, made(function).inverse)
    for refusing in (last_update, lambda *given: predicted_step(*given, NEW)):
        with pytest.raises(TypeError, match="made before the step"):
            refusing(optimizer, module)


def test_gradients_of_something_else_are_noticed():
    module, optimizer = trained("sgd")
    function, _, _ = real_update(module, optimizer)
    module(X).sum().backward()
    with pytest.raises(ValueError, match="anything else changes parameters"):
        last_update(optimizer, function)


def test_a_small_parameter_that_a_step_left_out_is_noticed():
    """Its momentum is remembered, and is a ten thousandth of what moves the others."""
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for p in module.parameters():
        p.grad = torch.full_like(p, 1e-4 if p is module[2].bias else 1.0)
    optimizer.step()
    function = ModuleFunction(module)
    module[2].bias.grad = None
    optimizer.step()
    with pytest.raises(ValueError, match=r"2\.bias is not where.*left out for want of a gradient"):
        last_update(optimizer, function)


def test_a_rate_that_was_changed_a_little_is_noticed():
    module, optimizer = trained("adam")
    function, _, _ = real_update(module, optimizer)
    optimizer.param_groups[0]["lr"] *= 1 - 5e-4
    with pytest.raises(ValueError, match="parameters, gradients or rates"):
        last_update(optimizer, function)


def test_a_d_of_zero_is_refused():
    module = network()
    optimizer = torch.optim.Adam(module.parameters(), eps=0.0)
    module(X).mul(0.0).sum().backward()
    optimizer.step()
    with pytest.raises(ValueError, match="entries <= 0"):
        preconditioner(optimizer, ModuleFunction(module))
