"""GPyTorch models with our kernels, and how far their posteriors are from dense algebra."""

from __future__ import annotations

from typing import Any

import gpytorch
import torch
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import ScaleKernel
from torch import Tensor

from ntk_sklearn.networks import FullyConnected

NOISE = 1e-4


class Model(gpytorch.models.ExactGP):
    def __init__(self, x: Tensor, y: Tensor, likelihood: Any, kernel: Any) -> None:
        super().__init__(x, y, likelihood)
        self.mean_module = gpytorch.means.ZeroMean()
        self.covar_module = ScaleKernel(kernel)

    def forward(self, x: Tensor) -> MultivariateNormal:
        return MultivariateNormal(self.mean_module(x), self.covar_module(x))


def exact_model(kind: type, n: int) -> tuple[Model, Tensor]:
    """A model of n rows that is ready to predict, and rows to predict."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n + 10, 8, generator=generator, dtype=torch.float64)
    likelihood = gpytorch.likelihoods.GaussianLikelihood().double()
    likelihood.noise = NOISE
    model = Model(x[:n], torch.sin(x[:n].sum(-1)), likelihood, kind(FullyConnected(1)))
    return model.double().eval(), x[n:]


def posterior_error(kind: type, n: int) -> float:
    """The largest error of mean and variance with the documented setting, relative to each."""
    model, z = exact_model(kind, n)
    x, y, kernel = model.train_inputs[0], model.train_targets, model.covar_module
    with torch.no_grad(), gpytorch.settings.max_cholesky_size(2000):
        found = model(z)
        K, cross = kernel(x).to_dense(), kernel(z, x).to_dense()
        noisy = K + NOISE * torch.eye(n, dtype=x.dtype)
        solved = torch.linalg.solve(noisy, torch.column_stack([y, cross.T]))
        variance = kernel(z, diag=True) - (cross * solved[:, 1:].T).sum(-1)
        pairs = ((found.mean, cross @ solved[:, 0]), (found.variance, variance))
        return max(float((f - e).abs().max() / e.abs().max()) for f, e in pairs)
