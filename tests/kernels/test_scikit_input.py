"""Rows whose squares underflow, and networks that are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import (
    Activation,
    Conv,
    Dense,
    FullyConnected,
    NetworkError,
    Serial,
)

X = np.random.default_rng(2).integers(0, 100, size=(8, 6)).astype(float)


@pytest.mark.parametrize("b_std", [0.0, 0.5])
def test_squares_that_underflow_are_the_squares_of_zero(b_std):
    kernel = NTK(FullyConnected(2, b_std=b_std))
    np.testing.assert_array_equal(kernel(X * 1e-200), kernel(X * 0.0))


@pytest.mark.parametrize("network", [3, "relu", [Dense()], FullyConnected, RuntimeError])
def test_what_is_no_network_is_refused(network):
    with pytest.raises(TypeError, match="network must be None, a preset"):
        NTK(network)(X)


def test_tree_without_a_limit_is_refused_in_words():
    with pytest.raises(NetworkError, match="does not end in a Gaussian output"):
        NTK(Serial(Dense(), Activation("relu")))(X)
    with pytest.raises(ValueError, match=r"ends in .* positions: end it with Flatten"):
        NTK(Serial(Conv(), Activation("relu"), Conv()), image_shape=(1, 2, 3))(X)


def test_a_torch_module_has_no_covariance():
    with pytest.raises(TypeError, match=r"Pass networks\.from_module\(module\)"):
        NNGP(torch.nn.Linear(3, 1))(np.ones((2, 3)))
