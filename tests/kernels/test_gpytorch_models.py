"""GPyTorch models that train with our kernels."""

from __future__ import annotations

import math

import gpytorch
import pytest
import torch
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import ScaleKernel
from gpytorch_kernels import rows

from ntk_sklearn.kernels import NNGPKernel, NTKKernel
from ntk_sklearn.networks import Convolutional, FullyConnected


class Model(gpytorch.models.ExactGP):
    def __init__(self, x, y, likelihood, kernel):
        super().__init__(x, y, likelihood)
        self.mean_module = gpytorch.means.ConstantMean()
        self.covar_module = ScaleKernel(kernel)

    def forward(self, x):
        return MultivariateNormal(self.mean_module(x), self.covar_module(x))


@pytest.fixture
def exact():
    """GPyTorch's settings under which it solves by Cholesky factorization."""
    with gpytorch.settings.fast_computations(False, False, False):
        yield


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(
    "kernel",
    [
        NTKKernel(FullyConnected(2), ard_num_dims=6),
        NNGPKernel(Convolutional(1), image_shape=(1, 2, 3)),
    ],
    ids=["dense", "images"],
)
def test_model_trains_and_predicts(kernel):
    x, likelihood = rows(30), gpytorch.likelihoods.GaussianLikelihood()
    y = torch.sin(x[:, 0]) + x[:, 1]
    model = Model(x, y, likelihood, kernel).double()
    evidence = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.1), []
    for _ in range(15):
        optimizer.zero_grad()
        loss = -evidence(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    assert all(math.isfinite(p.grad.abs().sum()) for p in model.parameters())
    with torch.no_grad():
        z = rows(6, seed=1)
        found = model.eval()(z)
    likelihood.eval()
    kernel, noise = model.covar_module, likelihood.noise.detach() * torch.eye(30)
    solve = torch.linalg.solve(kernel(x).to_dense().detach() + noise, y - model.mean_module(x))
    mean = model.mean_module(z) + kernel(z, x).to_dense() @ solve
    torch.testing.assert_close(found.mean, mean.detach(), rtol=1e-8, atol=1e-8)
