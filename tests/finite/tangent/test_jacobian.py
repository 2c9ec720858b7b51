"""Modules as functions of parameters: Jacobian products against finite differences and loops."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ntk_sklearn.finite.tangent import Jacobian, ModuleFunction


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 4), nn.Linear(2, 4, bias=False)

    def forward(self, x, z):
        return torch.tanh(self.left(x)) * self.right(z)


def network(kind):
    torch.manual_seed(0)
    built = {
        "dense": lambda: nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)),
        "normalized": lambda: nn.Sequential(
            nn.Linear(3, 6), nn.BatchNorm1d(6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 2)
        ),
        "attention": lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
        "two inputs": TwoInputs,
    }[kind]()
    return built.double().eval()


def rows(kind, n=5):
    shapes = {"attention": [(5, 4)], "two inputs": [(3,), (2,)]}.get(kind, [(3,)])
    generator = torch.Generator().manual_seed(1)
    found = tuple(torch.randn(n, *s, generator=generator, dtype=torch.float64) for s in shapes)
    return found if len(found) > 1 else found[0]


KINDS = ["dense", "normalized", "attention", "two inputs"]


def jacobian(kind):
    function = ModuleFunction(network(kind))
    return Jacobian(function, function.values, function.prepare(rows(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_products_are_those_of_the_dense_jacobian(kind):
    J = jacobian(kind)
    dense, (n, k) = J.dense(), J.outputs().shape
    v, u = torch.randn(dense.shape[1]).double(), torch.randn(n, k).double()
    torch.testing.assert_close(J.jvp(v).flatten(), dense @ v, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(J.vjp(u), dense.T @ u.flatten(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_jacobian_is_that_of_backward(kind):
    J, module = jacobian(kind), network(kind)
    x = rows(kind)
    outputs = module(*x if isinstance(x, tuple) else (x,)).flatten(1)
    parameters = list(module.parameters())
    by_loop = [
        torch.cat([g.flatten() for g in torch.autograd.grad(o, parameters, retain_graph=True)])
        for o in outputs.flatten()
    ]
    torch.testing.assert_close(J.dense(), torch.stack(by_loop), rtol=1e-12, atol=1e-12)


def test_the_module_is_not_touched():
    module = network("normalized")
    before = {name: t.clone() for name, t in module.state_dict().items()}
    function = ModuleFunction(module)
    Jacobian(function, function.values, function.prepare(rows("normalized"))).dense()
    assert all(torch.equal(t, before[name]) for name, t in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())


def test_parameters_are_chosen_by_name_or_beginning():
    module = network("dense")
    assert list(ModuleFunction(module, ["2"]).values) == ["2.weight", "2.bias"]
    assert list(ModuleFunction(module, ["0.bias"]).values) == ["0.bias"]
    module[0].requires_grad_(False)
    assert list(ModuleFunction(module).values) == ["2.weight", "2.bias"]
    with pytest.raises(ValueError, match=r"parameters \['3'\] are none"):
        ModuleFunction(module, ["3"])


@pytest.mark.parametrize(
    "module, message",
    [
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), "statistics of the batch"),
        (nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1)), "1 drops units at random"),
        (nn.Sequential(nn.Linear(3, 4), nn.RReLU()), "1 draws slopes at random"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.FractionalMaxPool2d(2, 2)), "random regions"),
        (nn.Tanh(), "no parameters to train"),
    ],
)
def test_modules_that_are_no_function_of_a_row_are_refused(module, message):
    with pytest.raises(ValueError, match=message):
        ModuleFunction(module)


@pytest.mark.parametrize(
    "module, error, message",
    [
        (lambda: torch.jit.script(nn.Linear(3, 2)), TypeError, "that it was made from"),
        (lambda: nn.DataParallel(nn.Linear(3, 2)), TypeError, "that it was made from"),
        (lambda: nn.LazyLinear(2), ValueError, "weight has no shape yet: call the module"),
        (lambda: nn.Linear(3, 2, device="meta"), ValueError, "load its values first"),
        (lambda: nn.Linear(3, 2, dtype=torch.complex64), ValueError, "split it into real parts"),
        (lambda: nn.Embedding(3, 2, scale_grad_by_freq=True), ValueError, "are no derivatives"),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_modules_that_are_none_of_real_parameters(module, error, message):
    with pytest.raises(error, match=message):
        ModuleFunction(module())


@pytest.mark.parametrize("dtype", ["float64", torch.int64, torch.complex64])
def test_dtypes_are_of_torch_and_real(dtype):
    with pytest.raises(ValueError, match="dtype must be None or a floating-point"):
        ModuleFunction(nn.Linear(3, 2), dtype=dtype)


def test_a_dtype_makes_several_precisions_one():
    several = nn.Sequential(nn.Linear(3, 2).double(), nn.Linear(2, 1))
    with pytest.raises(ValueError, match="or pass the dtype"):
        ModuleFunction(several)
    function = ModuleFunction(several, dtype=torch.float64)
    assert {value.dtype for value in function.values.values()} == {torch.float64}


class Integers(nn.Linear):
    def forward(self, x):
        return super().forward(x).argmax(1)


def test_outputs_are_real_numbers():
    function = ModuleFunction(Integers(3, 2))
    with pytest.raises(TypeError, match="must be real floating-point numbers"):
        function(function.values, function.prepare(torch.ones(2, 3)))


def test_instance_normalization_in_training_is_a_function_of_its_row():
    """It normalizes by the row itself; the running statistics are written to a copy."""
    norm = nn.InstanceNorm1d(3, affine=True, track_running_stats=True)
    module = nn.Sequential(nn.Conv1d(2, 3, 3), norm, nn.Flatten(), nn.Linear(9, 2)).double()
    x = torch.randn(4, 2, 5).double()
    function, mean = ModuleFunction(module), norm.running_mean.clone()
    J = Jacobian(function, function.values, (x,))
    each = [J.rows(slice(i, i + 1)).dense() for i in range(4)]
    torch.testing.assert_close(J.dense(), torch.cat(each), rtol=1e-12, atol=1e-12)
    u = torch.randn(4, 2).double()
    torch.testing.assert_close(J.vjp(u), J.dense().T @ u.flatten(), rtol=1e-12, atol=1e-12)
    assert torch.equal(norm.running_mean, mean)


class Exponential(torch.autograd.Function):
    """Without rules for torch.func."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].exp()


