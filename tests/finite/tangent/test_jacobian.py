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


def test_passes_of_the_dense_jacobian_are_of_few_rows():
    """One of all rows for each of their outputs would be n times the work."""
    seen, module = [], network("dense")
    module.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    function = ModuleFunction(module)
    Jacobian(function, function.values, function.prepare(rows("dense", 9))).dense()
    assert sum(seen) == 9
    assert max(seen) <= 2


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
