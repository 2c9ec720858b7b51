"""Expansions of modules against explicit Jacobians, shrinking steps, polynomials and training."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from ntk_sklearn.finite import linearize, taylor_expand


class TwoInputs(nn.Module):
    """Outputs (n, 2, 2) of two inputs, with a buffer and a parameter that is used twice."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 4), nn.Linear(3, 4)
        self.right.weight = self.left.weight
        self.register_buffer("shift", torch.randn(4))

    def forward(self, x, z):
        return (torch.tanh(self.left(x) + self.shift) * self.right(z)).reshape(-1, 2, 2)


MODULES = {
    "dense": lambda: nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)),
    "convolutional": lambda: nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.GELU(), nn.Flatten(), nn.Linear(12, 2)
    ),
    "normalized": lambda: nn.Sequential(
        nn.Conv1d(2, 4, 2),
        nn.GroupNorm(2, 4),
        nn.Tanh(),
        nn.InstanceNorm1d(4, affine=True),
        nn.GLU(1),
        nn.LayerNorm([2, 4]),
        nn.Flatten(),
        nn.Linear(8, 2),
    ),
    "attention": lambda: nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True),
    "two inputs": TwoInputs,
    "one number": lambda: nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)),
}
SHAPES = {
    "normalized": [(2, 5)],
    "convolutional": [(1, 4, 4)],
    "attention": [(3, 4)],
    "two inputs": [(3,), (3,)],
}


def network(name):
    torch.manual_seed(0)
    return MODULES[name]().double().eval()


def rows(name, n=4):
    torch.manual_seed(1)
    return tuple(torch.randn(n, *shape).double() for shape in SHAPES.get(name, [(3,)]))


def away(module, size=1.0, seed=2):
    """Parameters of the module and, at a distance, others in a random direction."""
    torch.manual_seed(seed)
    start = {name: p.detach() for name, p in module.named_parameters()}
    return start, {name: p + size * torch.randn_like(p) for name, p in start.items()}


def explicit_jacobian(module, inputs):
    """(outputs, parameters), one backward pass for each output."""
    parameters = list(module.parameters())
    by_output = [
        torch.autograd.grad(o, parameters, retain_graph=True) for o in module(*inputs).flatten()
    ]
    return torch.stack([flat(gradients) for gradients in by_output])


def flat(tensors):
    return torch.cat([t.detach().flatten() for t in tensors])


@pytest.mark.parametrize("name", MODULES)
def test_order_one_is_the_explicit_jacobian(name):
    module, inputs = network(name), rows(name)
    start, moved = away(module)
    outputs = module(*inputs).detach()
    moves = explicit_jacobian(module, inputs) @ (flat(moved.values()) - flat(start.values()))
    found = linearize(module).at(moved, *inputs)
    torch.testing.assert_close(found, outputs + moves.view_as(outputs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["dense", "convolutional", "normalized", "attention"])
def test_the_error_falls_with_the_next_power_of_the_distance(name, order):
    module, inputs = network(name), rows(name)
    expansion, sizes = taylor_expand(module, order), np.geomspace(0.004, 0.016, 5)
    errors = []
    for size in sizes:
        _, moved = away(module, size)
        exact = functional_call(module, moved, inputs)
        errors.append(float((expansion.at(moved, *inputs) - exact).norm().detach()))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(order + 1, abs=0.2)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_products_of_matrices_are_polynomials_of_their_number(degree):
    torch.manual_seed(0)
    module = nn.Sequential(*(nn.Linear(3, 3, bias=False) for _ in range(degree))).double()
    (x,) = rows("dense")
    _, moved = away(module, 10.0)
    exact = functional_call(module, moved, (x,))
    found = [taylor_expand(module, d).at(moved, x) for d in range(1, degree + 2)]
    for expansion in found[degree - 1 :]:
        torch.testing.assert_close(expansion, exact, rtol=1e-11, atol=1e-9)
    for expansion in found[: degree - 1]:
        assert (expansion - exact).norm() > 0.1 * exact.norm()


def test_relu_networks_are_polynomials_within_a_piece():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 20), nn.ReLU(), nn.Linear(20, 1)).double()
    (x,) = rows("dense")
    (_, near), (_, far) = away(module, 1e-3), away(module, 1.0)
    off = [
        (taylor_expand(module, 2).at(p, x) - functional_call(module, p, (x,))).abs().max()
        for p in (near, far)
    ]
    assert off[0] < 1e-14 < 1e-2 < off[1]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_gradient_descent_has_its_closed_form(momentum):
    """theta - theta_0 = J^T c and f = f_0 + K c, where c follows from the modes of K = J J^T."""
    module, (x,) = network("dense"), rows("dense")
    torch.manual_seed(3)
    y, n_steps = torch.randn(4, 2).double(), 200
    start, _ = away(module)
    J = explicit_jacobian(module, (x,))
    v, V = torch.linalg.eigh(J @ J.T)
    rate = float(1.0 / v[-1])
    before, rest = torch.ones_like(v), 1.0 - rate * v
    for _ in range(n_steps - 1):
        before, rest = rest, (1 + momentum - rate * v) * rest - momentum * before
    residual = V.T @ (y - module(x).detach()).flatten()
    moves = J.T @ (V @ ((1.0 - rest) / v * residual))

    linear = linearize(module)
    train(linear, x, y, torch.optim.SGD(linear.parameters(), lr=rate, momentum=momentum), n_steps)
    moved = flat(linear.parameters()) - flat(start.values())
    torch.testing.assert_close(moved, moves, rtol=0, atol=1e-8)
    expected = (y.flatten() - V @ (rest * residual)).reshape(4, 2)
    torch.testing.assert_close(linear(x).detach(), expected, rtol=0, atol=1e-8)