class Call(nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call, self.linear = call, nn.Linear(3, 2).double()

    def forward(self, x):
        return self.call(self.linear(x))


def test_functions_without_rules_are_taken_row_by_row():
    x = torch.randn(4, 3).double()
    function, u = ModuleFunction(Call(Exponential.apply)), torch.randn(4, 5, 2).double()
    J = Jacobian(function, function.values, (x,))
    f = J.outputs()
    by_bias = torch.diag_embed(f)
    expected = torch.cat([(by_bias[..., None] * x[:, None, None]).flatten(2), by_bias], 2)
    torch.testing.assert_close(J.by_row(), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(J.by_row(u), u @ expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "call", [lambda f: f - f.mean(0), lambda f: nn.functional.dropout(f.repeat(1, 20), 0.5)]
)
def test_rows_that_meet_are_refused(call):
    function = ModuleFunction(Call(call))
    with pytest.raises(ValueError, match="functions of their own row"):
        Jacobian(function, function.values, (torch.randn(4, 3).double(),)).dense()


def test_functions_at_other_values():
    module, other = network("dense"), network("dense")
    with torch.no_grad():
        other[0].weight.mul_(2.0)
    function, moved = ModuleFunction(module), ModuleFunction(other)
    at, x = function.at(moved.values), (rows("dense"),)
    torch.testing.assert_close(at(at.values, x), other(x[0]))
    torch.testing.assert_close(function(function.values, x), module(x[0]))
    with pytest.raises(ValueError, match="values must be of the parameters"):
        function.at({"0.weight": module[0].weight})
