"""Gradients, Hessians and their roots in the outputs; what losses, targets and weights refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fisher_cases import CLASSES, LOSSES, REAL, K, N, module_and_inputs

from ntk_sklearn.finite import (
    BinaryCrossEntropy,
    ConvexLoss,
    EmpiricalFisher,
    FisherOperator,
    GaussNewton,
    SoftmaxCrossEntropy,
    SquaredLoss,
)
from ntk_sklearn.finite.fisher import output_gradient, output_hessian
from ntk_sklearn.finite.fisher.roots import DenseRoot, curvature_root, symmetric_root
from ntk_sklearn.finite.fisher.targets import checked_targets

OUTPUTS = 3 * torch.randn(N, K, generator=torch.Generator().manual_seed(5)).double()


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_and_hessians_are_those_of_torch(name):
    loss, y, rows, _ = LOSSES[name]
    targets = checked_targets(loss, y, OUTPUTS)
    f = OUTPUTS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(rows(f).sum(), f)
    close = {"rtol": 1e-12, "atol": 1e-14}
    torch.testing.assert_close(output_gradient(loss, OUTPUTS, targets), gradient, **close)
    blocks = torch.func.hessian(lambda f: rows(f).sum())(OUTPUTS)
    by_row = torch.stack([blocks[i, :, i] for i in range(N)])
    torch.testing.assert_close(output_hessian(loss, OUTPUTS, targets), by_row, **close)


@pytest.mark.parametrize("name", LOSSES)
def test_roots_are_factors_of_the_hessian(name):
    loss, y, *_ = LOSSES[name]
    targets = checked_targets(loss, y, OUTPUTS)
    S, root = output_hessian(loss, OUTPUTS, targets), curvature_root(loss, OUTPUTS, targets)
    columns = root.apply(torch.eye(root.rank).double()[:, None, :].expand(-1, N, -1))
    R = columns.permute(1, 2, 0)
    close = {"rtol": 1e-10, "atol": 1e-15}
    torch.testing.assert_close(R @ R.mT, S, **close)
    u = REAL.cos()
    torch.testing.assert_close(root.adjoint(u), torch.einsum("nkr,nk->nr", R, u), **close)
    gradient = output_gradient(loss, OUTPUTS, targets)
    torch.testing.assert_close(root.apply(root.solve(gradient)), gradient, rtol=1e-8, atol=1e-12)
    assert root.take([0, 2]).rank == root.rank == (K - 1 if name == "softmax" else K)


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
def test_roots_of_confident_rows_keep_all_digits(order):
    """Wherever the class is that has all but 1e-42 of the probability."""
    logits = torch.tensor([[100.0, 3.0, -100.0]]).double()[:, order]
    root = curvature_root(SoftmaxCrossEntropy(), logits, None)
    R = root.apply(torch.eye(2).double()[:, None, :])[:, 0].T
    p = torch.exp(logits[0] - 100.0)  # up to 1e-42
    S = torch.diag(p) - torch.outer(p, p)
    S[order.index(0), order.index(0)] = p[order.index(1)]  # 1 - p
    torch.testing.assert_close(R @ R.T, S, rtol=1e-14, atol=0.0)


def test_roots_of_singular_matrices_are_cut_off():
    S = torch.tensor([[[2.0, 2.0], [2.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]]).double()
    R = symmetric_root(S)
    torch.testing.assert_close(R, S / 2, rtol=1e-14, atol=1e-15)
    solved = DenseRoot(R).solve(torch.tensor([[1.0, 0.0], [1.0, 0.0]]).double())
    torch.testing.assert_close(solved, torch.tensor([[0.25, 0.25], [0, 0]]).double())


def of(loss, y=None, kind=GaussNewton, **kwargs):
    module, inputs = module_and_inputs("dense")
    return kind(module, inputs, loss, y, **kwargs)


def test_losses_that_are_not_convex_are_refused():
    with pytest.raises(ValueError, match=r"not convex in the outputs of row 0.*eigenvalue -2"):
        of(ConvexLoss(lambda f, y: -(f**2).sum()), REAL)


@pytest.mark.parametrize(
    "loss, y, message",
    [
        (SquaredLoss(), REAL[:, 0], r"y must have the shape \(6, 3\) of the outputs, got \(6,\)"),
        (SquaredLoss(), REAL * np.inf, "y has infinite or undefined"),
        (SoftmaxCrossEntropy(), CLASSES + 1, "6 classes 0 to 2, as the module has 3 outputs"),
        (SoftmaxCrossEntropy(), CLASSES[:4], "y must hold 6 classes"),
        (SoftmaxCrossEntropy(), REAL, "probabilities"),
        (SoftmaxCrossEntropy(), CLASSES.double(), "y must have the shape"),
        (BinaryCrossEntropy(), REAL, "between 0 and 1"),
        (ConvexLoss(lambda f, y: (f - y).square().sum()), REAL[:2], "y must have 6 rows"),
        (ConvexLoss(lambda f, y: (f - y).square().sum()), None, "y is missing: the Hessian"),
        (ConvexLoss(hessian=lambda f, y: f), REAL, r"Hessians of shape \(6, 3, 3\)"),
        (ConvexLoss(hessian=lambda f, y: f[:, :, None] * np.nan * f[:, None]), None, "infinite"),
    ],
)  # fmt: skip
def test_targets_that_do_not_fit_are_refused(loss, y, message):
    with pytest.raises(ValueError, match=message):
        of(loss, y)


@pytest.mark.parametrize(
    "weight, message",
    [
        (np.ones(4), r"sample_weight must have shape \(6,\)"),
        (-np.ones(N), "not negative"),
        (np.zeros(N), "not zero throughout"),
        (np.full(N, np.nan), "must be finite"),
    ],
)
def test_weights_that_are_none_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        of(SquaredLoss(), sample_weight=weight)


@pytest.mark.parametrize("sigma", [0, -1.0, np.inf, np.nan, "1"])
def test_sigma_is_checked(sigma):
    with pytest.raises(ValueError, match="sigma must be a positive number"):
        SquaredLoss(sigma)


def test_losses_are_checked():
    with pytest.raises(ValueError, match="needs function"):
        ConvexLoss()
    with pytest.raises(TypeError, match="loss must be a SquaredLoss"):
        of("squared")
    with pytest.raises(ValueError, match="has none: use GaussNewton"):
        of(LOSSES["convex"][0], REAL, FisherOperator)
    with pytest.raises(ValueError, match="y is missing"):
        of(SquaredLoss(), None, EmpiricalFisher)
    with pytest.raises(ValueError, match="gradients need its function"):
        of(ConvexLoss(hessian=LOSSES["convex by hessian"][0].hessian), REAL).gradient()
    with pytest.raises(ValueError, match="memory_budget must be a positive number of bytes"):
        of(SquaredLoss(), memory_budget=0)


def test_one_output_has_no_softmax():
    module = torch.nn.Linear(2, 1).double()
    with pytest.raises(ValueError, match="use BinaryCrossEntropy"):
        FisherOperator(module, np.ones((3, 2)), SoftmaxCrossEntropy())
    assert FisherOperator(module, np.ones((3, 2)), BinaryCrossEntropy(), [0, 1, 1]).gradient().any()


def test_infinite_outputs_are_refused():
    module, inputs = module_and_inputs("dense")
    with pytest.raises(ValueError, match="infinite or undefined outputs"):
        FisherOperator(module, inputs * np.nan, SquaredLoss())


def test_inputs_without_rows_are_refused():
    module, inputs = module_and_inputs("dense")
    with pytest.raises(ValueError, match="X has no rows"):
        FisherOperator(module, inputs[:0], SquaredLoss())


def test_probabilities_are_targets_of_the_softmax():
    p = torch.eye(K).double()[CLASSES]
    mixed = 0.25 * p + 0.75 / K
    ours = of(SoftmaxCrossEntropy(), mixed).gradient()
    parts = [of(SoftmaxCrossEntropy(), torch.full((N,), c)).gradient() for c in range(K)]
    expected = 0.25 * of(SoftmaxCrossEntropy(), CLASSES).gradient() + 0.25 * sum(parts)
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-15)