def test_another_optimizer_trains_it_like_a_regression_on_the_jacobian():
    module, (x,) = network("dense"), rows("dense")
    y = torch.ones(4, 2).double()
    J = explicit_jacobian(module, (x,))
    moves = torch.zeros(J.shape[1], dtype=torch.float64, requires_grad=True)
    explicit = torch.optim.Adam([moves], lr=0.01)
    for _ in range(50):
        explicit.zero_grad()
        (0.5 * ((module(x).detach() - y).flatten() + J @ moves).square().sum()).backward()
        explicit.step()
    linear = linearize(module)
    train(linear, x, y, torch.optim.Adam(linear.parameters(), lr=0.01), 50)
    moved = flat(linear.parameters()) - flat(module.parameters())
    torch.testing.assert_close(moved, moves.detach(), rtol=0, atol=1e-8)


def train(model, x, y, optimizer, n_steps):
    for _ in range(n_steps):
        optimizer.zero_grad()
        (0.5 * (model(x) - y).square().sum()).backward()
        optimizer.step()


def test_gradients_of_a_higher_order_are_those_of_differences():
    module, (x,) = network("dense"), rows("dense")
    expansion = taylor_expand(module, 3)
    _, moved = away(module, 0.3)
    with torch.no_grad():
        for name, p in expansion.values.items():
            p.copy_(moved[name])
    expansion(x).sum().backward()
    slope = sum((p.grad * moved[name]).sum() for name, p in expansion.values.items())
    ahead, behind = (
        expansion.at({name: t * p for name, p in moved.items()}, x).sum()
        for t in (1 + 1e-5, 1 - 1e-5)
    )
    assert float(slope) == pytest.approx(float((ahead - behind).detach()) / 2e-5, rel=1e-8)


def test_module_and_expansion_do_not_notice_each_other():
    module, inputs = network("convolutional"), rows("convolutional")
    before = deepcopy(module.state_dict())
    linear = linearize(module)
    start = linear(*inputs).detach()
    linear(*inputs).sum().backward()
    torch.optim.SGD(linear.parameters(), lr=1.0).step()
    assert all(torch.equal(t, before[name]) for name, t in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())
    fresh = linearize(module)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.add_(1)
    torch.testing.assert_close(fresh(*inputs), start)
    assert (linear(*inputs) - start).abs().max() > 0.1


def test_parameters_that_are_not_named_stay():
    module, (x,) = network("dense"), rows("dense")
    readout = linearize(module, ["2"])
    assert list(readout.values) == ["2.weight", "2.bias"]
    moved = {name: p + 5.0 for name, p in readout.values.items()}
    expected = functional_call(module, moved, (x,))  # linear in its readout
    torch.testing.assert_close(readout.at(moved, x), expected, rtol=1e-13, atol=1e-13)


def test_it_is_saved_and_copied_like_other_modules():
    module, (x,) = network("dense"), rows("dense")
    trained = linearize(module)
    train(trained, x, torch.zeros(4, 2).double(), torch.optim.SGD(trained.parameters(), 0.1), 3)
    loaded = linearize(module)
    loaded.load_state_dict(trained.state_dict())
    for other in (loaded, deepcopy(trained)):
        assert torch.equal(other(x), trained(x))


def test_states_of_other_expansions_are_refused():
    """The same parameters mean another function about other ones."""
    module, elsewhere = network("dense"), deepcopy(network("dense"))
    with torch.no_grad():
        elsewhere[0].bias += 1e-3
    for other in (linearize(elsewhere), taylor_expand(module, 2)):
        with pytest.raises(ValueError, match="another order or about other parameters"):
            other.load_state_dict(linearize(module).state_dict())


def test_inputs_by_name():
    module, (x, z) = network("two inputs"), rows("two inputs")
    linear = linearize(module)
    assert torch.equal(linear(x=x, z=z), linear(x, z))
    with pytest.raises(TypeError, match="all positional or all named"):
        linear(x, z=z)


@pytest.mark.parametrize("order", [0, -1, 1.5, True])
def test_orders_are_positive_integers(order):
    with pytest.raises(ValueError, match="order must be an integer >= 1"):
        taylor_expand(network("dense"), order)


def test_what_is_no_expansion_any_more_is_refused():
    module, inputs = network("convolutional"), rows("convolutional")
    linear = linearize(module)
    with pytest.raises(TypeError, match=r"linearize\(module.double\(\)\)"):
        linear.float()
    with pytest.raises(ValueError, match="values must be of the parameters"):
        linear.at({"0.weight": linear.values["0.weight"]}, *inputs)
    module.train()
    with pytest.raises(ValueError, match="statistics of the batch"):
        linear(*inputs)
