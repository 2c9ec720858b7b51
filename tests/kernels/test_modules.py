"""Kernels of torch modules for scikit-learn and GPyTorch, alone and in expressions."""

from __future__ import annotations

import copy
import pickle

import gpytorch
import numpy as np
import pytest
import torch
from modules_as_networks import blocks, convolutional, dense
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC
from torch import nn

from ntk_sklearn.backends import ModuleEvaluator
from ntk_sklearn.kernels import (
    NNGP,
    NTK,
    Added,
    Averaged,
    DepthAveraged,
    Mixture,
    Multiplied,
    NNGPKernel,
    Normalized,
    NTKKernel,
)
from ntk_sklearn.networks import FullyConnected, Linearized

rng = np.random.default_rng(5)
X, Z = rng.normal(size=(8, 3)), rng.normal(size=(5, 3))
MODULE = dense(2)
y = np.sin(X[:, 0]) + X[:, 1]


def mean(module, rows, columns):
    return np.einsum("nama->nm", blocks(module, rows, columns)) / blocks(module, X, X).shape[1]


def close(found, expected, rtol=1e-10):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


# scikit-learn.


def test_the_mean_over_outputs():
    for network in (MODULE, Linearized(MODULE), Linearized(MODULE, outputs="mean")):
        kernel = NTK(network)
        close(kernel(X), mean(MODULE, X, X))
        close(kernel(X, Z), mean(MODULE, X, Z))
        close(kernel.diag(X), mean(MODULE, X, X).diagonal())


def test_all_pairs_of_outputs():
    kernel = NTK(Linearized(MODULE, outputs="full"))
    expected = blocks(MODULE, X, Z).reshape(16, 10)
    close(kernel(X, Z), expected)
    out = np.empty((16, 10))
    assert kernel.matrix(X, Z, out=out) is out
    close(out, expected)
    with pytest.raises(ValueError, match=r"shape of the matrix, \(16, 16\)"):
        kernel.matrix(X, out=np.empty((8, 8)))
    close(kernel.diag(X), blocks(MODULE, X, X).reshape(16, 16).diagonal())
    assert "Gram of 16 x 16" in kernel.explain(X)


def test_small_tiles_make_the_same_matrix(monkeypatch):
    monkeypatch.setattr(ModuleEvaluator, "tile_side", lambda *_: 5)
    done, small = [], NTK(Linearized(MODULE, outputs="full"))
    found = small.matrix(X, progress=lambda *at: done.append(at))
    assert done[-1] == (10, 10)
    close(found, blocks(MODULE, X, X).reshape(16, 16))


def test_named_parameters_and_images():
    images, module = rng.normal(size=(4, 1, 2, 2)), convolutional(1)
    kernel = NTK(Linearized(module, parameters=["3"]))
    module[0].requires_grad_(False)
    expected = blocks(module, images, images).reshape(4, 4)
    close(kernel(images), expected)
    close(NTK(module, image_shape=(1, 2, -1))(images.reshape(4, 4)), expected)
    assert NTK(module, dtype="float32")(images).dtype == np.float32
    close(NTK(module, dtype="float32")(images), expected, rtol=1e-5)


def test_the_kernel_has_no_hyperparameters():
    kernel = NTK(MODULE)
    assert kernel.theta.shape == (0,)
    assert kernel.hyperparameters == []
    K, slopes = kernel(X, eval_gradient=True)
    close(K, mean(MODULE, X, X))
    assert slopes.shape == (8, 8, 0)
    assert (2.0 * kernel + WhiteKernel()).theta.shape == (2,)


def test_copies_have_modules_of_their_own():
    module = dense(2)
    kernel = NTK(module)
    expected = kernel(X)
    copies = [clone(kernel), copy.deepcopy(kernel), pickle.loads(pickle.dumps(kernel))]
    with torch.no_grad():
        module[2].weight.add_(1.0)
    for copied in copies:
        np.testing.assert_array_equal(copied(X), expected)
    close(kernel(X), mean(module, X, X))
    assert np.abs(kernel(X) - expected).max() > 0.1


