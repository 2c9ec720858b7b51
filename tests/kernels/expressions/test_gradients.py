"""Derivatives of expressions, and their GPyTorch kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ntk_sklearn.kernels import (
    NNGP,
    NTK,
    Averaged,
    DepthAveraged,
    Mixture,
    Multiplied,
    MyrtleCompositional,
    NNGPKernel,
    Normalized,
    NTKKernel,
    _differentiable,
    _evaluate,
    horizontal_flip,
)
from ntk_sklearn.networks import Convolutional, FullyConnected

rng = np.random.default_rng(7)
X, Z = rng.normal(size=(5, 8)), rng.normal(size=(3, 8))
IMAGE = (2, 2, 2)
RELU, ERF = FullyConnected(2, b_std=0.3), FullyConnected(1, activation="erf")
IMAGES, EVEN = Convolutional(1), Convolutional(1, filter=2)
REVERSED = [np.arange(8), np.arange(8)[::-1]]
CASES = {
    "normalized": Normalized(RELU),
    "mixture": Mixture([RELU, Normalized(IMAGES)], weights=[0.4, 1.5]),
    "multiplied": Multiplied([RELU, ERF]),
    "depths": DepthAveraged(ERF, depths=(1, 2)),
    "averaged": Averaged(RELU, REVERSED),
    "averaged images": Averaged(IMAGES, horizontal_flip()),
    "both arguments": Normalized(Averaged(EVEN, horizontal_flip())),
}
each = pytest.mark.parametrize("expression", CASES.values(), ids=CASES)
KINDS = [(NTK, NTKKernel), (NNGP, NNGPKernel)]


def free(kernel):
    return [h.name for h in kernel.hyperparameters if not h.fixed]


@each
def test_slopes_are_those_of_differences(expression, monkeypatch):
    monkeypatch.setattr(_evaluate, "side_within", lambda *_: 3)  # tiles on and off the diagonal
    kernel, step = NTK(expression, image_shape=IMAGE), 1e-5
    K, slopes = kernel(X, eval_gradient=True)
    np.testing.assert_allclose(K, kernel(X), rtol=1e-11)
    for k in range(len(kernel.theta)):
        ahead, behind = kernel.theta.copy(), kernel.theta.copy()
        ahead[k], behind[k] = ahead[k] + step, behind[k] - step
        up, down = (kernel.clone_with_theta(theta)(X) for theta in (ahead, behind))
        numeric = (up - down) / (2.0 * step)
        np.testing.assert_allclose(slopes[..., k], numeric, atol=1e-8 * np.abs(K).max() + 1e-8)


@each
def test_contraction_of_the_slopes(expression, monkeypatch):
    monkeypatch.setattr(_differentiable, "_SMALL", 0.0)
    monkeypatch.setattr(_evaluate, "side_within", lambda *_: 3)
    kernel = NNGP(expression, image_shape=IMAGE)
    weights = rng.normal(size=(5, 5))
    weights = weights + weights.T
    slopes = kernel(X, eval_gradient=True)[1]
    found, _ = kernel.of_network("nngp").contracted_gradient(X, torch.tensor(weights), free(kernel))
    expected = np.einsum("ij,ijk->k", weights, slopes)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


@each
@pytest.mark.parametrize(("kind", "torch_kind"), KINDS, ids=["ntk", "nngp"])
def test_gpytorch_kernel_has_the_same_values(expression, kind, torch_kind):
    torch.set_default_dtype(torch.float64)
    try:
        kernel = torch_kind(expression, image_shape=IMAGE)
    finally:
        torch.set_default_dtype(torch.float32)
    plain, x, z = kind(expression, image_shape=IMAGE), torch.tensor(X), torch.tensor(Z)
    K, C = plain(X), plain(X, Z)
    tolerance = {"rtol": 1e-10, "atol": 1e-12}
    with torch.no_grad():
        np.testing.assert_allclose(kernel(x).to_dense(), K, **tolerance)
        np.testing.assert_allclose(kernel(x, z).to_dense(), C, **tolerance)
        np.testing.assert_allclose(kernel(x, diag=True), np.diag(K), **tolerance)
        np.testing.assert_allclose(kernel(x[:3], z, diag=True), np.diag(C[:3]), **tolerance)
        batch = torch.stack([x, 2.0 * x])
        np.testing.assert_allclose(kernel(batch).to_dense()[1], plain(2.0 * X), **tolerance)


@pytest.mark.parametrize("name", ["normalized", "mixture", "averaged images", "both arguments"])
def test_gpytorch_gradients_in_rows_and_scales(name):
    kernel = NNGPKernel(CASES[name], image_shape=IMAGE).double()
    x, z = torch.tensor(X[:2]), torch.tensor(Z[:1])

    def call(rows, *raw):
        values = dict(zip((n for n, _ in kernel.named_parameters()), raw, strict=True))
        found = torch.func.functional_call(kernel, values, (rows, z))
        return found.to_dense()

    leaves = [x, *(p.detach().clone() for p in kernel.parameters())]
    assert torch.autograd.gradcheck(call, [leaf.requires_grad_() for leaf in leaves])


def test_state_of_another_expression_is_refused():
    kernel = NTKKernel(Normalized(RELU))
    kernel.load_state_dict(NTKKernel(Normalized(FullyConnected(2, w_std=2.0))).state_dict())
    assert kernel.scales["network.w_std"].item() == pytest.approx(2.0)
    with pytest.raises(RuntimeError, match="another network"):
        kernel.load_state_dict(NTKKernel(Normalized(ERF)).state_dict())
    with pytest.raises(RuntimeError, match="another network"):
        kernel.load_state_dict(NTKKernel(Mixture([RELU])).state_dict())


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (Mixture([RELU], weights=[-1.0]), "1 positive numbers"),
        (Mixture([FullyConnected(1, w_std=-1.0)]), "_std must be finite"),
        (MyrtleCompositional(activation="exponential", gamma=-1.0), "gamma must be"),
    ],
)
def test_gpytorch_checks_values_when_it_is_made(expression, message):
    with pytest.raises(ValueError, match=message):
        NNGPKernel(expression)


def test_gpytorch_refuses_what_scikit_learn_s_kernel_refuses():
    with pytest.raises(ValueError, match="has no tangent kernel"):
        NTKKernel(MyrtleCompositional(), image_shape=IMAGE)(torch.tensor(X)).to_dense()
    with pytest.raises(ValueError, match="ard_num_dims"):
        NTKKernel(Averaged(RELU, REVERSED), ard_num_dims=8)
