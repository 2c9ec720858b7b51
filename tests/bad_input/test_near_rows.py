"""Equal rows, nearly equal rows, rows on one line, and single precision."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from bad_input_cases import (
    BIAS_FREE,
    CLASSIFIERS,
    DENSE,
    ESTIMATORS,
    KERNELS,
    RIDGELESS,
    X,
    Z,
    dense_matrix,
    estimators,
    gram,
    kernels,
    matrices,
    outputs,
    ridgeless,
    targets,
    torch_kernels,
)

from ntk_sklearn.networks import FullyConnected

TWICE = np.r_[np.arange(20), 3, 3, 7]


@ridgeless
def test_equal_rows_with_equal_targets_count_once_without_a_ridge(kind):
    y = targets(kind)
    once = kind(DENSE, **RIDGELESS[kind]).fit(X, y)
    twice = kind(DENSE, **RIDGELESS[kind]).fit(X[TWICE], y[TWICE])
    np.testing.assert_allclose(outputs(twice, Z), outputs(once, Z), rtol=1e-9, atol=1e-9)
    assert twice.jitter_ == 0.0


@ridgeless
def test_equal_rows_with_other_targets_are_averaged_with_one_warning(kind):
    y = targets(kind).astype(float)
    y = np.append(y, y[3] + 1.0)
    rows = np.vstack([X, X[3]])
    with warnings.catch_warnings(record=True, action="always") as caught:
        model = kind(DENSE, **RIDGELESS[kind]).fit(rows, y)
    assert [w.category for w in caught] == [UserWarning]
    found = outputs(model, X[3:4])[0]
    if kind in CLASSIFIERS:  # halfway between one label and the other
        assert found[0] == pytest.approx(found[1], abs=1e-9)
    else:
        assert found == pytest.approx(y[3] + 0.5, rel=1e-7)


NEAR = np.vstack([X, X + 1e-9 * np.random.default_rng(3).normal(size=X.shape)])


def single_gram(kind, network, rows):
    if kind in KERNELS:
        return kind(network, dtype="float32")(rows)
    return dense_matrix(kind(network), torch.tensor(rows)).detach().numpy()


def is_semidefinite(K):
    values = np.linalg.eigvalsh(K.astype(np.float64))
    return values[0] >= -len(K) * np.finfo(K.dtype).eps * values[-1]


@matrices
@pytest.mark.parametrize("network", [DENSE, FullyConnected(2, activation="erf")], ids=str)
def test_kernel_of_nearly_equal_rows_is_semidefinite(kind, network):
    K = gram(kind, network, NEAR)
    assert np.isfinite(K).all()
    np.testing.assert_array_equal(K, K.T)
    assert is_semidefinite(K)


@estimators
def test_predictions_from_nearly_equal_rows_are_finite(kind):
    model = kind(DENSE).fit(NEAR, np.tile(targets(kind), 2))
    assert np.isfinite(outputs(model, NEAR)).all()
    if kind not in CLASSIFIERS:
        _, std = model.predict(NEAR, return_std=True)
        assert (std >= 0).all()


LINE = np.vstack([X[:4], -X[:4], 3.0 * X[:4], -X[:4] / 3.0, X[:4] * (1 + 1e-15)])


@kernels
@pytest.mark.parametrize("network", [DENSE, BIAS_FREE], ids=["biases", "no biases"])
def test_rows_on_one_line_have_finite_values_and_gradients(kind, network):
    K, slope = kind(network)(LINE, eval_gradient=True)
    assert np.isfinite(K).all()
    assert np.isfinite(slope).all()
    root = np.sqrt(np.diag(K))
    assert (np.abs(K) <= root * root[:, np.newaxis] * (1 + 1e-15)).all()


@torch_kernels
@pytest.mark.parametrize("network", [DENSE, BIAS_FREE], ids=["biases", "no biases"])
def test_rows_on_one_line_have_finite_values_and_gradients_in_gpytorch(kind, network):
    kernel, rows = kind(network).double(), torch.tensor(LINE, requires_grad=True)
    K = dense_matrix(kernel, rows)
    K.sum().backward()
    for values in (K, rows.grad, *(p.grad for p in kernel.parameters())):
        assert torch.isfinite(values).all()


@matrices
@pytest.mark.parametrize("depth", [1, 10, 50])
def test_diagonal_in_single_precision_is_right_at_any_depth(kind, depth):
    network, rows = FullyConnected(depth), X.astype(np.float32)
    single, double = single_gram(kind, network, rows), gram(kind, network, rows.astype(float))
    assert single.dtype == np.float32
    np.testing.assert_allclose(np.diag(single), np.diag(double), rtol=2e-5)
    if kind in KERNELS:
        diagonal = kind(network, dtype="float32").diag(rows)
        np.testing.assert_allclose(diagonal, np.diag(single), rtol=1e-6)
    assert is_semidefinite(single)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_deep_networks_predict_in_single_precision(kind):
    y, network = targets(kind), FullyConnected(20)
    single = kind(network, dtype="float32").fit(X.astype(np.float32), y)
    double = kind(network).fit(X.astype(np.float32), y)
    found, expected = outputs(single, Z), outputs(double, Z)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