def test_modules_by_their_parameters():
    kernel = NTK(MODULE).set_params(network__outputs="full")
    assert kernel.network == Linearized(MODULE, outputs="full")
    assert kernel != NTK(MODULE)
    assert NTK(MODULE) == NTK(MODULE)
    assert kernel.get_params()["network__parameters"] is None


def test_learners_of_scikit_learn():
    noise = WhiteKernel(0.1, noise_level_bounds="fixed")
    gp = GaussianProcessRegressor(1.0 * NTK(MODULE) + noise, alpha=0.0).fit(X, y)
    amplitude = np.exp(gp.kernel_.theta)[0]
    system = amplitude * mean(MODULE, X, X) + 0.1 * np.eye(8)
    close(gp.predict(Z), amplitude * mean(MODULE, Z, X) @ np.linalg.solve(system, y), 1e-6)
    ridge = KernelRidge(kernel=NTK(MODULE), alpha=0.5).fit(X, y)
    system = mean(MODULE, X, X) + 0.5 * np.eye(8)
    close(ridge.predict(Z), mean(MODULE, Z, X) @ np.linalg.solve(system, y))
    given = SVC(kernel="precomputed").fit(mean(MODULE, X, X), y > 0)
    svc = SVC(kernel=NTK(MODULE)).fit(X, y > 0)
    close(svc.decision_function(Z), given.decision_function(mean(MODULE, Z, X)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("outputs", ["mean", "full"])
def test_modules_are_copied_to_the_device_of_the_kernel(outputs):
    network = Linearized(MODULE, outputs=outputs)
    on_cpu, on_gpu = (NTK(network, device=device) for device in ("cpu", "cuda"))
    close(on_gpu(X, Z), on_cpu(X, Z))
    close(on_gpu.diag(X), on_cpu.diag(X))
    close(NTKKernel(MODULE)(torch.from_numpy(X).cuda()).to_dense().cpu().numpy(), NTK(MODULE)(X))
    assert next(MODULE.parameters()).device.type == "cpu"


# Expressions.


def test_expressions_of_modules():
    one, tree = dense(1), FullyConnected(1)
    K = mean(MODULE, X, Z)
    own = [mean(MODULE, rows, rows).diagonal() for rows in (X, Z)]
    close(NTK(Normalized(MODULE))(X, Z), K / np.sqrt(np.outer(*own)))
    summed = NTK(Added([MODULE, one, tree], weights=[1.0, 0.5, 2.0]))
    close(summed(X, Z), K + 0.5 * mean(one, X, Z) + 2.0 * NTK(tree)(X, Z))
    close(summed.diag(X), summed(X).diagonal())
    assert "module: ntk of Linearized(Sequential)" in summed.explain(X)


def test_averages_move_both_arguments_and_follow_training():
    module, shifts = dense(1), [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    kernel = NTK(Averaged(module, shifts))
    assert "both arguments (networks of a finite width" in kernel.explain(X)

    def expected():
        return np.mean([mean(module, X[:, g], Z[:, h]) for g in shifts for h in shifts], axis=0)

    close(kernel(X, Z), expected())
    with torch.no_grad():
        module[0].weight.mul_(2.0)
    close(kernel(X, Z), expected())


# GPyTorch.


@pytest.mark.parametrize("network", [MODULE, Normalized(MODULE)], ids=["module", "expression"])
def test_gpytorch_agrees(network):
    kernel, x, z = NTKKernel(network), torch.from_numpy(X), torch.from_numpy(Z)
    assert list(kernel.parameters()) == []
    close(kernel(x, z).to_dense().numpy(), NTK(network)(X, Z))
    close(kernel(x, diag=True).numpy(), NTK(network).diag(X))
    close(kernel(x.float()).to_dense().numpy(), NTK(network)(X), 1e-5)
    batch = torch.stack([x, 2.0 * x])
    close(kernel(batch, z).to_dense()[1].numpy(), NTK(network)(2.0 * X, Z))


def test_gpytorch_kernels_own_their_module():
    module = dense(1)
    kernels = [NTKKernel(module), NTKKernel(Normalized(module))]
    before = [kernel(torch.from_numpy(X)).to_dense() for kernel in kernels]
    with torch.no_grad():
        module[0].weight.add_(1.0)
    for kernel, expected in zip(kernels, before, strict=True):
        assert torch.equal(kernel(torch.from_numpy(X)).to_dense(), expected)
    kernels[0].load_state_dict(copy.deepcopy(kernels[0]).state_dict())
    with pytest.raises(RuntimeError, match="belongs to another network"):
        NTKKernel(module).load_state_dict(kernels[0].state_dict())


def test_a_gpytorch_model_trains_and_predicts():
    class Model(gpytorch.models.ExactGP):
        def __init__(self, x, y, likelihood):
            super().__init__(x, y, likelihood)
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(NTKKernel(MODULE))

        def forward(self, x):
            covariance = self.covar_module(x)
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), covariance)

    x, z, likelihood = (
        torch.from_numpy(X),
        torch.from_numpy(Z),
        gpytorch.likelihoods.GaussianLikelihood(),
    )
    with gpytorch.settings.fast_computations(False, False, False):
        model = Model(x, torch.from_numpy(y), likelihood).double()
        evidence = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss = -evidence(model(x), torch.from_numpy(y))
            loss.backward()
            optimizer.step()
        model.eval()
        found = model(z).mean.detach().numpy()
    amplitude = model.covar_module.outputscale.item()
    system = amplitude * mean(MODULE, X, X) + likelihood.noise.item() * np.eye(8)
    close(found, amplitude * mean(MODULE, Z, X) @ np.linalg.solve(system, y), 1e-6)


# Refusals.


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x, z):
        return self.layer(x + z)


