"""Empirical kernels of modules against Jacobians by a loop, in every method, form and tile."""

from __future__ import annotations

import ctypes
import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluator_contract import kilobytes
from tangent_modules import MODULES, explicit, kernel, module, rows
from torch import nn
from torch.utils.checkpoint import checkpoint

from ntk_sklearn.finite import EmpiricalNTK, empirical_ntk, to_module, uses
from ntk_sklearn.finite.tangent import contraction, plan
from ntk_sklearn.networks import Activation, Conv, Dense, GlobalAvgPool, Serial

METHODS = ("structured", "jacobian", "vector_products", "auto")
FORMS = {
    "full": lambda blocks: blocks,
    "diagonal": lambda blocks: torch.einsum("nkmk->nmk", blocks),
    "trace": lambda blocks: torch.einsum("nkmk->nm", blocks),
    "mean": lambda blocks: torch.einsum("nkmk->nm", blocks) / blocks.shape[1],
}
# torch has no derivative of recurrent layers in forward mode.
KNOWN = [(n, m) for n in MODULES for m in METHODS if (n, m) != ("recurrent", "vector_products")]


@functools.cache
def by_loop(name):
    """Kernels of 4 rows with 3 others and with themselves, from Jacobians by a loop."""
    built, x, z = module(name), rows(name, 4), rows(name, 3, seed=1)
    return kernel(built, x, z), kernel(built, x, x)


def close(found, expected, tolerance=1e-10):
    return bool((found - expected).abs().max() <= tolerance * expected.abs().max())


def symmetric(gram, diag, form):
    """The Gram, or that of each output, is symmetric bit by bit with this diagonal."""
    n = len(gram)
    stack = {"full": lambda: gram.reshape(1, n * diag.shape[-1], -1),
             "diagonal": lambda: gram.permute(2, 0, 1)}.get(form, lambda: gram[None])()  # fmt: skip
    own = diag.mT if form == "diagonal" else diag.reshape(1, -1)
    return torch.equal(stack, stack.mT) and torch.equal(stack.diagonal(dim1=1, dim2=2), own)


@pytest.mark.parametrize("name, method", KNOWN)
def test_kernel_is_the_product_of_jacobians(name, method):
    built, x, z = module(name), rows(name, 4), rows(name, 3, seed=1)
    block, square = by_loop(name)
    for form in FORMS if method == "structured" else ("full", "mean"):
        ntk = EmpiricalNTK(built, outputs=form, method=method)
        assert close(ntk(x, z), FORMS[form](block))
        gram = ntk(x)
        assert close(gram, FORMS[form](square))
        assert symmetric(gram, ntk.diag(x), form)


@pytest.mark.parametrize("form", ["full", "diagonal", "mean"])
@pytest.mark.parametrize("method", METHODS[:3])
@pytest.mark.parametrize("name", ["shared filter", "tied"])
def test_tiles_and_pieces_are_those_of_the_whole(name, method, form, monkeypatch):
    built, x, z = module(name), rows(name, 7), rows(name, 5, seed=1)
    monkeypatch.setattr(plan, "_largest", lambda side, memory, budget: 3)
    monkeypatch.setattr(plan, "PASS_BYTES", 1)
    monkeypatch.setattr(plan, "LEAST_SIDE", 4)
    monkeypatch.setattr(contraction, "GRADIENT_BLOCK", 20)
    monkeypatch.setattr(uses, "PAIR_BLOCK", 500)
    ntk = EmpiricalNTK(built, outputs=form, method=method)
    assert len(ntk._plan(ntk.function.prepare(x), None, form).passes) > 1 or method[0] == "v"
    assert close(ntk(x, z), FORMS[form](kernel(built, x, z)))
    gram = ntk(x)
    assert close(gram, FORMS[form](kernel(built, x, x)))
    assert symmetric(gram, ntk.diag(x), form)


@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["residual", "tied", "other axes", "shared filter", "volume"])
def test_pairs_of_positions_and_gradients_agree(name, form, pairs, monkeypatch):
    monkeypatch.setattr(contraction, "by_pairs", lambda use, form: pairs)
    built, x, z = module(name), rows(name, 4), rows(name, 3, seed=1)
    ntk = EmpiricalNTK(built, outputs=form, method="structured")
    block, square = by_loop(name)
    assert close(ntk(x, z), FORMS[form](block))
    gram = ntk(x)
    assert close(gram, FORMS[form](square))
    assert symmetric(gram, ntk.diag(x), form)


