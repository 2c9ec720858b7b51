"""What these matrices are, and are not: Hessians, expectations over labels, tangent kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fisher_cases import (
    CLASSES,
    LIKELIHOODS,
    LOSSES,
    REAL,
    K,
    N,
    jacobian,
    module_and_inputs,
    outputs_of,
    softmax_hessian,
)
from scipy.linalg import expm
from torch import nn
from torch.func import functional_call, hessian

from ntk_sklearn.finite import (
    BinaryCrossEntropy,
    ConvexLoss,
    EmpiricalFisher,
    FisherOperator,
    GaussNewton,
    SoftmaxCrossEntropy,
    SquaredLoss,
)

CLOSE = {"rtol": 1e-10, "atol": 1e-13}


def hessian_of(module, inputs, rows):
    """Hessian in all parameters of the mean over rows of a function of the outputs."""

    def mean(vector):
        values, at = {}, 0
        for name, p in module.named_parameters():
            values[name] = vector[at : at + p.numel()].view_as(p)
            at += p.numel()
        return rows(functional_call(module, values, (inputs,))).mean()

    start = torch.nn.utils.parameters_to_vector(module.parameters()).detach()
    return hessian(mean)(start).numpy()


@pytest.mark.parametrize("name", LOSSES)
def test_the_hessian_of_a_linear_module_is_gauss_newton(name):
    module, inputs = module_and_inputs("linear")
    loss, y, rows, _ = LOSSES[name]
    F = GaussNewton(module, inputs, loss, y)
    np.testing.assert_allclose(F.dense(), hessian_of(module, inputs, rows), **CLOSE)


@pytest.mark.parametrize(
    "loss, y, by_torch",
    [
        (SquaredLoss((K / 2) ** 0.5), REAL, nn.MSELoss()),
        (SoftmaxCrossEntropy(), CLASSES, nn.CrossEntropyLoss()),
        (ConvexLoss(nn.functional.cross_entropy), CLASSES, nn.CrossEntropyLoss()),
    ],
)
def test_means_are_those_of_torchs_losses(loss, y, by_torch):
    module, inputs = module_and_inputs("linear")
    F = GaussNewton(module, inputs, loss, y)
    full = hessian_of(module, inputs, lambda f: by_torch(f, y))
    np.testing.assert_allclose(F.dense(), full, rtol=1e-9, atol=1e-12)
    gradients = torch.autograd.grad(by_torch(module(inputs), y), list(module.parameters()))
    expected = torch.nn.utils.parameters_to_vector(gradients)
    np.testing.assert_allclose(F.gradient(), expected, **CLOSE)


@pytest.mark.parametrize("name", LOSSES)
def test_the_hessian_of_a_deep_module_is_not(name):
    module, inputs = module_and_inputs("dense")
    loss, y, rows, _ = LOSSES[name]
    full = hessian_of(module, inputs, rows)
    assert np.linalg.norm(GaussNewton(module, inputs, loss, y).dense() - full) > 0.05


# -E log p(y | f), y from the model at f_0
EXPECTED = {
    "squared": lambda f, f0: ((f - f0) ** 2).sum(1) / (2 * 0.7**2),
    "softmax": lambda f, f0: -(f0.softmax(1) * f.log_softmax(1)).sum(1),
    "logistic": lambda f, f0: torch.nn.functional.softplus(f).sum(1) - (f0.sigmoid() * f).sum(1),
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_fisher_is_the_hessian_of_the_expected_negative_log_likelihood(name):
    module, inputs = module_and_inputs("dense")
    f0 = outputs_of(module, inputs).detach()
    full = hessian_of(module, inputs, lambda f: EXPECTED[name](f, f0))
    F = FisherOperator(module, inputs, LOSSES[name][0])
    np.testing.assert_allclose(F.dense(), full, **CLOSE)


def all_labels(name, f):
    """Labels with the probabilities of each, of the model or with its mean and covariance."""
    if name == "softmax":
        return [(torch.full((N,), c), f.softmax(1)[:, c]) for c in range(K)]
    if name == "squared":
        steps = 0.7 * K**0.5 * torch.cat([torch.eye(K), -torch.eye(K)]).double()
        return [(f + step, torch.full((N,), 1 / (2 * K))) for step in steps]
    labels = torch.cartesian_prod(*[torch.arange(2)] * K).double()
    likelihood = lambda y: (y * f.sigmoid() + (1 - y) * (-f).sigmoid()).prod(1)  # noqa: E731
    return [(y.expand(N, K), likelihood(y)) for y in labels]


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_empirical_matrix_of_the_models_labels_is_fisher_on_average(name):
    module, inputs = module_and_inputs("dense")
    loss = LOSSES[name][0]
    labels = all_labels(name, outputs_of(module, inputs).detach())
    mean = sum(
        EmpiricalFisher(module, inputs, loss, y, sample_weight=p).dense() * float(p.sum()) / N
        for y, p in labels
    )
    np.testing.assert_allclose(mean, FisherOperator(module, inputs, loss).dense(), **CLOSE)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_empirical_matrix_of_the_data_differs(name):
    module, inputs = module_and_inputs("dense")
    loss, y, *_ = LOSSES[name]
    F = FisherOperator(module, inputs, loss).dense()
    other = EmpiricalFisher(module, inputs, loss, y).dense()
    assert np.linalg.norm(F - other) > 0.1 * np.linalg.norm(F)
    # not a multiple, either: its rank is lower
    assert np.linalg.matrix_rank(other) <= N < np.linalg.matrix_rank(F)


def test_the_empirical_matrix_vanishes_where_the_labels_are_fitted():
    module, inputs = module_and_inputs("dense")
    f = outputs_of(module, inputs).detach()
    assert not EmpiricalFisher(module, inputs, SquaredLoss(), f).dense().any()
    assert FisherOperator(module, inputs, SquaredLoss(), f).trace() > 1


@pytest.mark.parametrize("sigma", [1.0, 0.3])
def test_squared_loss_shares_the_spectrum_of_the_tangent_kernel_over_n(sigma):
    module, inputs = module_and_inputs("dense")
    J = jacobian(module, inputs).reshape(N * K, -1)
    kernel = np.linalg.eigvalsh(J @ J.T)
    F = FisherOperator(module, inputs, SquaredLoss(sigma))
    assert F.shape == (51, 51)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(F.dense())[-N * K :], kernel / (N * sigma**2), rtol=1e-10
    )
    np.testing.assert_allclose(F.dual.dense(), J @ J.T / (N * sigma**2), **CLOSE)


def test_softmax_has_another_spectrum_than_the_tangent_kernel():
    module, inputs = module_and_inputs("dense")
    J = jacobian(module, inputs)
    F = FisherOperator(module, inputs, SoftmaxCrossEntropy())
    root = principal_root(softmax_hessian(outputs_of(module, inputs).detach()).numpy())
    A = np.einsum("nkl,nlp->nkp", root, J).reshape(N * K, -1)
    ours, theirs = np.linalg.eigvalsh(F.dual.dense()), np.linalg.eigvalsh(A @ A.T / N)
    np.testing.assert_allclose(ours, theirs[N:], rtol=1e-10)
    np.testing.assert_allclose(theirs[:N], 0, atol=1e-15)
    J = J.reshape(N * K, -1)
    kernel = np.linalg.eigvalsh(J @ J.T / N)
    ratios = kernel[N:] / ours
    assert ratios.max() > 1.5 * ratios.min()
    assert np.linalg.matrix_rank(J @ J.T) == N * K
    assert np.linalg.matrix_rank(F.dense()) == N * (K - 1)


def principal_root(S):
    values, vectors = np.linalg.eigh(S)
    # the rounding of a zero would have a root of 1e-8
    roots = np.sqrt(np.where(values > 1e-14, values, 0))
    return np.einsum("nkl,nl,nml->nkm", vectors, roots, vectors)


def test_a_convex_loss_has_the_principal_root_in_its_dual():
    module, inputs = module_and_inputs("dense")
    J, f = jacobian(module, inputs), outputs_of(module, inputs).detach()
    F = GaussNewton(module, inputs, ConvexLoss(hessian=lambda f, y: softmax_hessian(f)))
    A = np.einsum("nkl,nlp->nkp", principal_root(softmax_hessian(f).numpy()), J)
    A = A.reshape(N * K, -1)
    np.testing.assert_allclose(F.dual.dense(), A @ A.T / N, rtol=1e-9, atol=1e-12)
    fisher = FisherOperator(module, inputs, SoftmaxCrossEntropy())
    np.testing.assert_allclose(F.dense(), fisher.dense(), rtol=1e-9, atol=1e-12)


def test_two_classes_of_a_softmax_are_one_of_a_logistic():
    torch.manual_seed(3)
    single = torch.nn.Linear(4, 1).double()
    pair = torch.nn.Sequential(single, torch.nn.ZeroPad1d((1, 0)))
    inputs = torch.randn(N, 4).double()
    of_pair = FisherOperator(pair, inputs, SoftmaxCrossEntropy())
    of_single = FisherOperator(single, inputs, BinaryCrossEntropy())
    np.testing.assert_allclose(of_pair.dense(), of_single.dense(), **CLOSE)
    np.testing.assert_allclose(of_pair.dual.dense(), of_single.dual.dense(), **CLOSE)


def test_small_probabilities_keep_their_digits():
    # logits 0, -40, -80: p = 1, 4e-18, 2e-35, which S = diag p - p p^T cannot hold
    module = torch.nn.Linear(1, K).double()
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.0], [-40.0], [-80.0]]))
        module.bias.zero_()
    F = FisherOperator(module, np.ones((1, 1)), SoftmaxCrossEntropy())
    np.testing.assert_allclose(F.diagonal()[:3], np.exp([-40.0, -40.0, -80.0]), rtol=1e-12)


def test_gramians_of_the_function_and_of_the_static_map():
    """K is the controllability Gramian of f' = J u over one unit of time.

    J^T J is the observability Gramian over one unit of time of theta' = 0 seen as J theta.
    """
    module, inputs = module_and_inputs("dense")
    J = jacobian(module, inputs).reshape(N * K, -1)
    F = FisherOperator(module, inputs, SquaredLoss())
    np.testing.assert_allclose(N * F.dual.dense(), gramian(np.zeros((N * K, N * K)), J), **CLOSE)
    nothing = np.zeros((J.shape[1], J.shape[1]))
    np.testing.assert_allclose(N * F.dense(), gramian(nothing, J.T), **CLOSE)


def gramian(A, B):
    """int_0^1 exp(A t) B B^T exp(A^T t) dt by the block exponential of Van Loan (1978)."""
    n = len(A)
    found = expm(np.block([[-A, B @ B.T], [np.zeros_like(A), A.T]]))
    return found[n:, n:].T @ found[:n, n:]


def test_the_least_energy_of_a_change_is_that_of_the_tangent_kernel():
    module, inputs = module_and_inputs("dense")
    J = jacobian(module, inputs).reshape(N * K, -1)
    kernel = N * FisherOperator(module, inputs, SquaredLoss()).dual.dense()
    change = np.sin(np.arange(N * K))
    u = np.linalg.lstsq(J, change, rcond=None)[0]
    np.testing.assert_allclose(u @ u, change @ np.linalg.solve(kernel, change), rtol=1e-8)
