"""The scikit-learn kernels as objects that others call, copy, combine and write into."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from bad_input_cases import BIAS_FREE, DENSE, IMAGE, POOLED, X, Z, kernels
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVC

from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import Dense, FullyConnected, Serial

y = np.sin(np.arange(20.0))


@kernels
def test_callers_may_write_into_the_matrices(kind):
    kernel = kind(DENSE)
    expected = kernel(X)
    kept = expected.copy()
    GaussianProcessRegressor(kernel, alpha=1.0, optimizer=None).fit(X, y)
    KernelRidge(kernel=kernel).fit(X, y, np.linspace(1.0, 2.0, 20))
    found = kernel(X)
    assert found.flags.owndata or found.base.flags.writeable
    found *= 0.0
    np.testing.assert_array_equal(kernel(X), kept)
    np.testing.assert_array_equal(expected, kept)


@kernels
@pytest.mark.parametrize("network, image_shape", [(DENSE, None), (POOLED, IMAGE)], ids=str)
def test_columns_that_are_the_rows_give_the_gram(kind, network, image_shape):
    kernel = kind(network, image_shape=image_shape)
    gram = kernel(X)
    np.testing.assert_array_equal(kernel(X, X), gram)
    np.testing.assert_array_equal(kernel(X, X[:]), gram)
    np.testing.assert_array_equal(gram, gram.T)
    # values are never compared: a copy gives a cross block, equal up to the last digit
    np.testing.assert_allclose(kernel(X, X.copy()), gram, rtol=0, atol=1e-15 * gram.max() * 4)


BAD = {
    "nan": (np.full((3, 12), np.nan), "NaN"),
    "one axis": (np.zeros(12), "2D array"),
    "width": (np.zeros((3, 7)), "features"),
    "text": (np.full((3, 12), "a"), "could not convert string"),
}


@kernels
@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("step", ["fit", "predict"])
def test_learners_that_check_nothing_rely_on_the_kernel(kind, case, step):
    bad, message = BAD[case]
    if step == "fit" and case == "width":
        pytest.skip("any width can be fitted")
    model = SVC(kernel=kind(DENSE))
    if step == "fit":
        rows, labels = (bad, [0, 1, 0]) if bad.ndim == 2 else (bad, np.arange(12) % 2)
        with pytest.raises(ValueError, match=message):
            model.fit(rows, labels)
        return
    model.fit(X, np.arange(20) % 2)
    with pytest.raises(ValueError, match=message):
        model.predict(bad)


COPIES = {
    "clone": clone,
    "pickle": lambda kernel: pickle.loads(pickle.dumps(kernel)),
    "deepcopy": copy.deepcopy,
    "with theta": lambda kernel: kernel.clone_with_theta(kernel.theta),
}


@kernels
@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("network", [DENSE, Serial(Dense(1.3, 0.2), Dense(1.1))], ids=str)
def test_copies_are_equal_and_compute_the_same(kind, name, network):
    kernel = kind(network)
    twin = COPIES[name](kernel)
    np.testing.assert_allclose(twin(X), kernel(X), rtol=1e-14)
    if name != "with theta":  # exp(log(scale)) is rounded
        assert twin == kernel
        assert repr(twin) == repr(kernel)
    assert kind(FullyConnected(2)) != kind(FullyConnected(3))


@kernels
@pytest.mark.parametrize("name", ["depht", "network__depht"])
def test_unknown_parameters_are_refused_by_name(kind, name):
    with pytest.raises(ValueError, match="depht"):
        kind(DENSE).set_params(**{name: 3})


@kernels
@pytest.mark.parametrize("network", [DENSE, BIAS_FREE, FullyConnected(2, activation="erf")])
def test_gradient_equals_finite_differences(kind, network):
    kernel, step = kind(network), 1e-5
    K, slope = kernel(X, eval_gradient=True)
    np.testing.assert_allclose(K, kernel(X), rtol=1e-12)
    assert slope.shape == (20, 20, kernel.n_dims)
    for k, direction in enumerate(np.eye(kernel.n_dims)):
        ends = (kernel.clone_with_theta(kernel.theta + s * direction)(X) for s in (step, -step))
        expected = np.subtract(*ends) / (2 * step)
        np.testing.assert_allclose(slope[..., k], expected, rtol=1e-6, atol=1e-6 * K.max())


@kernels
def test_gradient_of_nothing_and_of_a_cross_block(kind):
    fixed = kind(DENSE, scale_bounds="fixed")
    assert fixed(X, eval_gradient=True)[1].shape == (20, 20, 0)
    assert fixed.theta.shape == (0,)
    with pytest.raises(ValueError, match="when Y is None"):
        kind(DENSE)(X, Z, eval_gradient=True)


@kernels
def test_sums_products_and_powers_are_kernels(kind):
    kernel = ConstantKernel(2.0) * kind(DENSE) + kind(BIAS_FREE) ** 2 + RBF(3.0)
    expected = 2.0 * kind(DENSE)(X) + kind(BIAS_FREE)(X) ** 2 + RBF(3.0)(X)
    np.testing.assert_allclose(kernel(X), expected, rtol=1e-14)
    assert kernel(X, eval_gradient=True)[1].shape == (20, 20, kernel.n_dims)


@kernels
def test_scales_that_end_at_a_bound_are_warned_of(kind):
    bounds = {"w_std": (1.0, 1.1), "b_std": "fixed"}
    kernel = kind(DENSE, scale_bounds=bounds) + WhiteKernel(1.0, "fixed")
    with pytest.warns(ConvergenceWarning, match="w_std is close to the specified"):
        model = GaussianProcessRegressor(kernel).fit(X, 10.0 * y)
    assert model.kernel_.k1.theta == pytest.approx(np.log(1.1))
    assert model.kernel_.k1.network.b_std == pytest.approx(DENSE.b_std)


@pytest.mark.parametrize("kernel", [NTK(DENSE), NNGP(POOLED, image_shape=IMAGE)], ids=str)
def test_threads_compute_what_one_does(kernel):
    serial = pairwise_kernels(X, Z, metric=kernel)
    parallel = pairwise_kernels(X, Z, metric=kernel, n_jobs=4)
    np.testing.assert_allclose(parallel, serial, rtol=1e-13)