STRUCTURED = {
    "dense": set(),
    "residual": set(),
    "volume": set(),
    "shared filter": set(),
    "tied": {"scale"},
    "tied readout": {"embed.weight"},
    "functional": {"w", "layer.bias"},
    "two inputs": {"table.weight"},
}


@pytest.mark.parametrize("name", STRUCTURED)
def test_what_affine_calls_alone_read_is_structured(name):
    ntk = EmpiricalNTK(module(name))
    structure = ntk._structure(ntk.function.prepare(rows(name, 2)))
    assert set(structure.others) == STRUCTURED[name]
    assert set(structure.structured) == set(ntk.function.values) - STRUCTURED[name]


def test_rows_behind_positions_are_not_taken_for_rows_in_front():
    ntk = EmpiricalNTK(module("other axes"))
    others = ntk._structure(ntk.function.prepare(rows("other axes", 2))).others
    assert {"across.weight", "across.bias"} <= set(others)
    assert "within.weight" not in others
    assert "attention.linear1.weight" not in others


@pytest.mark.parametrize("name", ["tied", "residual", "two inputs"])
@pytest.mark.parametrize("method", METHODS[:3])
def test_parts_are_kernels_of_their_parameters_and_sum_to_the_whole(name, method):
    built, x, z = module(name), rows(name, 4), rows(name, 3, seed=1)
    ntk = EmpiricalNTK(built, outputs="full", method=method)
    parts = ntk.by_parameter(x, z)
    assert list(parts) == [n for n, _ in built.named_parameters()]
    for parameter, part in parts.items():
        alone = EmpiricalNTK(built, parameters=[parameter], outputs="full", method="jacobian")
        assert close(part, alone(x, z))
    assert close(sum(parts.values()), ntk(x, z))
    layers = ntk.by_layer(x)
    assert set(layers) == {n.rpartition(".")[0] for n in parts}
    assert close(sum(layers.values()), ntk(x))


@pytest.mark.parametrize("name", [n for n in MODULES if n != "recurrent"])
def test_operator_multiplies_by_the_kernel(name, monkeypatch):
    built, x, z = module(name), rows(name, 4), rows(name, 3, seed=1)
    operator = EmpiricalNTK(built).operator(x, z)
    dense = by_loop(name)[0].flatten(2).flatten(0, 1).numpy()
    v, u = np.random.default_rng(0).standard_normal((dense.shape[1], 2)), np.ones(len(dense))
    assert operator.shape == dense.shape
    np.testing.assert_allclose(operator @ v, dense @ v, atol=1e-11 * np.abs(dense).max())
    np.testing.assert_allclose(operator.T @ u, dense.T @ u, atol=1e-11 * np.abs(dense).max())


def test_operator_takes_rows_in_pieces():
    built, x = module("residual"), rows("residual", 5)
    operator = EmpiricalNTK(built, memory_budget=1).operator(x)
    assert operator._left.step == 1
    v = np.arange(15.0)
    dense = kernel(built, x, x).flatten(2).flatten(0, 1).numpy()
    np.testing.assert_allclose(operator @ v, dense @ v, rtol=1e-11)


def test_arrays_give_arrays_and_tensors_tensors():
    built, x = module("dense"), rows("dense", 4)
    ntk = EmpiricalNTK(built)
    assert isinstance(ntk(x), torch.Tensor)
    assert isinstance(ntk.diag(x), torch.Tensor)
    for found in (ntk(x.numpy()), ntk(x.numpy(), x.numpy()), ntk.by_layer(x.numpy())["0"]):
        assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(ntk(x.numpy()), ntk(x).numpy())
    assert isinstance(ntk.blocks(x.numpy()), torch.Tensor)


def test_inputs_by_keyword():
    built, (x, kind) = module("two inputs"), rows("two inputs", 4)
    ntk = EmpiricalNTK(built)
    assert torch.equal(ntk({"kind": kind, "x": x}), ntk((x, kind)))


