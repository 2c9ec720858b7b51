"""Parameters, state and refusals of the GPyTorch kernels."""

from __future__ import annotations

import copy
import pickle

import gpytorch
import numpy as np
import pytest
import torch
from gpytorch.priors import LogNormalPrior
from gpytorch_kernels import CASES, TREE, make, relative, rows

from ntk_sklearn.kernels import NTK, NNGPKernel, NTKKernel
from ntk_sklearn.networks import Convolutional, FullyConnected, ResNet

each = pytest.mark.parametrize("case", CASES)
X, Z = rows(7), rows(4, seed=1)


def test_scales_that_are_not_zero_are_learnable():
    names = dict(make("dense ntk").named_parameters())
    assert set(names) == {"raw_w_std", "raw_b_std", "raw_readout_w_std"}
    assert set(dict(make("tree").named_parameters())) == {
        f"raw_layers_{name}" for name in ("0_w_std", "0_b_std", "2_w_std", "4_w_std", "4_b_std")
    }


def test_scales_are_set_by_name_property_or_path():
    kernel, tree = NTKKernel(FullyConnected(2)), NTKKernel(TREE)
    kernel.w_std = 0.7
    kernel.initialize(b_std=0.3)
    tree.set_scale("layers.2.w_std", 0.4)
    assert kernel.w_std.item() == pytest.approx(0.7)
    assert kernel.scales["b_std"].item() == pytest.approx(0.3)
    assert tree.scales["layers.2.w_std"].item() == pytest.approx(0.4)
    with pytest.raises(ValueError, match=r"no scale 'readout_b_std'; .*'w_std'"):
        kernel.set_scale("readout_b_std", 1.0)


def test_scales_can_have_priors():
    kernel = NTKKernel(FullyConnected(1))
    kernel.register_prior("b_std_prior", LogNormalPrior(0.0, 1e-6), "b_std")
    kernel.sample_from_prior("b_std_prior")
    assert kernel.b_std.item() == pytest.approx(1.0, abs=1e-4)


def test_state_of_another_branch_scale_or_shape_of_filters_is_refused():
    state = NTKKernel(ResNet((1,))).state_dict()
    for other in (ResNet((1,), branch_scale=0.5), ResNet((1,), filter=5)):
        with pytest.raises(RuntimeError, match="belongs to another network"):
            NTKKernel(other).load_state_dict(state)


@pytest.mark.parametrize("network", [FullyConnected(2), ResNet((2, 1)), TREE])
def test_state_brings_the_scales(network):
    source, target = NNGPKernel(network), NNGPKernel(network)
    for name in source.scales:
        source.set_scale(name, 0.77)
    target.load_state_dict(source.state_dict())
    found = [value.item() for value in target.scales.values()]
    assert found == pytest.approx([0.77] * len(found))


@each
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda k: pickle.loads(pickle.dumps(k))])
def test_copies_compute_the_same(case, copied):
    kernel = make(case)
    assert torch.equal(copied(kernel)(X).to_dense(), kernel(X).to_dense())


# Finite width and refusals


def test_finite_width_equals_the_scikit_kernel_and_learns_nothing():
    network = FullyConnected(2, width=8, n_networks=3, random_state=4)
    kernel = NTKKernel(network)
    assert not list(kernel.parameters())
    np.testing.assert_array_equal(kernel(X).to_dense(), NTK(network)(X))
    assert relative(kernel(X, Z, diag=False).to_dense(), torch.tensor(NTK(network)(X, Z))) < 1e-12
    with pytest.raises(RuntimeError, match="no gradients"):
        kernel(X.clone().requires_grad_()).to_dense()


def test_last_dimension_as_batch_is_refused():
    with pytest.raises(NotImplementedError, match="last_dim_is_batch"):
        NTKKernel().forward(X, X, last_dim_is_batch=True)


def test_rows_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match="X has 6 features"):
        NTKKernel(Convolutional(1), image_shape=(1, 2, 2))(X).to_dense()
    with pytest.raises(ValueError, match="image_shape"):
        NTKKernel(Convolutional(1))(X).to_dense()


def test_network_must_be_one():
    with pytest.raises(TypeError, match="network must be None, a preset"):
        NTKKernel("relu")


def test_kernel_is_not_stationary():
    assert not gpytorch.kernels.ScaleKernel(NTKKernel(ard_num_dims=3)).is_stationary
