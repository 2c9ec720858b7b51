"""Closed forms beside the usual activations, and a kernel without an activation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from polar_quadrature import moments

from ntk_sklearn.duals import (
    ExpNormalized,
    Gabor,
    GaussianPair,
    Hermite,
    Linear,
    RectifiedMonomial,
    ReLU,
    SigmoidLike,
)
from ntk_sklearn.testing import check_activation

DUALS = {
    "relu^1": RectifiedMonomial(1),
    "relu^2": RectifiedMonomial(2),
    "relu^3": RectifiedMonomial(3),
    "relu^6": RectifiedMonomial(6),
    "gabor": Gabor(),
    "sigmoid_like": SigmoidLike(),
    "he_2": Hermite(2),
}
ANGLES = (0.0, 1e-5, 0.3, math.pi / 2, 2.5, math.pi - 1e-5, math.pi)


def pair_of(angle: float, x: float, z: float) -> GaussianPair:
    values = (math.cos(angle) * math.sqrt(x * z), x, z, math.sin(angle) ** 2)
    return GaussianPair(*(torch.tensor(v, dtype=torch.float64) for v in values))


@pytest.mark.parametrize("x, z", [(1.0, 1.0), (0.3, 2.5), (1e-3, 4.0)])
@pytest.mark.parametrize("name", DUALS)
def test_quadrature(name, x, z):
    dual = DUALS[name]
    own = zip(moments(dual.phi, 0.0, x, x), moments(dual.phi, 0.0, z, z), strict=True)
    scales = [math.sqrt(a * b) for a, b in own]
    for angle in ANGLES:
        exact = moments(dual.phi, angle, x, z)
        for found, value, s in zip(
            dual.covariance(pair_of(angle, x, z)), exact, scales, strict=True
        ):
            assert abs(found.item() - value) < 1e-13 * s


@pytest.mark.parametrize("name", DUALS)
def test_contract(name):
    check_activation(DUALS[name])


def test_first_degrees():
    pair = pair_of(0.7, 0.5, 2.0)
    for one, other in ((RectifiedMonomial(1), ReLU()), (Hermite(1), Linear())):
        for found, expected in zip(one.covariance(pair), other.covariance(pair), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-14, atol=0.0)


def test_the_printed_arc_cosine_kernel():
    # Cho and Saul 2009, J_2 = 3 sin t cos t + (pi - t) (1 + 2 cos^2 t)
    t = 0.7
    printed = 3 * math.sin(t) * math.cos(t) + (math.pi - t) * (1 + 2 * math.cos(t) ** 2)
    found, _ = RectifiedMonomial(2).covariance(pair_of(t, 1.0, 1.0))
    assert found.item() == pytest.approx(printed / (2 * math.pi), rel=1e-14)


@pytest.mark.parametrize("degree", [0, 2, 5])
def test_hermite_polynomials(degree):
    # the dual of a normalized Hermite polynomial is a power of the correlation
    for angle in (0.0, 0.4, 2.0):
        value, slope = Hermite(degree).covariance(pair_of(angle, 1.0, 1.0))
        c = math.cos(angle)
        assert value.item() == pytest.approx(c**degree, abs=1e-14)
        assert slope.item() == pytest.approx(degree * c ** max(degree - 1, 0), abs=1e-13)


def test_sigmoid_like_is_like_the_sigmoid():
    x = torch.linspace(-20.0, 20.0, 4001, dtype=torch.float64)
    assert (SigmoidLike().phi(x) - torch.sigmoid(x)).abs().max() < 0.02


def test_normalized_exponential():
    dual = ExpNormalized(0.7)
    for angle in ANGLES:
        value, slope = dual.covariance(pair_of(angle, 0.5, 2.0))
        decay = np.exp(0.7 * (math.cos(angle) - 1.0))
        assert value.item() == pytest.approx(decay, rel=1e-14)
        assert slope.item() == pytest.approx(0.7 * decay, rel=1e-14)
    with pytest.raises(NotImplementedError, match="no networks of finite width"):
        dual.phi(torch.ones(1))


@pytest.mark.parametrize("degree", [0, -1, 1.5])
def test_degrees(degree):
    with pytest.raises(ValueError, match=r"degree must be an int >= 1, got"):
        RectifiedMonomial(degree)