def test_of_a_layer_tree_it_is_the_mean_over_outputs():
    tree = Serial(
        Conv(3, w_std=1.4, b_std=0.3), Activation("relu"), GlobalAvgPool(), Dense(b_std=0.2)
    )
    built = to_module(tree, (2, 5, 4), width=6, n_outputs=3, random_state=0)
    x = torch.randn(4, 2, 5, 4, dtype=torch.float64)
    for method in METHODS:
        assert close(EmpiricalNTK(built, method=method)(x), empirical_ntk(built, x), 1e-12)


GOLDEN = Path(__file__).parents[2] / "golden" / "empirical.npz"


class Erf(nn.Module):
    def forward(self, x):
        return torch.erf(x)


def recorded(name):
    """The network with the recorded weights, which have channels last."""
    data = np.load(GOLDEN)
    built = {
        "dense": lambda: nn.Sequential(
            nn.Linear(5, 7), Erf(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 3)
        ),
        "conv": lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, (3, 2), (2, 1)), Erf(),
            Positions(), nn.Linear(40, 3),
        ),
    }[name]().double()  # fmt: skip
    with torch.no_grad():
        for k, p in enumerate(built.parameters()):
            values = torch.from_numpy(data[f"{name}_p{k}"])
            back = (values.ndim - 1, values.ndim - 2, *range(values.ndim - 2))
            p.copy_(values.permute(back) if p.ndim > 1 else values.flatten())
    x, z = (torch.from_numpy(data[f"{name}_{side}"]) for side in "xz")
    images = [t.movedim(-1, 1) if name == "conv" else t for t in (x, z)]
    return built, *images, torch.from_numpy(data[f"{name}_kernel"]), data[f"{name}_outputs"]


class Positions(nn.Module):
    """Flattens with channels last."""

    def forward(self, x):
        return x.movedim(1, -1).flatten(1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["dense", "conv"])
def test_values_of_neural_tangents(name, method):
    built, x, z, expected, outputs = recorded(name)
    np.testing.assert_allclose(built(x).detach().numpy(), outputs, rtol=1e-12)
    found = EmpiricalNTK(built, outputs="full", method=method)(x, z)
    assert close(found.transpose(1, 2), expected, 1e-13)


# Beside arrays: code that is read for the first time, and what the allocator keeps.
SLACK = 8 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS[:3])
def test_memory_stays_within_the_budget(method):
    torch.manual_seed(0)
    built = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Conv2d(32, 16, 3),
        nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 64), nn.ReLU(), nn.Linear(64, 10),
    ).double()  # fmt: skip
    n, x, budget = 40, torch.randn(40, 1, 12, 12).double(), 48 * 2**20
    ntk = EmpiricalNTK(built, outputs="full", method=method, memory_budget=budget)
    assert 10 * n * ntk.function.n_parameters * 8 > 3 * budget  # gradients of all rows
    ntk(x[:3])
    ctypes.CDLL(None).malloc_trim(0)  # or what was freed before would be taken unseen
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
    before = kilobytes("VmRSS")
    ntk(x)
    assert 1024 * (kilobytes("VmHWM") - before) <= budget + SLACK


def test_parameters_are_chosen():
    built, x = module("residual"), rows("residual", 3)
    found = EmpiricalNTK(built, parameters=["first", "readout.bias"], outputs="full")(x)
    parts = EmpiricalNTK(built, outputs="full").by_parameter(x)
    assert close(found, parts["first.weight"] + parts["first.bias"] + parts["readout.bias"])


def test_training_later_does_not_change_the_kernel():
    built, x = module("dense"), rows("dense", 3)
    ntk = EmpiricalNTK(built)
    before = ntk(x)
    with torch.no_grad():
        built[0].weight.mul_(2)
    assert torch.equal(ntk(x), before)
    assert not close(EmpiricalNTK(built)(x), before, 1e-3)


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.fails = nn.Linear(3, 2), True

    def forward(self, x):
        h = self.layer(x)
        if self.fails:
            raise RuntimeError("too many")
        return h


