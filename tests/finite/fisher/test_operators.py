"""Products, diagonal and trace of Gauss-Newton matrices against explicit Jacobians."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fisher_cases import (
    LIKELIHOODS,
    LOSSES,
    MODULES,
    N,
    by_loop,
    gauss_newton,
    module_and_inputs,
    outputs_of,
)
from scipy.sparse.linalg import LinearOperator

from ntk_sklearn.finite import EmpiricalFisher, FisherOperator, GaussNewton, ModuleFunction

WEIGHTS = np.array([1.0, 0.5, 2.0, 0.0, 1.5, 1.0])
CLOSE = {"rtol": 1e-10, "atol": 1e-13}


def case(kind, name, of=GaussNewton, **kwargs):
    module, inputs = module_and_inputs(kind)
    loss, y, rows, hessians = LOSSES[name]
    return of(module, inputs, loss, y, **kwargs), module, inputs, rows, hessians


def check(F, explicit):
    """All ways to read a matrix A^T A give the explicit one, and the dual its spectrum."""
    V = np.random.default_rng(0).standard_normal((len(explicit), 3))
    np.testing.assert_allclose(F.dense(), explicit, **CLOSE)
    np.testing.assert_allclose(F.matmat(V), explicit @ V, **CLOSE)
    np.testing.assert_allclose(F.H @ V[:, :1], explicit @ V[:, :1], **CLOSE)
    np.testing.assert_allclose(F.T.matvec(V[:, 0]), explicit @ V[:, 0], **CLOSE)
    np.testing.assert_allclose(F.diagonal(), explicit.diagonal(), **CLOSE)
    np.testing.assert_allclose([F.trace(), F.dual.trace()], explicit.trace(), **CLOSE)
    dual = F.dual.dense()
    np.testing.assert_allclose(F.dual.diagonal(), dual.diagonal(), **CLOSE)
    np.testing.assert_allclose(F.dual @ np.eye(len(dual)), dual, **CLOSE)
    least = min(len(dual), len(explicit))
    ours, theirs = np.linalg.eigvalsh(dual)[::-1], np.linalg.eigvalsh(explicit)[::-1]
    np.testing.assert_allclose(ours[:least], theirs[:least], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(np.r_[ours[least:], theirs[least:]], 0, atol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_each_loss(name, weighted):
    weights = WEIGHTS if weighted else np.ones(N)
    kwargs = {"sample_weight": WEIGHTS} if weighted else {}
    F, module, inputs, _, hessians = case("dense", name, **kwargs)
    check(F, gauss_newton(module, inputs, hessians, weights / weights.sum()))


# 2,400 and 20,000 bytes are four of the six rows of products, and of gradients; rows one by one
# where they are mapped by vmap, and where they are not
SMALL = [("dense", 1), ("recurrent", 1), ("dense", 2_400), ("dense", 20_000)]
PIECES = [*SMALL, *((kind, 20_000) for kind in MODULES if kind != "dense")]


@pytest.mark.parametrize("kind, budget", [*PIECES, *((kind, 2**30) for kind in MODULES)])
def test_each_module_in_pieces_of_any_size(kind, budget):
    F, module, inputs, _, hessians = case(kind, "softmax", FisherOperator, memory_budget=budget)
    check(F, gauss_newton(module, inputs, hessians, np.full(N, 1 / N)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_the_empirical_fisher_matrix_is_that_of_the_gradients(name, weighted):
    weights = WEIGHTS if weighted else np.ones(N)
    F, module, inputs, rows, _ = case("dense", name, EmpiricalFisher, sample_weight=weights)
    g = by_loop(rows(outputs_of(module, inputs)), module)
    shares = weights / weights.sum()
    check(F, np.einsum("i,ip,iq->pq", shares, g, g))
    assert F.dual.shape == (N, N)
    np.testing.assert_allclose(F.gradient(), shares @ g, **CLOSE)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_that_of_backward(name):
    F, module, inputs, rows, _ = case("dense", name, sample_weight=WEIGHTS)
    loss = torch.from_numpy(WEIGHTS) @ rows(outputs_of(module, inputs)) / WEIGHTS.sum()
    np.testing.assert_allclose(F.gradient(), by_loop(loss, module)[0], **CLOSE)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_integer_weights_count_rows(name):
    module, inputs = module_and_inputs("dense")
    loss, y, *_ = LOSSES[name]
    counts = torch.tensor([1, 2, 0, 3, 1, 1])
    repeated = FisherOperator(
        module, inputs.repeat_interleave(counts, 0), loss, y.repeat_interleave(counts, 0)
    )
    weighted = FisherOperator(module, inputs, loss, y, sample_weight=counts)
    np.testing.assert_allclose(weighted.dense(), repeated.dense(), **CLOSE)
    np.testing.assert_allclose(weighted.gradient(), repeated.gradient(), **CLOSE)


def test_inputs_may_have_names():
    F, module, (x, z), *_ = case("two inputs", "softmax")
    named = GaussNewton(module, {"z": z.numpy(), "x": x.numpy()}, F.loss, F.targets)
    np.testing.assert_array_equal(named.dense(), F.dense())
    np.testing.assert_array_equal(named @ np.ones(F.shape[0]), F @ np.ones(F.shape[0]))


def test_functions_of_modules_are_taken_as_they_are():
    F, module, inputs, *_ = case("dense", "softmax", parameters=["2"], memory_budget="2 KB")
    function = ModuleFunction(module, ["2"])
    found = GaussNewton(function, inputs, F.loss, F.targets)
    assert found.function is function
    np.testing.assert_allclose(found.dense(), F.dense(), **CLOSE)
    with pytest.raises(ValueError, match="has its own parameters and dtype"):
        GaussNewton(function, inputs, F.loss, parameters=["0"])


def test_selected_parameters_are_a_block():
    F, module, inputs, _, hessians = case("dense", "softmax", parameters=["2"])
    everything = gauss_newton(module, inputs, hessians, np.full(N, 1 / N))
    np.testing.assert_allclose(F.dense(), everything[30:, 30:], **CLOSE)


def test_scipy_takes_them_as_linear_operators():
    F, *_ = case("dense", "squared")
    assert isinstance(F, LinearOperator)
    assert isinstance(F.dual, LinearOperator)
    doubled = (2 * F) @ np.ones(F.shape[0])
    np.testing.assert_allclose(doubled, 2 * F.dense().sum(1), **CLOSE)


def test_single_precision_stays_single():
    F, module, inputs, _, hessians = case("dense", "softmax", dtype=torch.float32)
    explicit = gauss_newton(module, inputs, hessians, np.full(N, 1 / N))
    assert F.dtype == F.dense().dtype == F.matvec(np.ones(F.shape[0])).dtype == np.float32
    np.testing.assert_allclose(F.dense(), explicit, rtol=1e-5, atol=1e-6)
    assert F.top_eigenpairs(2).values.dtype == np.float32


def test_the_module_is_not_touched():
    module, inputs = module_and_inputs("two inputs")
    before = {name: t.clone() for name, t in module.state_dict().items()}
    F = FisherOperator(module, inputs, *LOSSES["softmax"][:2])
    F.trace()
    F.natural_gradient(0.1)
    assert all(torch.equal(t, before[name]) for name, t in module.state_dict().items())
