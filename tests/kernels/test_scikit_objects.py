"""The scikit-learn kernels as objects: copies, equality, parameters, arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from ntk_sklearn.duals import LeakyReLU
from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import Activation, Convolutional, Dense, FullyConnected, ResNet, Serial

X = np.random.default_rng(1).normal(size=(6, 9))
KERNELS = [
    NTK(FullyConnected(2, activation=LeakyReLU(0.2))),
    NNGP(Serial(Dense(1.3, 0.2), Activation("relu"), Dense(1.1))),
    NTK(ResNet((1, 1)), image_shape=(1, 3, 3), scale_bounds={"w_std": "fixed"}),
]
each = pytest.mark.parametrize("kernel", KERNELS, ids=str)


def test_kernels_differ_by_type_network_and_options():
    assert NTK(FullyConnected(2)) != NTK(FullyConnected(3))
    assert NTK(FullyConnected(2)) != NNGP(FullyConnected(2))
    assert NTK(dtype="float32") != NTK()


def test_nested_parameters_can_be_set():
    kernel = NTK(FullyConnected(2)).set_params(network__depth=4, network__activation=LeakyReLU(0.1))
    assert kernel.network == FullyConnected(4, activation=LeakyReLU(0.1))
    assert kernel.get_params()["network__depth"] == 4
    with pytest.raises(ValueError, match="depht"):
        kernel.set_params(network__depht=4)


def test_repr_names_the_network():
    assert repr(NNGP(FullyConnected(2))) == "NNGP(FullyConnected(depth=2))"
    shown = repr(NTK(Convolutional(1), image_shape=(1, -1), dtype="float32"))
    assert shown == "NTK(Convolutional(depth=1), image_shape=(1, -1), dtype='float32')"
    assert "NTK(FullyConnected())" in repr(2.0 * NTK() + WhiteKernel())


def test_sums_products_and_powers_are_kernels():
    ntk, nngp = NTK(FullyConnected(1)), NNGP(FullyConnected(2))
    kernel = ConstantKernel(2.0) * ntk + nngp**2 + RBF(3.0)
    np.testing.assert_array_equal(kernel(X), 2.0 * ntk(X) + nngp(X) ** 2 + RBF(3.0)(X))
    assert kernel.n_dims == 1 + 2 + 2 + 1
    gradient = kernel(X, eval_gradient=True)[1]
    expected = 2.0 * ntk(X)[..., np.newaxis], 2.0 * ntk(X, eval_gradient=True)[1]
    np.testing.assert_allclose(gradient[..., :3], np.dstack(expected), rtol=1e-12)
    expected = 2.0 * nngp(X)[..., np.newaxis] * nngp(X, eval_gradient=True)[1]
    np.testing.assert_allclose(gradient[..., 3:5], expected, rtol=1e-12)


@each
def test_kernel_is_not_stationary(kernel):
    assert not kernel.is_stationary()
