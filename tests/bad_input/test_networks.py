"""Networks with impossible depths, scales and names."""

from __future__ import annotations

import numpy as np
import pytest
from bad_input_cases import (
    CLASSIFIERS,
    DENSE,
    ESTIMATORS,
    KERNELS,
    TRAINED,
    X,
    Z,
    estimators,
    everything,
    gram,
    kernels,
    matrices,
    outputs,
    targets,
)

from ntk_sklearn.kernels import NetworkKernel
from ntk_sklearn.networks import Dense, FullyConnected, Serial


def run(kind, network, rows=X):
    """Predictions of an estimator, or a Gram."""
    if kind in ESTIMATORS:
        return outputs(kind(network).fit(rows, targets(kind)), Z)
    return gram(kind, network, rows)


@matrices
def test_depth_zero_is_the_linear_kernel(kind):
    found = run(kind, FullyConnected(0, readout_w_std=1.5, readout_b_std=0.5))
    np.testing.assert_allclose(found, 1.5**2 * X @ X.T / 12 + 0.5**2, rtol=1e-12)


@estimators
def test_depth_zero_predicts_linearly(kind):
    model = kind(FullyConnected(0)).fit(X, targets(kind))
    if kind in CLASSIFIERS and not hasattr(model, "decision_function"):
        assert np.isfinite(outputs(model, Z)).all()
        return
    ends, middle = outputs(model, Z[:2]), outputs(model, Z[:2].mean(axis=0, keepdims=True))
    np.testing.assert_allclose(middle[0], ends.mean(axis=0), rtol=1e-9)


@everything
@pytest.mark.parametrize("depth", [-1, 2.5, 2.0, "3", None, True, np.int64(2), np.uint8(2)])
def test_depth_is_an_integer_from_zero_on(kind, depth):
    network = FullyConnected(depth)  # checked on use only
    if isinstance(depth, np.integer):
        np.testing.assert_array_equal(run(kind, network), run(kind, FullyConnected(2)))
        return
    with pytest.raises((ValueError, TypeError), match="depth must be"):
        run(kind, network)


@everything
@pytest.mark.parametrize("w_std", [0.01, 0.3, 1.0, 3.0, 16.0])
def test_deep_networks_far_from_critical_are_finite(kind, w_std):
    assert np.isfinite(run(kind, FullyConnected(30, w_std=w_std))).all()


@matrices
@pytest.mark.parametrize("w_std", [0.3, 16.0])
def test_very_deep_networks_are_finite_or_refused(kind, w_std):
    if w_std < 1:
        assert np.isfinite(run(kind, FullyConnected(500, w_std=w_std), X[:3])).all()
        return
    with pytest.raises(ValueError, match="overflows float64: scale X down, or take smaller weight"):
        run(kind, FullyConnected(500, w_std=w_std), X[:3])


IMPOSSIBLE = [-1.0, np.nan, np.inf, -np.inf, "1", None, True]


@everything
@pytest.mark.parametrize("value", IMPOSSIBLE, ids=str)
@pytest.mark.parametrize("name", ["w_std", "b_std", "readout_w_std"])
def test_impossible_scales_are_refused(kind, name, value):
    message = r"_std must be (finite and not negative|a number)"
    with pytest.raises((ValueError, TypeError), match=message):
        run(kind, FullyConnected(1, **{name: value}))


@matrices
def test_scales_of_zero_are_fixed(kind):
    free = Serial(Dense(1.2, 0.3), Dense(1.2, 0.0))
    for network in (FullyConnected(1, b_std=0.0), free):
        kernel = kind(network)
        if kind in KERNELS:
            names = [h.name for h in kernel.hyperparameters]
            assert np.isfinite(kernel.theta).all()
        else:
            names = list(kernel.scales)
        assert [n for n in names if n.endswith("b_std")] == ["layers.0.b_std"] * (network is free)


@kernels
def test_bounds_of_a_scale_of_zero_are_refused(kind):
    kernel = kind(FullyConnected(1, b_std=0.0), scale_bounds={"b_std": (0.1, 1.0)})
    with pytest.raises(ValueError, match=r"scale_bounds names \['b_std'\]; the network has"):
        kernel.theta  # noqa: B018


@everything
def test_unknown_activations_are_refused_with_the_known_ones(kind):
    with pytest.raises(ValueError, match=r"unknown activation 'rleu'; known are .*'relu'"):
        run(kind, FullyConnected(1, activation="rleu"))


def test_unknown_kinds_of_kernels_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"one of .*'nngp', 'ntk'.* got 'nkt'"):
        NetworkKernel(DENSE, ("nkt",)).matrix(X)


@estimators
@pytest.mark.parametrize("name", ["backend", "dtype", "device"])
def test_unknown_options_are_refused_with_the_known_ones(kind, name):
    with pytest.raises(ValueError, match=f"{name} must be .*one of"):
        kind(DENSE, **{name: "fast"}).fit(X, targets(kind))


@pytest.mark.parametrize("kind", TRAINED)
@pytest.mark.parametrize("name", ["loss_scale", "initial", "loss"])
def test_unknown_kinds_of_training_are_refused_with_the_known_ones(kind, name):
    with pytest.raises(ValueError, match=f"{name} must be .*got 'median'"):
        kind(DENSE, t=1.0, **{name: "median"}).fit(X, targets(kind))
