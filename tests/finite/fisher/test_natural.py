"""Natural gradients through the smaller side against dense solutions in parameter space."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fisher_cases import (
    LIKELIHOODS,
    LOSSES,
    REAL,
    K,
    N,
    gauss_newton,
    jacobian,
    module_and_inputs,
    outputs_of,
)
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ntk_sklearn.finite import (
    ConvexLoss,
    EmpiricalFisher,
    FisherOperator,
    GaussNewton,
    SoftmaxCrossEntropy,
    SquaredLoss,
)

KINDS = ["dense", "few parameters"]


def operator(kind, name, of=GaussNewton, **kwargs):
    module, inputs = module_and_inputs(kind)
    return of(module, inputs, *LOSSES[name][:2], **kwargs)


@pytest.mark.parametrize("damping", [1e-3, 1.0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LOSSES)
def test_damped_is_the_dense_solution(name, kind, damping):
    F = operator(kind, name, sample_weight=np.arange(1.0, N + 1))
    module, inputs = module_and_inputs(kind)
    dense = gauss_newton(module, inputs, LOSSES[name][3], np.arange(1, N + 1) / (N * (N + 1) / 2))
    dense += damping * np.eye(len(dense))
    expected = np.linalg.solve(dense, F.gradient())
    np.testing.assert_allclose(F.natural_gradient(damping), expected, rtol=1e-10, atol=1e-12)
    g = np.random.default_rng(0).standard_normal(len(dense))
    expected = np.linalg.solve(dense, g)
    np.testing.assert_allclose(F.solve(g, damping), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("damping", [1e-3, 1.0])
def test_damped_empirical(damping):
    F = operator("dense", "softmax", EmpiricalFisher)
    expected = np.linalg.solve(F.dense() + damping * np.eye(F.shape[0]), F.gradient())
    np.testing.assert_allclose(F.natural_gradient(damping), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
def test_undamped_is_the_pseudo_inverse(kind, name):
    # few parameters: the row rank is not full, but F is regular but for one scaling symmetry
    F = operator(kind, name)
    expected = np.linalg.pinv(F.dense(), rcond=1e-12, hermitian=True) @ F.gradient()
    found = F.natural_gradient(pinv=True)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(F.solve(F.gradient(), pinv=True), found, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_an_undamped_step_has_the_output_gradient_as_its_curvature(name):
    F = operator("dense", name)
    module, inputs = module_and_inputs("dense")
    *_, rows, hessians = LOSSES[name]
    f = outputs_of(module, inputs).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(rows(f).sum(), f)
    change = jacobian(module, inputs) @ F.natural_gradient()
    curved = np.einsum("nkl,nl->nk", hessians(f.detach()).numpy(), change)
    np.testing.assert_allclose(curved, gradient.numpy(), atol=1e-9)


@pytest.mark.parametrize("damping", [0.01, 1.0])
def test_damped_modes_of_the_tangent_kernel_move_by_a_known_part(damping):
    module, inputs = module_and_inputs("dense")
    J = jacobian(module, inputs).reshape(N * K, -1)
    values, modes = np.linalg.eigh(J @ J.T)
    residual = (outputs_of(module, inputs).detach() - REAL).flatten().numpy()
    F = FisherOperator(module, inputs, SquaredLoss(0.7), REAL)
    moved = modes.T @ J @ F.natural_gradient(damping)
    expected = values / (values + N * 0.7**2 * damping) * (modes.T @ residual)
    np.testing.assert_allclose(moved, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("sigma", [1.0, 0.2])
def test_an_undamped_step_moves_all_outputs_of_a_linear_module_alike(n, sigma):
    torch.manual_seed(1)
    module, X, y = torch.nn.Linear(3, K).double(), torch.randn(n, 3).double(), REAL[:n]
    before, rate = module(X).detach(), 0.3
    F = FisherOperator(module, X, SquaredLoss(sigma), y, sample_weight=np.arange(1, n + 1))
    step = parameters_to_vector(module.parameters()).detach().numpy() - rate * F.natural_gradient()
    vector_to_parameters(torch.from_numpy(step), module.parameters())
    torch.testing.assert_close(module(X) - before, -rate * (before - y), rtol=1e-10, atol=1e-12)


def test_without_full_row_rank_outputs_move_along_the_projection():
    torch.manual_seed(1)
    module, X, y = torch.nn.Linear(2, K).double(), torch.randn(N, 2).double(), REAL
    F = FisherOperator(module, X, SquaredLoss(), y)
    J = jacobian(module, X).reshape(N * K, -1)
    r = (module(X).detach() - y).flatten().numpy()
    np.testing.assert_allclose(J @ F.natural_gradient(), J @ np.linalg.pinv(J) @ r, atol=1e-12)
    assert np.linalg.norm(J @ F.natural_gradient() - r) > 0.1


def test_probabilities_of_a_softmax_move_alike_to_first_order():
    module, inputs = module_and_inputs("dense")
    F = FisherOperator(module, inputs, *LOSSES["softmax"][:2])
    start, p = (
        parameters_to_vector(module.parameters()).detach(),
        module(inputs).softmax(1).detach(),
    )
    labels = torch.eye(K).double()[LOSSES["softmax"][1]]
    off = []
    for rate in (1e-2, 1e-3, 1e-4):
        step = start - rate * torch.from_numpy(F.natural_gradient())
        vector_to_parameters(step, module.parameters())
        change = (module(inputs).softmax(1) - p).detach() / -rate
        off.append(float((change - (p - labels)).abs().max()))
    assert off[1] < 0.2 * off[0]
    assert 0.05 < off[2] / off[1] < 0.2


def test_all_losses_fall_alike_with_the_empirical_matrix():
    F = operator("dense", "softmax", EmpiricalFisher)
    module, inputs = module_and_inputs("dense")
    rows = LOSSES["softmax"][2](outputs_of(module, inputs))
    gradients = torch.stack(
        [parameters_to_vector(torch.autograd.grad(r, list(module.parameters()), retain_graph=True))
         for r in rows]
    )  # fmt: skip
    np.testing.assert_allclose(gradients.numpy() @ F.natural_gradient(), np.ones(N), rtol=1e-9)


@pytest.mark.parametrize("damping", [1e-6, 1e-8, 1e-10])
def test_woodbury_leaves_a_small_residual(damping):
    F = operator("dense", "squared")
    g = np.random.default_rng(1).standard_normal(F.shape[0])
    x = F.solve(g, damping)
    residual = np.linalg.norm(F @ x + damping * x - g)
    # backward stable: no more than the rounding of the product
    assert residual < 10 * np.finfo(float).eps * F.trace() * np.linalg.norm(x)


def test_full_rank_is_asked_for():
    torch.manual_seed(0)
    module, x = torch.nn.Linear(3, K).double(), torch.randn(1, 3).double()
    twice = FisherOperator(module, x.expand(2, 3), SoftmaxCrossEntropy(), [0, 1])
    with pytest.raises(ValueError, match="rank 2 and not full row rank 4: without damping"):
        twice.natural_gradient()
    with pytest.raises(ValueError, match="not full column rank"):
        operator("few parameters", "softmax").natural_gradient()
    with pytest.raises(ValueError, match="rank 12 at most of 51"):
        operator("dense", "softmax").solve(np.ones(51))


def test_gradients_without_curvature_need_damping():
    # Huber's loss is linear beyond 1
    module, inputs = module_and_inputs("dense")
    y = outputs_of(module, inputs).detach() + torch.linspace(-3, 3, N * K).reshape(N, K)
    loss = ConvexLoss(
        lambda f, t: torch.nn.functional.huber_loss(f, t, reduction="sum"),
        lambda f, t: torch.diag_embed(((f - t).abs() < 1).double()),
    )
    F = GaussNewton(module, inputs, loss, y)
    with pytest.raises(ValueError, match="where its Hessian is zero"):
        F.natural_gradient()
    expected = np.linalg.solve(F.dense() + 0.1 * np.eye(F.shape[0]), F.gradient())
    np.testing.assert_allclose(F.natural_gradient(0.1), expected, rtol=1e-10, atol=1e-12)
    least = np.linalg.pinv(F.dense(), rcond=1e-12, hermitian=True) @ F.gradient()
    np.testing.assert_allclose(F.natural_gradient(pinv=True), least, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("damping", [-1.0, np.inf, np.nan, "1"])
def test_damping_is_checked(damping):
    with pytest.raises(ValueError, match="damping must be a number that is not negative"):
        operator("dense", "squared").natural_gradient(damping)


def test_the_shape_of_what_is_solved_for_is_checked():
    with pytest.raises(ValueError, match=r"g must have shape \(51,\), got \(18,\)"):
        operator("dense", "squared").solve(np.ones(18), 0.1)


def test_damping_below_rounding_is_refused():
    torch.manual_seed(0)
    module, x = torch.nn.Linear(3, K).double(), torch.randn(1, 3).double()
    F = FisherOperator(module, x.expand(3, 3), SquaredLoss(), REAL[:3])
    with pytest.raises(ValueError, match="drowns in the rounding"):
        F.natural_gradient(1e-30)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_targets_are_asked_for(name):
    module, inputs = module_and_inputs("dense")
    with pytest.raises(ValueError, match="y is missing: gradients need the targets"):
        FisherOperator(module, inputs, LOSSES[name][0]).natural_gradient(0.1)