@pytest.mark.parametrize("name", ["residual", "tied", "broken"])
def test_the_module_is_not_touched(name):
    built = Broken().double() if name == "broken" else module(name)
    x = torch.ones(5, 3).double() if name == "broken" else rows(name, 5)
    built.train(name == "broken")
    calls = []
    built.register_forward_hook(lambda *_: calls.append(1))
    state = {n: (t.data_ptr(), t.clone()) for n, t in built.state_dict(keep_vars=True).items()}
    kinds = {n: type(p) for n, p in built.named_parameters()}
    hooks = {p: len(m._forward_hooks) + len(m._backward_hooks) for p, m in built.named_modules()}
    for method in METHODS[:3]:
        ntk = EmpiricalNTK(built, method=method)
        if name == "broken":
            with pytest.raises(RuntimeError, match="too many"):
                ntk(x)
        else:
            ntk(x), ntk.diag(x), ntk.operator(x) @ np.ones(len(x) * explicit(built, x).shape[1])
    after = built.state_dict(keep_vars=True)
    assert all(
        after[n].data_ptr() == at and torch.equal(after[n], t) for n, (at, t) in state.items()
    )
    assert all(p.grad is None and type(p) is kinds[n] for n, p in built.named_parameters())
    assert hooks == {
        p: len(m._forward_hooks) + len(m._backward_hooks) for p, m in built.named_modules()
    }
    assert built.training == (name == "broken")
    assert calls or name == "broken"  # a hook of the user's runs


class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x) - self.layer(x).mean(0)


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"outputs": "sum"}, ValueError, "outputs must be one of"),
        ({"method": "fast"}, ValueError, "method must be one of"),
        ({"memory_budget": "much"}, ValueError, "memory_budget must be a positive number"),
        ({"memory_budget": 8}, MemoryError, "raise it, take fewer rows"),
        ({"memory_budget": 200}, MemoryError, "of one row and column takes more than"),
    ],
)
def test_bad_arguments(change, error, message):
    with pytest.raises(error, match=message):
        EmpiricalNTK(module("dense"), **change)(rows("dense", 4))


def test_rows_that_meet_are_refused():
    with pytest.raises(ValueError, match="must be functions of their own row"):
        EmpiricalNTK(Centred().double())(torch.randn(4, 3).double())


def test_rows_are_needed():
    with pytest.raises(ValueError, match="at least one row"):
        EmpiricalNTK(module("dense"))(torch.zeros(0, 3))


