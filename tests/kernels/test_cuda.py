"""Kernels on a CUDA device equal those on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ntk_sklearn.kernels import NNGP, NTK, NNGPKernel, NTKKernel
from ntk_sklearn.networks import Convolutional, FullyConnected, ResNet

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
X = np.random.default_rng(0).normal(size=(40, 16))
Z = np.random.default_rng(1).normal(size=(9, 16))
CASES = {
    "dense": (FullyConnected(3), None),
    "erf": (FullyConnected(2, activation="erf"), None),
    "pooled": (Convolutional(3), (1, 4, 4)),
    "resnet": (ResNet((1, 1)), (1, 4, 4)),
    "finite": (FullyConnected(2, width=32, n_networks=2), None),
}
each = pytest.mark.parametrize("case", CASES)
precisions = pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 2e-5)])


def on(device, kind, case, **options):
    network, image_shape = CASES[case]
    return kind(network, image_shape=image_shape, device=device, **options)


def close(value, expected, tolerance):
    assert np.abs(value - expected).max() <= tolerance * np.abs(expected).max()


@each
@precisions
@pytest.mark.parametrize("kind", [NTK, NNGP])
def test_matrices(kind, case, dtype, tolerance):
    cuda = on("cuda", kind, case, dtype=dtype)
    cpu = on("cpu", kind, case)
    close(cuda(X), cpu(X), tolerance)
    close(cuda(X, Z), cpu(X, Z), tolerance)
    close(cuda.diag(X), cpu.diag(X), tolerance)
    np.testing.assert_array_equal(cuda(X), cuda(X).T)


@pytest.mark.parametrize("case", ["dense", "pooled"])
def test_gradients_in_scales(case):
    cuda = on("cuda", NTK, case)(X, eval_gradient=True)[1]
    close(cuda, on("cpu", NTK, case)(X, eval_gradient=True)[1], 1e-12)


def test_tensors_of_the_device_are_accepted():
    kernel = on("cuda:0", NTK, "dense")
    np.testing.assert_array_equal(kernel(torch.tensor(X, device="cuda")), kernel(X))


@pytest.mark.parametrize("case", ["dense", "pooled"])
@pytest.mark.parametrize("kind", [NTKKernel, NNGPKernel])
def test_gpytorch_kernels_and_their_gradients(kind, case):
    network, image_shape = CASES[case]
    found = {}
    for device in ("cpu", "cuda"):
        kernel = kind(network, image_shape=image_shape).double().to(device)
        x = torch.tensor(X[:7], device=device)
        value = kernel(x).to_dense()
        assert value.device.type == device
        value.sum().backward()
        with torch.no_grad():
            tiled = kernel(x).to_dense().cpu()
        gradients = [p.grad.cpu().numpy() for p in kernel.parameters()]
        found[device] = [value.detach().cpu().numpy(), tiled.numpy(), *gradients]
    for cuda, cpu in zip(found["cuda"], found["cpu"], strict=True):
        close(cuda, cpu, 1e-12)
