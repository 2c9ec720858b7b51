"""Compositional kernels against loops written from the definition of Shankar et al. (2020)."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from ntk_sklearn import NNGPClassifier, NTKClassifier
from ntk_sklearn.kernels import NNGP, NTK, MyrtleCompositional, Normalized
from ntk_sklearn.networks import Activation, AvgPool, Conv, Dense, GlobalAvgPool, Serial

rng = np.random.default_rng(2)
IMAGE = (2, 4, 4)
X = rng.normal(size=(3, 32))
X[2] = X[0] * rng.integers(0, 2, size=32)  # background of zeros
GROUPS = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}


def relu(rho):
    rho = min(max(rho, -1.0), 1.0)
    return (math.sqrt(1.0 - rho * rho) + rho * (math.pi - math.acos(rho))) / math.pi


def conv3(k):
    """Sums of nine shifts of both positions, zeros outside."""
    h, w = k.shape[:2]
    found = np.zeros_like(k)
    for i, j, p, q in product(range(h), range(w), range(h), range(w)):
        for a, b in product((-1, 0, 1), repeat=2):
            if 0 <= i + a < h and 0 <= j + b < w and 0 <= p + a < h and 0 <= q + b < w:
                found[i, j, p, q] += k[i + a, j + b, p + a, q + b]
    return found


def pool2(k):
    h, w = k.shape[:2]
    return k.reshape(h // 2, 2, w // 2, 2, h // 2, 2, w // 2, 2).sum(axis=(1, 3, 5, 7))


def applied(kxz, kxx, kzz, dual):
    found = np.zeros_like(kxz)
    for i, j, p, q in product(*map(range, kxz.shape)):
        scale = math.sqrt(kxx[i, j, i, j] * kzz[p, q, p, q])
        found[i, j, p, q] = scale * dual(kxz[i, j, p, q] / scale) if scale else 0.0
    return found


def compositional(x, z, depth, dual):
    """The kernel of two images (channels, height, width)."""
    k = [np.einsum("cij,cpq->ijpq", a, b) for a, b in ((x, z), (x, x), (z, z))]
    for group, n in enumerate(GROUPS[depth]):
        if group:
            k = [pool2(each) for each in k]
        for _ in range(n):
            xz, xx, zz = map(conv3, k)
            k = [applied(xz, xx, zz, dual), applied(xx, xx, xx, dual), applied(zz, zz, zz, dual)]
    xz, xx, zz = (each.sum() for each in k)
    return dual(xz / math.sqrt(xx * zz))


@pytest.mark.parametrize("depth", GROUPS)
@pytest.mark.parametrize(
    ("activation", "gamma", "dual"),
    [
        ("relu", 1.0, relu),
        ("exponential", 1.0, lambda rho: math.exp(rho - 1.0)),
        ("exponential", 0.4, lambda rho: math.exp(0.4 * (rho - 1.0))),
    ],
)
def test_against_loops(depth, activation, gamma, dual):
    k = NNGP(MyrtleCompositional(depth, activation, gamma), image_shape=IMAGE)
    images = X.reshape(-1, *IMAGE)
    slow = [[compositional(x, z, depth, dual) for z in images] for x in images]
    np.testing.assert_allclose(k(X, X.copy()), slow, rtol=1e-7)  # acos loses digits near 1
    np.testing.assert_allclose(k(X)[0, 1:], slow[0][1:], rtol=1e-11)
    np.testing.assert_array_equal(np.diag(k(X)), np.ones(3))


def test_relu_is_the_correlation_of_the_outputs_of_a_network():
    conv = Conv(3), Activation("relu")
    layers = Serial(
        *(conv * 2), AvgPool(2), *conv, AvgPool(2), *conv, GlobalAvgPool(), Dense(),
        Activation("relu"), Dense(),
    )  # fmt: skip
    expected = NNGP(Normalized(layers), image_shape=IMAGE)(X)
    found = NNGP(MyrtleCompositional(), image_shape=IMAGE)(X)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_it_has_no_tangent_kernel():
    with pytest.raises(ValueError, match="has no tangent kernel"):
        NTK(MyrtleCompositional(), image_shape=IMAGE)(X)
    with pytest.raises(ValueError, match="has no tangent kernel"):
        NTKClassifier(MyrtleCompositional(), image_shape=IMAGE).fit(X, [0, 1, 1])


def test_rate_is_a_hyperparameter_of_the_exponential():
    assert NNGP(MyrtleCompositional()).theta.shape == (0,)
    kernel = NNGP(MyrtleCompositional(activation="exponential", gamma=0.5), image_shape=IMAGE)
    assert [h.name for h in kernel.hyperparameters] == ["gamma"]
    K, slopes = kernel(X[:2], eval_gradient=True)
    step = 1e-5
    up, down = (kernel.clone_with_theta(kernel.theta + sign * step)(X[:2]) for sign in (1.0, -1.0))
    np.testing.assert_allclose(slopes[..., 0], (up - down) / (2.0 * step), atol=1e-9)
    np.testing.assert_allclose(K, kernel(X[:2]), rtol=1e-12)


def test_classifier():
    model = NNGPClassifier(MyrtleCompositional(), image_shape=IMAGE).fit(X, [0, 1, 1])
    assert model.predict_proba(X).shape == (3, 2)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (MyrtleCompositional(6), "depth of MyrtleCompositional"),
        (MyrtleCompositional(activation="erf"), "activation of MyrtleCompositional"),
        (MyrtleCompositional(activation="exponential", gamma=-1.0), "gamma must be"),
        (MyrtleCompositional(activation="exponential", gamma="1"), "gamma must be"),
        (MyrtleCompositional(gamma=-3), "gamma must be"),
        (MyrtleCompositional(gamma=0.5), "leave it 1 with 'relu'"),
    ],
)
def test_errors_name_what_is_wrong(expression, message):
    with pytest.raises((ValueError, TypeError), match=message):
        NNGP(expression, image_shape=IMAGE)(X)
