"""Hyperparameters of the scikit-learn kernels, their gradients, and kernels as objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from tight_budgets import tight_budget

from ntk_sklearn.backends import ReferenceEvaluator, layout, mirrored
from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.kernels._network import free_scales, tree
from ntk_sklearn.networks import (
    Activation,
    Conv,
    Convolutional,
    Dense,
    Flatten,
    FullyConnected,
    ResNet,
    Serial,
    residual,
)
from ntk_sklearn.recursion import pair_state, propagate

rng = np.random.default_rng(1)
X = rng.normal(size=(6, 9))
X[4], X[5] = X[1], -0.5 * X[2]  # coincident and antiparallel rows
IMAGE = (1, 3, 3)
DENSE = Serial(Dense(1.3, 0.2), Activation("relu"), Dense(1.1), Activation("erf"), Dense(0.9, 0.1))
BLOCK = residual(Serial(Activation("relu"), Conv(3, 1.2, 0.3)))
IMAGES = Serial(Conv(2, 1.3), BLOCK, Activation("gelu"), Flatten(), Dense(0.8, 0.1))
READOUT = {"readout_w_std": (0.1, 10.0), "readout_b_std": (0.1, 10.0)}
KERNELS = [
    NTK(FullyConnected(2)),
    NNGP(FullyConnected(3, activation="erf", readout_b_std=0.2), scale_bounds=READOUT),
    NTK(ResNet((1, 1), filter=None)),
    NTK(DENSE),
    NNGP(DENSE),
    NTK(Convolutional(2), image_shape=IMAGE),
    NNGP(ResNet((1, 1)), image_shape=IMAGE),
    NTK(IMAGES, image_shape=IMAGE),
]
each = pytest.mark.parametrize("kernel", KERNELS, ids=str)


def names(kernel):
    return [h.name for h in kernel.hyperparameters if not h.fixed]


# Which scales are hyperparameters


def test_preset_ties_its_scales_and_fixes_zeros():
    kernel = NTK(FullyConnected(2, w_std=1.5, b_std=0.3))
    assert names(kernel) == ["w_std", "b_std"]
    np.testing.assert_array_equal(kernel.theta, np.log([1.5, 0.3]))
    assert names(NTK(FullyConnected(b_std=0.0))) == ["w_std"]


def test_scale_of_the_readout_is_fixed_unless_it_is_given_bounds():
    kernel = NTK(FullyConnected(readout_w_std=2.0), scale_bounds={"readout_w_std": (0.1, 10.0)})
    assert names(kernel) == ["w_std", "b_std", "readout_w_std"]
    np.testing.assert_array_equal(kernel.theta[2], np.log(2.0))
    np.testing.assert_array_equal(kernel.bounds[2], np.log([0.1, 10.0]))


def test_tree_has_one_scale_per_layer_by_path():
    expected = ["layers.0.w_std", "layers.1.branches.0.layers.1.w_std"]
    expected += ["layers.1.branches.0.layers.1.b_std", "layers.4.w_std", "layers.4.b_std"]
    assert names(NTK(IMAGES)) == expected


def test_finite_width_has_no_hyperparameters():
    kernel = NTK(FullyConnected(2, width=8, n_networks=2))
    assert kernel.n_dims == 0
    assert kernel(X, eval_gradient=True)[1].shape == (6, 6, 0)


def test_default_bounds():
    weights, biases = np.log([0.3, 3.0]), np.log([0.01, 10.0])
    np.testing.assert_array_equal(NTK().bounds, [weights, biases])
    assert names(NTK(DENSE))[1] == "layers.0.b_std"
    np.testing.assert_array_equal(NTK(DENSE).bounds[1], biases)


def test_mapping_changes_some_bounds():
    kernel = NTK(scale_bounds={"w_std": (1.0, 2.0), "b_std": "fixed"})
    assert names(kernel) == ["w_std"]
    np.testing.assert_array_equal(kernel.bounds, np.log([[1.0, 2.0]]))


def test_fixed_scales_leave_nothing_to_optimize():
    kernel = NTK(scale_bounds="fixed")
    assert kernel.theta.shape == kernel.bounds.shape == (0,)
    K, gradient = kernel(X, eval_gradient=True)
    assert gradient.shape == (6, 6, 0)
    np.testing.assert_array_equal(K, NTK()(X))


@pytest.mark.parametrize("bounds", [{"depth": (1, 2)}, {"readout_b_std": (0.1, 1.0)}, "free", 3])
def test_bounds_of_what_is_no_scale_are_refused(bounds):
    with pytest.raises(ValueError, match="scale_bounds"):
        _ = NTK(scale_bounds=bounds).theta


# Setting them


@each
def test_theta_of_a_copy_leaves_the_network_as_it_is(kernel):
    network, before = kernel.network, clone(kernel).network
    changed = kernel.clone_with_theta(kernel.theta + 0.1)
    np.testing.assert_allclose(changed.theta, kernel.theta + 0.1, atol=1e-15)
    assert kernel.network is network
    assert network == before
    assert not np.allclose(changed(X), kernel(X))


def test_theta_replaces_a_shared_network_by_a_copy():
    network = FullyConnected(2)
    kernel = NTK(network)
    kernel.theta = kernel.theta + 0.5
    assert network == FullyConnected(2)
    assert kernel.network.w_std == pytest.approx(network.w_std * np.exp(0.5))


def test_theta_of_another_length_is_refused():
    with pytest.raises(ValueError, match="theta has 3 entries, the kernel has 2"):
        NTK().clone_with_theta([0.1, 0.2, 0.3])


# Gradients


def differences(kernel, step=1e-3):
    """Central differences of fourth order in every entry of theta, (n, n, n_dims)."""
    found = []
    for direction in step * np.eye(kernel.n_dims):
        far, near = (
            kernel.clone_with_theta(kernel.theta + k * direction)(X)
            - kernel.clone_with_theta(kernel.theta - k * direction)(X)
            for k in (2, 1)
        )
        found.append((8.0 * near - far) / (12.0 * step))
    return np.stack(found, axis=-1)


@each
def test_gradient_agrees_with_finite_differences(kernel):
    K, gradient = kernel(X, eval_gradient=True)
    assert np.abs(K - kernel(X)).max() < 1e-13 * np.abs(K).max()
    error = np.abs(gradient - differences(kernel)).max(axis=(0, 1))
    assert (error < 1e-6 * np.abs(gradient).max(axis=(0, 1))).all()


@pytest.mark.parametrize("kernel", [KERNELS[0], KERNELS[4], KERNELS[5]], ids=str)
def test_gradient_by_tiles_is_the_gradient(kernel):
    shape = (1 + kernel.n_dims, len(X), len(X))
    budget = tight_budget(kernel.network, kernel.image_shape, shape, side=4)
    tiny = type(kernel)(kernel.network, image_shape=kernel.image_shape, memory_budget=budget)
    for value, expected in zip(
        tiny(X, eval_gradient=True), kernel(X, eval_gradient=True), strict=True
    ):
        assert np.abs(value - expected).max() < 1e-12 * np.abs(expected).max()


def of_network(kernel):
    """The kernel of the network, the names of its scales, and their derivatives by autograd."""
    network, free = kernel.of_network(kernel._quantity), names(kernel)
    network = replace(network, image_shape=kernel.image_shape)
    values = free_scales(network.network)

    def entries(scales):
        layers = tree(network.network, dict(zip(free, scales, strict=True)))
        problem = network.problem(X.shape[1])
        x = ReferenceEvaluator().prepare(problem, torch.tensor(X))
        state = pair_state(x, x, *layout(problem), on_diagonal=True)
        return mirrored(getattr(propagate(layers, state), kernel._quantity))

    scales = torch.tensor([values[name] for name in free], dtype=torch.float64)
    slopes = torch.autograd.functional.jacobian(entries, scales) * scales
    return network, free, slopes.numpy()


@each
def test_gradient_is_that_of_autograd_through_the_recursion(kernel):
    network, free, expected = of_network(kernel)
    found = kernel(X, eval_gradient=True)[1]
    assert np.abs(found - expected).max() < 1e-12 * np.abs(expected).max()
    weights = rng.normal(size=(6, 6))  # need not be symmetric
    sums, _ = network.contracted_gradient(X, torch.tensor(weights), free)
    np.testing.assert_allclose(sums, np.einsum("ij,ijk->k", weights, expected), rtol=1e-11)
