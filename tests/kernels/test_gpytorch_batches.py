"""Batches of inputs and of GPyTorch kernels, against loops."""

from __future__ import annotations

import pytest
import torch

from ntk_sklearn.kernels import NNGPKernel, NTKKernel, _evaluate
from ntk_sklearn.kernels._differentiable import DifferentiableKernel
from ntk_sklearn.networks import Convolutional, FullyConnected

CASES = {
    "dense": (NTKKernel, FullyConnected(2), None),
    "images": (NNGPKernel, Convolutional(1), (1, 2, 2)),
}
each = pytest.mark.parametrize("case", CASES)
W_STD = (0.8, 1.4)


def rows(*shape):
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randn(*shape, 4, generator=generator, dtype=torch.float64)


def make(case, w_std=1.2, **options):
    kind, network, image_shape = CASES[case]
    kernel = kind(network, image_shape=image_shape, **options).double()
    kernel.w_std = torch.tensor(w_std, dtype=torch.float64).reshape(kernel.w_std.shape)
    return kernel


def close(value, expected):
    error = (value - expected).detach().abs().max()
    assert error <= 1e-12 * expected.detach().abs().max()
    assert value.shape == expected.shape


# Batches of inputs


@each
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("batches", [((3,), (3,)), ((3,), ()), ((2, 1), (3,)), ((), (2, 3))])
def test_batches_of_rows_equal_a_loop(case, grad, batches):
    kernel, x, z = make(case), rows(*batches[0], 5), rows(*batches[1], 4)
    batch = torch.broadcast_shapes(*batches)
    pairs = zip(
        x.expand(*batch, 5, 4).reshape(-1, 5, 4),
        z.expand(*batch, 4, 4).reshape(-1, 4, 4),
        strict=True,
    )
    with torch.set_grad_enabled(grad):
        expected = torch.stack([kernel(a, b).to_dense() for a, b in pairs])
        close(kernel(x, z).to_dense(), expected.reshape(*batch, 5, 4))


@each
def test_gram_and_diagonal_of_a_batch(case):
    kernel, x = make(case), rows(3, 5)
    expected = torch.stack([kernel(a).to_dense() for a in x])
    close(kernel(x).to_dense(), expected)
    close(kernel(x, diag=True), expected.diagonal(dim1=-2, dim2=-1))


# Batches of kernels


@each
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("batch", [(), (2,), (3, 2), (3, 1)])
def test_batch_of_kernels_equals_a_loop(case, grad, batch):
    kernel, x, z = make(case, W_STD, batch_shape=torch.Size([2])), rows(*batch, 5), rows(4)
    full = torch.broadcast_shapes(batch, (2,))
    with torch.set_grad_enabled(grad):
        singles = [make(case, w_std) for w_std in W_STD]
        expected = torch.stack(
            [
                single(x.expand(*full, 5, 4)[..., k, :, :], z).to_dense()
                for k, single in enumerate(singles)
            ],
            dim=-3,
        )
        close(kernel(x, z).to_dense(), expected)


def test_batch_of_kernels_learns_each_its_own_scale():
    kernel = make("dense", W_STD, batch_shape=torch.Size([2]))
    kernel(rows(5)).to_dense()[1].sum().backward()
    assert kernel.raw_w_std.grad[0].item() == 0.0
    assert kernel.raw_w_std.grad[1].item() != 0.0


def test_batch_of_input_scales():
    kernel = make("dense", W_STD, batch_shape=torch.Size([2]), ard_num_dims=4)
    kernel.lengthscale = torch.arange(1.0, 9.0).reshape(2, 1, 4)
    single, x = make("dense", W_STD[1]), rows(5)
    close(kernel(x).to_dense()[1], single(x / kernel.lengthscale[1].detach()).to_dense())


@each
@pytest.mark.parametrize("batch", [(), (2,), (5, 2)])
@pytest.mark.parametrize("kernels", [None, 2])
def test_diagonal_of_different_rows_is_that_of_the_cross_block(case, batch, kernels):
    options = {} if kernels is None else {"batch_shape": torch.Size([kernels]), "w_std": W_STD}
    kernel, x, z = make(case, **options), rows(*batch, 5), rows(5).flip(0)
    close(kernel(x, z, diag=True), kernel(x, z).to_dense().diagonal(dim1=-2, dim2=-1))


# Axes that repeat the same memory


@pytest.fixture
def evaluated(monkeypatch):
    """Sizes of the batches of matrices that are really computed."""
    sizes = []

    def counted(function, size):
        return lambda *args, **options: sizes.append(size(*args)) or function(*args, **options)

    monkeypatch.setattr(_evaluate, "matrix", counted(_evaluate.matrix, lambda *_: 1))
    entries = counted(DifferentiableKernel.entries, lambda _, x, *__: len(x))
    monkeypatch.setattr(DifferentiableKernel, "entries", entries)
    return sizes


@each
@pytest.mark.parametrize("grad", [True, False])
def test_expanded_axes_are_computed_once(case, grad, evaluated):
    kernel, x, z = make(case), rows(5), rows(4)
    with torch.set_grad_enabled(grad):
        found = kernel(x.expand(6, 5, 4), z.expand(6, 4, 4)).to_dense()
        assert sum(evaluated) == 1
        close(found, kernel(x, z).to_dense().expand(6, 5, 4))


@pytest.mark.parametrize("grad", [True, False])
def test_only_axes_that_differ_are_computed(grad, evaluated):
    x = rows(3, 1, 5).expand(3, 7, 5, 4)
    with torch.set_grad_enabled(grad):
        assert make("dense")(x).to_dense().shape == (3, 7, 5, 5)
    assert sum(evaluated) == 3


@pytest.mark.parametrize("grad", [True, False])
def test_batch_of_equal_kernels_is_computed_once(grad, evaluated):
    kernel = make("dense").expand_batch(torch.Size([4]))
    with torch.set_grad_enabled(grad):
        assert kernel(rows(5)).to_dense().shape == (4, 5, 5)
    assert sum(evaluated) == 1