@pytest.mark.parametrize(
    "make, kind, message",
    [
        (lambda: NNGP(MODULE)(X), TypeError, r"networks\.from_module\(module\)"),
        (lambda: NNGPKernel(MODULE), TypeError, r"networks\.from_module\(module\)"),
        (lambda: NNGP(Added([MODULE, None]))(X), TypeError, "no NNGP"),
        (lambda: NTK(Multiplied([MODULE, None]))(X), TypeError, "no NNGP"),
        (lambda: NTK(DepthAveraged(MODULE))(X), TypeError, "takes a preset"),
        (lambda: NTK(Mixture([MODULE, None]))(X), ValueError, "take Added"),
        (
            lambda: NTK(Normalized(Linearized(MODULE, outputs="full")))(X),
            ValueError,
            "outputs='mean'",
        ),
        (
            lambda: NTKKernel(Linearized(MODULE, outputs="full"))(torch.ones(2, 3)).to_dense(),
            ValueError,
            "outputs='mean'",
        ),
        (
            lambda: NTKKernel(MODULE)(torch.ones(2, 3, requires_grad=True)).to_dense(),
            RuntimeError,
            "no gradients in their inputs",
        ),
        (lambda: NTK(Linearized(None))(X), TypeError, r"must be a torch\.nn\.Module"),
        (lambda: NTK(TwoInputs())(X), TypeError, "missing 1 required positional argument"),
        (lambda: NTK(MODULE[0])(X, X[:, :2]), ValueError, "2 features"),
        (lambda: NTK(nn.Linear(4, 1))(X), ValueError, "cannot read rows of shape"),
        (lambda: NTK(nn.Tanh())(X), ValueError, "no parameters to train"),
        (lambda: NTK(MODULE, backend="reference")(X), ValueError, "given parameters"),
        (lambda: NTK(MODULE, backend="modul")(X), ValueError, "'module'"),
    ],
)
def test_refusals(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
