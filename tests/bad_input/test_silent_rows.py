"""Rows of zeros, rows that are all equal, and features that say nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bad_input_cases import (
    BIAS_FREE,
    CLASSIFIERS,
    DENSE,
    WIDTH,
    X,
    Z,
    dense_matrix,
    estimators,
    fitted,
    gram,
    kernels,
    matrices,
    outputs,
    targets,
    torch_kernel,
    torch_kernels,
)

from ntk_sklearn.networks import FullyConnected


def constant(kind, y):
    """The prediction that ignores X: a mean, or the share of each class."""
    if kind in CLASSIFIERS:
        return np.bincount(y) / len(y)
    return y.mean()


WITH_ZERO = np.vstack([np.zeros(WIDTH), X])


@matrices
def test_a_zero_row_has_the_kernel_of_the_biases(kind):
    # by hand: half of the variance of the biases, and once more by the gradients of the NTK
    nngp = DENSE.readout_w_std**2 * DENSE.b_std**2 / 2 + DENSE.readout_b_std**2
    found = gram(kind, DENSE, WITH_ZERO)
    assert found[0, 0] == pytest.approx(nngp * (2 if "NTK" in kind.__name__ else 1), rel=1e-12)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[1:, 1:], gram(kind, DENSE, X), rtol=1e-12)


@estimators
@pytest.mark.parametrize("network", [DENSE, BIAS_FREE], ids=["biases", "no biases"])
def test_predictions_with_a_zero_row_are_finite(kind, network):
    model = kind(network).fit(WITH_ZERO, targets(kind, 21))
    assert np.isfinite(outputs(model, np.vstack([Z, np.zeros(WIDTH)]))).all()


@kernels
def test_a_zero_row_without_biases_has_a_zero_kernel_and_gradient(kind):
    K, slope = kind(BIAS_FREE)(WITH_ZERO, eval_gradient=True)
    assert (K[0] == 0).all()
    assert (slope[0] == 0).all()
    assert np.isfinite(slope).all()


@torch_kernels
def test_a_zero_row_without_biases_has_a_zero_kernel_and_the_mean_slope_in_gpytorch(kind):
    # in its entries the kernel has a kink at 0; the mean of the slopes on both sides is taken
    kernel, rows = torch_kernel(kind, BIAS_FREE), torch.tensor(WITH_ZERO, requires_grad=True)
    K = dense_matrix(kernel, rows)
    assert (K[0] == 0).all()
    K[0].sum().backward()
    assert all((p.grad == 0).all() for p in kernel.parameters())
    assert (rows.grad[1:] == 0).all()
    up, down = (gram(kind, BIAS_FREE, s * np.eye(WIDTH), X).sum(axis=1) / 2 for s in (1.0, -1.0))
    np.testing.assert_allclose(rows.grad[0], up - down, rtol=1e-9, atol=1e-9)


# Rows that say nothing

SILENT = {"zeros": np.zeros((20, WIDTH)), "equal": np.ones((20, WIDTH))}


@estimators
@pytest.mark.parametrize("network", [DENSE, BIAS_FREE], ids=["biases", "no biases"])
@pytest.mark.parametrize("name", SILENT)
def test_rows_that_are_all_equal_are_predicted_by_a_constant(kind, network, name):
    y, rows = targets(kind), SILENT[name]
    model = kind(network).fit(rows, y)
    found = outputs(model, rows[:2])
    np.testing.assert_array_equal(found[0], found[1])
    if hasattr(model, "decision_function"):
        assert found[0].argmax() == constant(kind, y).argmax()
    else:
        np.testing.assert_allclose(found[0], constant(kind, y), atol=0.05)


@estimators
@pytest.mark.parametrize("value", [0.0, 5.0])
def test_a_constant_feature_is_no_problem(kind, value):
    rows, new = (np.column_stack([v, np.full(len(v), value)]) for v in (X, Z))
    # the weights' variance is shared by the features, here by one more
    network = FullyConnected(1, w_std=DENSE.w_std * np.sqrt(13 / 12))
    found = outputs(kind(network).fit(rows, targets(kind)), new)
    assert np.isfinite(found).all()
    if value == 0.0:
        np.testing.assert_allclose(found, outputs(fitted(kind), Z), rtol=1e-9, atol=1e-9)
