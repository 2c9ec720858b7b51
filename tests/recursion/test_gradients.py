"""Autograd through scales, parameters of activations and inputs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    Positions,
    Serial,
    demanded_positions,
    replace,
    residual,
    scales,
)
from ntk_sklearn.duals import (
    GELU,
    RBF,
    ABReLU,
    Cos,
    Erf,
    Exp,
    Gaussian,
    LeakyReLU,
    Polynomial,
    Sign,
    Sin,
)
from ntk_sklearn.recursion import pair_state, propagate

RELU = Activation("relu")
DENSE = {
    "relu": Serial(Dense(1.3, 0.4), RELU, Dense(1.2, 0.3), RELU, Dense(1.1, 0.2)),
    "mixed": Serial(Dense(1.3, 0.4), *[Activation("erf"), Dense(1.2, 0.3), RELU, Dense(1.1, 0.2)]),
    "residual": Serial(Dense(1.2, 0.1), residual(Serial(Activation("abs"), Dense(1.1, 0.3)))),
}
IMAGES = {
    "flat": Serial(Conv(3, 1.3, 0.2), RELU, Conv(2, 1.1, 0.3), RELU, Flatten(), Dense(1.1, 0.1)),
    "pooled": Serial(
        *[Conv(3, 1.3, 0.2), RELU, AvgPool(2), Conv(2, 1.1, 0.3), RELU, GlobalAvgPool(), Dense()]
    ),
}
PARAMETERS = {
    "function.a": LeakyReLU(0.3),
    "function.b": ABReLU(0.2, 0.8),
    "function.rate": Erf(0.8, 0.7),
    "function.amplitude": Gaussian(0.8, 0.7),
    "function.phase": Sin(0.8, 0.7, 0.3),
    "function.gamma": RBF(0.4),
    "function.coefficients.2": Polynomial((0.1, 0.5, 0.3)),
}
GENERIC = torch.randn(5, 2, 4, 4, dtype=torch.float64, generator=torch.manual_seed(0))


def scalar(network: Layer, x: Tensor, z: Tensor, on_diagonal: bool = False) -> Tensor:
    """A fixed combination of all entries of both kernels."""
    rank = x.ndim - 2
    positions = demanded_positions(network) if rank else Positions.NONE
    end = propagate(network, pair_state(x, z, rank, positions, True, on_diagonal))
    weights = torch.linspace(-1.0, 2.0, end.nngp.numel(), dtype=x.dtype).reshape(end.nngp.shape)
    return (weights * end.nngp + weights.flip(0) * end.ntk).sum()


def difference(f, value: Tensor, h: float = 1e-6) -> Tensor:
    """Central differences in every entry of a tensor."""
    steps = h * torch.eye(value.numel(), dtype=value.dtype).reshape(-1, *value.shape)
    return torch.stack([(f(value + s) - f(value - s)) / (2 * h) for s in steps]).reshape_as(value)


def assert_gradient(f, value: Tensor) -> None:
    leaf = value.clone().requires_grad_()
    (found,) = torch.autograd.grad(f(leaf), leaf)
    torch.testing.assert_close(found, difference(f, value).detach(), rtol=1e-7, atol=1e-7)


def inputs(name: str) -> Tensor:
    return GENERIC if name in IMAGES else GENERIC.flatten(1)[:, :6]


def special(name: str) -> tuple[Tensor, Tensor]:
    """Rows, and rows that are equal, parallel, antiparallel and zero; in images zero patches."""
    x = inputs(name)[:2].clone()
    x[1, ..., :2] = 0.0
    return x, torch.cat([x, 2.0 * x, -x, 0.0 * x])


@pytest.mark.parametrize("on_diagonal", [False, True])
@pytest.mark.parametrize("name", [*DENSE, *IMAGES])
def test_scales(name, on_diagonal):
    # at coincident inputs, too: there the derivatives in the scales exist
    network, (x, z) = (DENSE | IMAGES)[name], special(name)
    values = torch.tensor(list(scales(network).values()), dtype=torch.float64)
    assert_gradient(
        lambda v: scalar(
            replace(network, dict(zip(scales(network), v, strict=True))),
            *((x, x, True) if on_diagonal else (x, z)),
        ),
        values,
    )


@pytest.mark.parametrize("path, function", PARAMETERS.items())
def test_parameters_of_activations(path, function):
    layers = [Activation(function), Dense(1.2, 0.3)]
    network, x = Serial(Dense(1.1, 0.4), *layers * 2), inputs("dense")
    start = function
    for name in path.split(".")[1:]:
        start = start[int(name)] if name.isdigit() else getattr(start, name)
    assert_gradient(
        lambda v: scalar(
            replace(network, {f"layers.1.{path}": v, f"layers.3.{path}": v}), x[:3], x[3:]
        ),
        torch.tensor(start, dtype=torch.float64),
    )


@pytest.mark.parametrize("name", [*DENSE, *IMAGES])
def test_inputs(name):
    network, x = (DENSE | IMAGES)[name], inputs(name)
    assert_gradient(lambda v: scalar(network, v, x[2:]), x[:2])
    assert_gradient(lambda v: scalar(network, v, v, True), x[:2])


@pytest.mark.parametrize("b_std", [0.0, 0.3])
@pytest.mark.parametrize("activation", ["relu", "abs", "leaky_relu", "erf", "sign"])
def test_orthogonal_rows(activation, b_std):
    hidden = [Activation(activation), Dense(1.2, b_std), RELU, Dense(1.1, b_std)]
    network, x = Serial(Dense(1.3, b_std), *hidden), torch.eye(3, dtype=torch.float64)
    assert_gradient(lambda v: scalar(network, v, x), 2.0 * x[:2])
    assert_gradient(lambda v: scalar(replace(network, {"layers.0.w_std": v}), x[:2], x), x[0, 0])


@pytest.mark.parametrize("angle", [1e-2, 1e-4, torch.pi - 1e-4])
def test_inputs_at_small_angles(angle):
    x, e = inputs("dense")[:2]
    e = e - (e @ x) / (x @ x) * x
    e = e * (x.norm() / e.norm())
    angle = torch.tensor(angle, dtype=torch.float64)
    z = (angle.cos() * x + angle.sin() * e)[None]
    leaf = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(scalar(DENSE["relu"], leaf[None], z), leaf)
    expected = difference(lambda v: scalar(DENSE["relu"], v[None], z), x, 1e-3 * angle.sin())
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "function", [RBF(0.5), Sin(), Cos(), Erf(), GELU(), Gaussian(), Exp(0.5, 0.4)]
)
def test_smooth_kernels_at_a_zero_row(function):
    network, z = Serial(Dense(1.2), Activation(function), Dense(0.9)), inputs("dense")[:1]
    assert_gradient(lambda v: scalar(network, v, z), 0.0 * z)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("b_std", [0.0, 0.3])
@pytest.mark.parametrize("name", [*DENSE, *IMAGES])
def test_finite_at_kinks(name, b_std, order):
    network = (DENSE | IMAGES)[name]
    values = torch.tensor([b_std if "b_std" in p else v for p, v in scales(network).items()])
    x, z = special(name)
    leaves = [t.clone().requires_grad_() for t in (values.double(), x, z)]
    tree = replace(network, dict(zip(scales(network), leaves[0], strict=True)))
    for arguments in ((leaves[1], leaves[2]), (leaves[1], leaves[1], True)):
        value = scalar(tree, *arguments)
        for _ in range(order):
            found = torch.autograd.grad(value, leaves, create_graph=True, allow_unused=True)
            value = sum(g.square().sum() for g in found if g is not None)
        assert all(g.isfinite().all() for g in found if g is not None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_behind_a_step(dtype):
    network = Serial(Dense(1.2), Activation(Sign()), Dense(), RELU, Dense())
    x, z = (t.to(dtype).requires_grad_() for t in special("dense"))
    found = torch.autograd.grad(scalar(network, x, z), (x, z))
    assert all(g.isfinite().all() for g in found)
