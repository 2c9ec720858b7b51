"""Kernels J D^-1 J^T against explicit Jacobians, and their meaning against real steps."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from optimizer_cases import NEW, X, Y, network, trained
from torch import nn

from ntk_sklearn.finite import (
    Diagonal,
    EmpiricalNTK,
    gauss_newton,
    gauss_newton_kernel,
    identity,
    learning_rates,
    preconditioned_kernel,
    preconditioner,
    sign_kernel,
)
from ntk_sklearn.finite.tangent import Jacobian, ModuleFunction


def jacobian(module, x):
    """J (n k, P), by one backward pass per output."""
    parameters = list(module.parameters())
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(o, parameters, retain_graph=True)])
        for o in module(x).flatten()
    ]
    return torch.stack(rows)


def matrix(blocks):
    return blocks.flatten(2).flatten(0, 1)


MODULE = network()
FUNCTION = ModuleFunction(MODULE)
P = FUNCTION.n_parameters
JX, JN = jacobian(MODULE, X), jacobian(MODULE, NEW)
D = torch.rand(P, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.1


@pytest.mark.parametrize("budget", [1, 3 * 2 * 2 * P * 8, 2**30])
def test_the_kernel_is_that_of_explicit_jacobians(budget):
    given = {"preconditioner": Diagonal(1.0 / D), "memory_budget": budget}
    gram = matrix(preconditioned_kernel(FUNCTION, X, **given))
    cross = matrix(preconditioned_kernel(MODULE, X, NEW, **given))
    torch.testing.assert_close(gram, (JX / D) @ JX.T, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(cross, (JX / D) @ JN.T, rtol=1e-12, atol=1e-12)
    assert torch.equal(gram, gram.T)


def test_pieces_of_rows_stay_within_the_budget(monkeypatch):
    held, row = [], 2 * P * 8
    dense = Jacobian.dense
    monkeypatch.setattr(Jacobian, "dense", lambda J: held.append(len(J)) or dense(J))
    preconditioned_kernel(
        FUNCTION, X, preconditioner=identity(FUNCTION), memory_budget=f"{12 * row} B"
    )
    assert 1 < max(held) <= 4  # a piece of rows, one of columns, and one on its way through D


@pytest.mark.parametrize("kernel", [partial(preconditioned_kernel, preconditioner=Diagonal(D)),
                                    sign_kernel])  # fmt: skip
def test_arrays_give_arrays_and_tensors_tensors(kernel):
    expected = kernel(MODULE, X, NEW)
    assert isinstance(expected, torch.Tensor)
    assert isinstance(kernel(MODULE, X.numpy(), NEW), torch.Tensor)
    found = kernel(FUNCTION, X.numpy(), NEW.numpy())
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, expected.numpy())


def test_d_of_one_is_gradient_descent():
    found = preconditioned_kernel(FUNCTION, X, NEW, preconditioner=identity(MODULE))
    torch.testing.assert_close(found, EmpiricalNTK(MODULE).blocks(X, NEW), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["adam", "rmsprop", "adagrad"])
def test_kernels_of_optimizers_are_positive(kind):
    module, optimizer = trained(kind)
    function = ModuleFunction(module)
    D = preconditioner(optimizer, function)
    values = torch.linalg.eigvalsh(matrix(preconditioned_kernel(function, X, preconditioner=D)))
    assert values[0] > -1e-12 * values[-1]
    assert values[-1] > 0


def test_training_ends_at_the_smallest_change_in_the_norm_of_d():
    """More parameters than rows; two learning rates, real steps until the targets are fitted."""
    model, x, y = nn.Linear(3, 1).double(), X[:2], Y[:2, :1]
    start, before = ModuleFunction(model), model(NEW).detach()
    left = y - model(x).detach()
    rates = [{"params": [model.weight]}, {"params": [model.bias], "lr": 0.5}]
    optimizer = torch.optim.SGD(rates, lr=0.05)
    for _ in range(3000):
        optimizer.zero_grad()
        (0.5 * (model(x) - y).square().sum()).backward()
        optimizer.step()
    D = preconditioner(optimizer, start)
    J = torch.cat([x, torch.ones(2, 1)], dim=1).double()
    smallest = D.root(torch.linalg.pinv(D.root(J)) @ left.squeeze())
    moved = ModuleFunction(model)
    moved = moved.flatten(moved.values) - start.flatten(start.values)
    torch.testing.assert_close(moved, smallest, rtol=1e-8, atol=1e-10)
    K, cross = (
        preconditioned_kernel(start, rows, x, preconditioner=D)[:, 0, :, 0] for rows in (x, NEW)
    )
    expected = before + cross @ torch.linalg.solve(K, left)
    torch.testing.assert_close(model(NEW).detach(), expected, rtol=1e-8, atol=1e-10)


def test_other_numbers_of_parameters_are_refused():
    with pytest.raises(ValueError, match="preconditioner has 3 parameters, the function 50"):
        preconditioned_kernel(FUNCTION, X, preconditioner=Diagonal(torch.ones(3)))
    with pytest.raises(ValueError, match="entries <= 0"):
        Diagonal(torch.tensor([1.0, -1.0]))


# Learning rates by name


def test_rates_by_name_and_submodule():
    found = learning_rates(FUNCTION, {"0": 0.1, "0.bias": 0.0, "2.weight": 3.0}, default=0.5)
    expected = torch.cat([torch.full((size,), rate) for size, rate in
                          [(24, 0.1), (8, 0.0), (16, 3.0), (2, 0.5)]])  # fmt: skip
    torch.testing.assert_close(found.inverse, expected.double())
    assert found.diagonal[24:32].isinf().all()


@pytest.mark.parametrize("rates, message", [
    ({"1": 0.1}, r"rates name \['1'\]"), ({"0": -1.0}, "finite and >= 0"),
    ({"0": float("nan")}, "finite and >= 0"),
])  # fmt: skip
def test_bad_rates_are_refused(rates, message):
    with pytest.raises(ValueError, match=message):
        learning_rates(FUNCTION, rates)


# Natural gradient and damped Gauss-Newton: n = 6 samples of 2 outputs


K = (JX @ JX.T).detach().numpy()
CROSS, BETWEEN = (JN @ JX.T).numpy(), (JN @ JN.T).numpy()


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_gauss_newton_is_the_large_side_inverted(damping):
    fisher = (JX.T @ JX / 6 + damping * torch.eye(P, dtype=torch.float64)).numpy()
    inverse = np.linalg.inv(fisher) if damping else np.linalg.pinv(fisher, rcond=1e-12)
    jx, jn = JX.numpy(), JN.numpy()
    blocks = {
        (): gauss_newton_kernel(K, 6, damping),
        ("rows",): gauss_newton_kernel(K, 6, damping, rows=CROSS),
        ("rows", "columns"): gauss_newton_kernel(
            K, 6, damping, rows=CROSS, columns=CROSS, between=BETWEEN
        ),
    }
    np.testing.assert_allclose(blocks[()], jx @ inverse @ jx.T, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(blocks["rows",], jn @ inverse @ jx.T, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(blocks["rows", "columns"], jn @ inverse @ jn.T, rtol=1e-8, atol=1e-8)


def test_undamped_with_full_row_rank_all_modes_decay_alike():
    values = np.linalg.eigvalsh(K)
    assert values[-1] > 100 * values[0] > 0  # gradient descent's do not
    np.testing.assert_allclose(gauss_newton_kernel(K, 6), 6 * np.eye(12), atol=1e-9)


def test_undamped_without_full_row_rank_it_is_a_projection():
    again = torch.cat([X, X[:1]])
    J = jacobian(MODULE, again)
    found = gauss_newton_kernel((J @ J.T).numpy(), 7) / 7
    np.testing.assert_allclose(found @ found, found, atol=1e-9)
    assert np.trace(found) == pytest.approx(12.0, abs=1e-9)  # of 14 rows


def test_damped_modes_decay_at_their_own_rates():
    values, vectors = np.linalg.eigh(K)
    found = vectors.T @ gauss_newton_kernel(K, 6, 0.3) @ vectors
    np.testing.assert_allclose(found, np.diag(values / (values / 6 + 0.3)), atol=1e-10)


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_gauss_newton_as_a_preconditioner(damping):
    found = gauss_newton(FUNCTION, X, damping)
    v = torch.randn(3, P, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fisher = JX.T @ JX / 6 + damping * torch.eye(P, dtype=torch.float64)
    inverse = torch.linalg.inv(fisher) if damping else torch.linalg.pinv(fisher, rtol=1e-12)
    torch.testing.assert_close(found.apply(v), v @ inverse, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(found.root(found.root(v)), found.apply(v), rtol=1e-7, atol=1e-7)
    kernel = matrix(preconditioned_kernel(FUNCTION, X, preconditioner=found))
    expected = torch.from_numpy(gauss_newton_kernel(K, 6, damping))
    torch.testing.assert_close(kernel, expected, rtol=1e-8, atol=1e-8)


def test_a_step_of_natural_gradient_leaves_all_residuals_in_proportion():
    """On the module itself: f - y becomes (1 - lr) (f - y), to first order."""
    found = gauss_newton(FUNCTION, X)
    residual = FUNCTION(FUNCTION.values, (X,)) - Y
    errors = []
    for rate in (1e-3, 1e-4):
        slope = Jacobian(FUNCTION, FUNCTION.values, (X,)).vjp(residual / 6)  # of the mean loss
        theta = FUNCTION.flatten(FUNCTION.values) - rate * found.apply(slope)
        after = FUNCTION(FUNCTION.unflatten(theta), (X,)) - Y
        errors.append((((after - residual) / rate + residual).norm() / residual.norm()).item())
    assert errors[1] < 0.15 * errors[0] < 0.1


@pytest.mark.parametrize("call", [
    lambda: gauss_newton_kernel(K, 6, -1.0), lambda: gauss_newton(FUNCTION, X, -1.0),
    lambda: gauss_newton_kernel(K, 6, 0.1, rows=CROSS, columns=CROSS),
    lambda: gauss_newton_kernel(K, 6, columns=CROSS), lambda: gauss_newton_kernel(K, 6, np.nan),
    lambda: gauss_newton(FUNCTION, X, np.inf),
])  # fmt: skip
def test_bad_damping_and_missing_blocks_are_refused(call):
    with pytest.raises(ValueError, match=r"damping must be|columns need rows"):
        call()


@pytest.mark.parametrize("given, told", [
    ({"kernel": np.triu(np.ones((3, 3)))}, "kernel must be finite and symmetric"),
    ({"kernel": np.full((3, 3), np.nan)}, "kernel must be finite and symmetric"),
    ({"kernel": np.diag([1.0, -0.5, 2.0])}, "kernel must be positive semi-definite"),
    ({"kernel": np.ones((3, 4))}, "kernel must be a square matrix"),
    ({"n_samples": 0}, "n_samples must be"), ({"n_samples": 2.5}, "n_samples must be"),
    ({"rows": np.ones((2, 4))}, r"rows must have shape \(m, 3\), got \(2, 4\)"),
    ({"rows": np.ones((2, 3)), "columns": np.ones(3)}, "columns must have shape"),
    ({"rows": np.ones((2, 3)), "columns": np.ones((1, 3)), "between": np.ones((1, 2)),
      "damping": 1.0}, r"between must have shape \(2, 1\)"),
])  # fmt: skip
def test_matrices_that_are_no_kernel_are_refused(given, told):
    with pytest.raises(ValueError, match=told):
        gauss_newton_kernel(**{"kernel": np.eye(3), "n_samples": 3} | given)


# Sign descent


def test_signs_of_explicit_gradients():
    found = matrix(sign_kernel(FUNCTION, X, NEW))
    torch.testing.assert_close(found, JX @ JN.sign().T, rtol=1e-12, atol=1e-12)
    found = matrix(sign_kernel(MODULE, X, symmetric=True))
    torch.testing.assert_close(found, JX.sign() @ JX.sign().T, rtol=1e-12, atol=1e-12)


def test_products_with_signs_are_no_kernel():
    A = matrix(sign_kernel(FUNCTION, X))
    assert (A - A.T).norm() > 0.1 * A.norm()
    # parallel gradients of different length: a = |g|, b = |h| and (a + b) / 2 > sqrt(a b) between
    part = matrix(
        sign_kernel(nn.Linear(3, 1, bias=False), torch.tensor([[1.0, 2, -1], [10, 20, -10]]))
    )
    torch.testing.assert_close(part, torch.tensor([[4.0, 4], [40, 40]]))
    assert torch.linalg.eigvalsh(part + part.T)[0] < 0
    S = matrix(sign_kernel(FUNCTION, X, symmetric=True))
    assert torch.equal(S, S.T)
    assert torch.linalg.eigvalsh(S)[0] > -1e-12 * S.norm()


@pytest.mark.parametrize("y", [-3.0, 0.5])
def test_a_step_of_sign_descent_on_one_example(y):
    """The change has the sign, not the size, of the residual."""
    for rate in (1e-4, 1e-5):
        module = nn.Sequential(network(), nn.Linear(2, 1).double())
        A = sign_kernel(module, NEW, X[:1])[:, 0, 0, 0]
        before, residual = module(NEW).detach()[:, 0], (module(X[:1]) - y).squeeze()
        (0.5 * residual**2).backward()
        with torch.no_grad():
            for p in module.parameters():
                p -= rate * p.grad.sign()
        change = module(NEW).detach()[:, 0] - before
        expected = -rate * residual.sign() * A
        assert (change - expected).norm() < 100 * rate * expected.norm()
