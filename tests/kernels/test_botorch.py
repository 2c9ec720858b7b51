"""Bayesian optimization with BoTorch; skips where it is not installed."""

from __future__ import annotations

import pytest
import torch
from gpytorch.kernels import ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood

from ntk_sklearn.kernels import NNGPKernel, NTKKernel
from ntk_sklearn.networks import FullyConnected

botorch = pytest.importorskip("botorch", reason="BoTorch is not installed")
acquisition = pytest.importorskip("botorch.acquisition")
optim = pytest.importorskip("botorch.optim")

BOUNDS = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)


def rows(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, 2, generator=generator, dtype=torch.float64)


def single_task(kernel):
    x = rows(15)
    x[0] = 0.0  # corners of the unit cube are zero rows
    y = 1.0 - 4.0 * (x - torch.tensor([0.3, 0.6])).square().sum(-1, keepdim=True)
    return botorch.models.SingleTaskGP(x, y, covar_module=ScaleKernel(kernel))


@pytest.mark.parametrize(
    "kernel",
    [NNGPKernel(FullyConnected(2, activation="erf")), NTKKernel(FullyConnected(1), ard_num_dims=2)],
    ids=["nngp", "ntk with input scales"],
)
def test_model_fits_and_optimizes_an_acquisition_function(kernel):
    torch.manual_seed(0)
    model = single_task(kernel)
    x, y = model.train_inputs[0], model.train_targets
    evidence = ExactMarginalLogLikelihood(model.likelihood, model)
    before = evidence(model(x), y).item()
    botorch.fit.fit_gpytorch_mll(evidence)
    assert evidence(model.train()(x), y).item() > before + 0.1

    improvement = acquisition.LogExpectedImprovement(model.eval(), best_f=y.max())
    candidate, value = optim.optimize_acqf(improvement, BOUNDS, q=1, num_restarts=3, raw_samples=32)
    assert ((candidate >= 0) & (candidate <= 1)).all()
    with torch.no_grad():
        assert value >= improvement(rows(200, 1, seed=1)).max()


@pytest.mark.parametrize("kind", [NNGPKernel, NTKKernel])
def test_posterior_of_candidate_batches_equals_a_loop(kind):
    model = single_task(kind(FullyConnected(2))).eval()
    x = rows(5, 3, seed=1)  # BoTorch expands the training rows to 5 batches
    found = model.posterior(x)
    loop = [model.posterior(batch) for batch in x]
    for name in ("mean", "variance"):
        expected = torch.stack([getattr(p, name) for p in loop])
        torch.testing.assert_close(getattr(found, name), expected, rtol=1e-9, atol=1e-9)