class Branching(nn.Module):
    """Reads another layer for large inputs."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x):
        return self.a(x) + (self.b(x) if float(x.abs().max()) > 100 else 0)


def test_other_calls_for_other_rows_are_refused():
    ntk = EmpiricalNTK(Branching(), method="structured")
    ntk(torch.ones(3, 3))
    with pytest.raises(ValueError, match="take method='jacobian'"):
        ntk(200 * torch.ones(3, 3))


def test_explain_names_method_reason_tiles_and_memory():
    built = module("tied")
    told = EmpiricalNTK(built, outputs="full", method="structured").explain(rows("tied", 4))
    assert told.startswith("structured: as asked for (jacobian ")
    assert "gradients row by row of scale: read by mul" in told
    assert "all parameters: tiles of 4 rows and columns" in told
    assert told.endswith("MB")
    assert "rows one after another" in EmpiricalNTK(module("recurrent")).explain(
        rows("recurrent", 4)
    )


def test_auto_takes_the_fewest_operations():
    wide = nn.Sequential(
        nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    x = torch.randn(20, 4)
    assert EmpiricalNTK(wide, outputs="full").explain(x).startswith("structured: fewest")
    attention = nn.TransformerEncoderLayer(16, 2, 16, batch_first=True).eval()
    told = EmpiricalNTK(attention, outputs="full").explain(torch.randn(20, 4, 16))
    assert told.startswith("vector_products: fewest")


@pytest.mark.parametrize("method", METHODS[:3])
@pytest.mark.parametrize(
    "mode",
    [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", dtype=torch.bfloat16)],
)
def test_modes_of_the_caller_do_not_count(mode, method):
    torch.manual_seed(0)
    built = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = torch.randn(5, 3)
    expected = kernel(built, x, x).reshape(10, 10)
    with mode():
        ntk = EmpiricalNTK(built, outputs="full", method=method)
        found, squares = ntk(x.clone()), ntk.diag(x)
        product = ntk.operator(x) @ np.ones(10)
    assert not found.requires_grad
    assert close(found.reshape(10, 10), expected, 1e-6)
    assert close(squares.flatten(), expected.diagonal(), 1e-6)
    assert close(torch.from_numpy(product), expected.sum(1), 1e-6)


class Cut(nn.Module):
    """A layer that is called, and whose derivatives do not arrive."""

    def __init__(self):
        super().__init__()
        self.cut, self.out = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.out(self.cut(x).detach())


@pytest.mark.parametrize("method", METHODS)
def test_layers_that_outputs_do_not_depend_on(method):
    built = Cut().double()
    x = torch.randn(4, 3, dtype=torch.float64)
    h = built.cut(x).detach()
    found = EmpiricalNTK(built, outputs="full", method=method)
    assert close(found(x), kernel(built.out, h, h))
    assert not found.by_layer(x)["cut"].any()


def test_threads_leave_the_module_as_it_is():
    built, x = module("dense"), rows("dense", 4)
    own, ntk = dict(built.named_parameters()), EmpiricalNTK(built, method="structured")
    expected = ntk(x)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ntk(x), range(80)))
    assert all(torch.equal(one, expected) for one in found)
    after = dict(built.named_parameters())
    assert list(after) == list(own)
    assert all(after[name] is p for name, p in own.items())


def test_operator_keeps_imaginary_parts():
    operator = EmpiricalNTK(module("dense")).operator(rows("dense", 3))
    v = np.random.default_rng(0).standard_normal((2, operator.shape[1]))
    expected = operator @ v[0] + 1j * (operator @ v[1])
    np.testing.assert_allclose(operator @ (v[0] + 1j * v[1]), expected)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_forward_mode_is_needed():
    built = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)))
    ntk, x = EmpiricalNTK(built, method="vector_products"), torch.randn(2, 3)
    with pytest.raises(NotImplementedError, match="with a method other than 'vector_products'"):
        ntk(x)
    with pytest.raises(NotImplementedError, match="for the matrix"):
        ntk.operator(x) @ np.ones(8)


def test_no_columns():
    ntk, x = EmpiricalNTK(module("dense")), rows("dense", 3)
    assert ntk(x, x[:0]).shape == (3, 0)


def test_one_row_examines_nothing_for_many():
    class Joined(Centred):
        def forward(self, x):
            return self.layer(x) * (1 if len(x) < 2 else x.mean(0).sum())

    x = torch.randn(4, 3)
    for first, then in (((x[:1],), (x,)), ((x[:1],), (x[:1], x))):
        ntk = EmpiricalNTK(Joined())
        with pytest.raises(ValueError, match="must be functions of their own row"):
            ntk(*first), ntk(*then)


def test_other_numbers_of_outputs_for_other_shapes():
    ntk = EmpiricalNTK(nn.Conv1d(1, 2, 2))
    for call in (ntk, ntk.operator, ntk.explain):
        with pytest.raises(ValueError, match="8 outputs for rows of X and 16 for rows of Z"):
            call(torch.randn(3, 1, 5), torch.randn(3, 1, 9))


def test_outputs_that_are_no_numbers():
    with pytest.raises(ValueError, match="NaN or infinite: look for such numbers in the inputs"):
        EmpiricalNTK(nn.Linear(3, 1))(torch.full((4, 3), float("nan")))


class Recomputed(nn.Module):
    def __init__(self, reentrant, affine):
        super().__init__()
        self.first, self.weight = nn.Linear(3, 3), nn.Parameter(torch.ones(3, 2))
        self.reentrant, self.affine = reentrant, affine

    def part(self, h):
        return torch.tanh(h @ self.weight) if not self.affine else self.first(h)

    def forward(self, x):
        h = self.first(x) if self.reentrant or self.affine else x
        return checkpoint(self.part, h, use_reentrant=self.reentrant)


@pytest.mark.parametrize("reentrant, affine", [(True, False), (False, False), (False, True)])
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_checkpoints_are_refused(reentrant, affine):
    built = Recomputed(reentrant, affine)
    with pytest.raises(ValueError, match="switch its checkpointing off"):
        EmpiricalNTK(built)(torch.randn(3, 3))
    assert all(p.grad is None for p in built.parameters())
