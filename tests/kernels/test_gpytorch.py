"""Values and gradients of the GPyTorch kernels."""

from __future__ import annotations

import pytest
import torch
from gpytorch_kernels import CASES, make, relative, rows, twin
from tight_budgets import tight_budget

from ntk_sklearn.backends import ReferenceEvaluator
from ntk_sklearn.kernels import _evaluate

each = pytest.mark.parametrize("case", CASES)
X, Z = rows(7), rows(4, seed=1)


# Values


@each
@pytest.mark.parametrize("grad", [True, False])
def test_matrices_equal_those_of_the_scikit_kernel(case, grad):
    kernel, expected = make(case), twin(case)
    with torch.set_grad_enabled(grad):
        gram, cross = kernel(X).to_dense(), kernel(X, Z).to_dense()
    assert gram.requires_grad == grad
    assert relative(gram, torch.tensor(expected(X))) < 1e-12
    assert relative(cross, torch.tensor(expected(X, Z))) < 1e-12


@each
@pytest.mark.parametrize("grad", [True, False])
def test_diagonal_is_that_of_the_gram(case, grad):
    with torch.set_grad_enabled(grad):
        kernel = make(case)
        assert relative(kernel(X, diag=True), kernel(X).to_dense().diagonal()) < 1e-13


@each
def test_evaluation_without_gradients_goes_by_tiles_to_the_same_matrix(case, monkeypatch):
    budget = tight_budget(*CASES[case][1:], (7, 7))
    kernel, calls, fill = make(case, memory_budget=budget), [], ReferenceEvaluator.tile
    monkeypatch.setattr(_evaluate, "EVALUATORS", (ReferenceEvaluator(),))
    monkeypatch.setattr(ReferenceEvaluator, "tile", lambda *a: calls.append(a) or fill(*a))
    with torch.no_grad():
        found = kernel(X).to_dense()
    assert len(calls) > 1
    assert relative(found, make(case)(X).to_dense()) < 1e-12


@each
def test_same_memory_in_two_tensors_is_the_gram(case):
    kernel, gram = make(case), make(case)(X).to_dense()
    other = X.view(7, 6)  # as GPyTorch's slices of the training data
    assert other is not X
    assert torch.equal(kernel(X, other).to_dense(), gram)
    assert relative(kernel(X, X.clone()).to_dense(), gram) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("grad", [True, False])
def test_precision_is_that_of_the_rows(dtype, grad):
    kernel, x = make("dense ntk").to(dtype), X.to(dtype)
    with torch.set_grad_enabled(grad):
        assert kernel(x).to_dense().dtype == kernel(x, diag=True).dtype == dtype
        assert relative(kernel(x).to_dense().double(), torch.tensor(twin("dense ntk")(X))) < 2e-5


# Gradients


@each
def test_gradients_in_scales_agree_with_finite_differences(case):
    kernel, step = make(case), 1e-4
    weight = torch.randn(7, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def loss():
        return (kernel(X).to_dense() * weight).sum()

    loss().backward()
    assert list(kernel.parameters())
    for name, parameter in kernel.named_parameters():
        found = []
        for move in (step, -2 * step):
            parameter.data += move
            found.append(loss().item())
        parameter.data += step
        expected = (found[0] - found[1]) / (2 * step)
        assert parameter.grad.item() == pytest.approx(expected, rel=1e-6), name


@each
def test_gradients_in_rows_agree_with_finite_differences(case):
    kernel, x, z = make(case), X[:3].clone().requires_grad_(), Z[:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, z: kernel(x, z).to_dense(), (x, z))
    assert torch.autograd.gradcheck(lambda x: kernel(x).to_dense(), (x,))
    assert torch.autograd.gradcheck(lambda x: kernel(x, diag=True), (x,))


def test_input_scales_divide_the_rows():
    kernel, plain = make("dense nngp", ard_num_dims=6), make("dense nngp")
    kernel.lengthscale = torch.arange(1.0, 7.0)
    value = kernel(X, Z).to_dense()
    scale = kernel.lengthscale.detach()
    assert relative(value, plain(X / scale, Z / scale).to_dense()) < 1e-14
    value.sum().backward()
    assert (kernel.raw_lengthscale.grad != 0).all()
