"""Movement of tangent kernels against explicit Jacobians, and its power of the width."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from ntk_sklearn.networks import FullyConnected
from ntk_sklearn.studies import kernel_drift, kernel_drift_over_widths

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 4))
y = np.sin(2 * X[:, 0])
ERF = FullyConnected(1, activation="erf", w_std=1.5, b_std=0.1)


def network(n_outputs=1):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, n_outputs)).double()


def explicit_kernel(module):
    parameters, outputs = list(module.parameters()), module(torch.tensor(X)).flatten()
    by_output = [torch.autograd.grad(o, parameters, retain_graph=True) for o in outputs]
    J = torch.stack([torch.cat([g.flatten() for g in gradients]) for gradients in by_output])
    return (J @ J.T).numpy()


def cosine(A, B):
    return np.sum(A * B) / np.sqrt(np.sum(A * A) * np.sum(B * B))


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_kernels_along_training_are_those_of_explicit_jacobians(n_outputs):
    targets = np.stack([y, y**2], axis=1)[:, :n_outputs]
    module, steps = network(n_outputs), (0, 1, 20)
    model = deepcopy(module)
    found = kernel_drift(module, X, targets, learning_rate=0.02, steps=steps)
    optimizer, K_0 = torch.optim.SGD(model.parameters(), lr=0.02), explicit_kernel(module)
    outer = np.outer(targets, targets)  # by sample and then by output
    for k in range(21):
        loss = 0.5 * (model(torch.tensor(X)) - torch.tensor(targets)).square().sum()
        if k in steps:
            at, K = steps.index(k), explicit_kernel(model)
            assert found.losses[at] == pytest.approx(float(loss.detach()), rel=1e-10)
            assert found.alignments[at] == pytest.approx(cosine(K, K_0), rel=1e-10)
            assert found.target_alignments[at] == pytest.approx(cosine(K, outer), rel=1e-9)
            relative = np.linalg.norm(K - K_0) / np.linalg.norm(K_0)
            assert found.drifts[at] == pytest.approx(relative, rel=1e-8, abs=1e-15)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert found.drifts[-1] > 0.05


def test_kernels_of_training_that_diverges_are_none():
    found = kernel_drift(network(), X, y, learning_rate=1e200, steps=(0, 3))
    for part in (found.drifts, found.alignments, found.target_alignments):
        assert np.isnan(part).tolist() == [False, True]


def test_targets_of_zero_have_no_direction():
    found = kernel_drift(network(), X, np.zeros(6), learning_rate=0.02, steps=(0, 3))
    assert np.isfinite(found.alignments).all()
    assert np.isnan(found.target_alignments).all()


def test_readouts_alone_do_not_move_their_kernel():
    found = kernel_drift(network(), X, y, learning_rate=0.05, steps=(0, 50), parameters=["2"])
    assert found.losses[1] < 0.7 * found.losses[0]
    np.testing.assert_allclose(found.drifts, 0, atol=1e-14)
    np.testing.assert_allclose(found.alignments, 1, rtol=1e-14)


def test_kernels_of_networks_that_start_small_turn_towards_the_targets():
    """A product of matrices becomes the rank one that fits: K_t is far from the lazy K_0."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 12, bias=False), nn.Linear(12, 1, bias=False)).double()
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(0.1)
    found = kernel_drift(module, X, X[:, 0], learning_rate=0.02, steps=(0, 400))
    assert found.losses[1] < 1e-3 * found.losses[0]
    assert found.target_alignments[1] > found.target_alignments[0] + 0.1
    assert found.drifts[1] > 1


def test_drift_falls_with_the_width():
    widths = (128, 512, 2048)
    found = kernel_drift_over_widths(ERF, X, y, widths, n_draws=8, steps=(0, 20))
    assert abs(found.slope + 1) < 3 * found.slope_error < 0.3
    assert found.drifts.shape == found.target_alignments.shape == (3, 8, 2)
    assert (found.losses[:, :, -1] < 0.1 * found.losses[:, :, 0]).all()
    assert (np.diff(found.alignments[:, :, -1].mean(axis=1)) > 0).all()


@pytest.mark.slow
def test_drift_of_wide_networks():
    """With a kink the drift falls more slowly: width^-3/4 (see docs/training.md)."""
    widths, options = (256, 1024, 4096, 16384), {"n_draws": 16, "steps": (0, 20)}
    smooth = kernel_drift_over_widths(ERF, X, y, widths, **options)
    kinked = kernel_drift_over_widths(FullyConnected(1, b_std=0.1), X, y, widths, **options)
    assert abs(smooth.slope + 1) < 3 * smooth.slope_error < 0.25
    assert abs(kinked.slope + 0.75) < 3 * kinked.slope_error < 0.25


def test_images_and_several_outputs():
    images = RNG.standard_normal((3, 1, 2, 2))
    rate = {"learning_rate": 0.1, "steps": (0, 2)}
    network, targets = FullyConnected(1, activation="erf"), np.eye(3)
    found = kernel_drift_over_widths(network, images, targets, (8, 16), 2, **rate)
    flat = kernel_drift_over_widths(network, images.reshape(3, 4), targets, (8, 16), 2, **rate)
    np.testing.assert_allclose(found.drifts, flat.drifts)
    assert found.learning_rate == 0.1


def test_targets_must_be_numbers():
    with pytest.raises(ValueError, match="y must be finite numbers"):
        kernel_drift_over_widths(ERF, X, np.full(6, np.inf), (8, 16))
