"""Every activation against quadrature of its phi."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from dual_cases import ACTIVATIONS
from polar_quadrature import moments

from ntk_sklearn.duals import GaussianPair

ANGLES = (0.0, 1e-5, 0.3, math.pi / 2, 2.5, math.pi - 1e-5, math.pi)
VARIANCES = ((1.0, 1.0), (0.3, 2.5), (1e-3, 10.0), (1e-30, 1e-30), (1e-30, 2.0))
# The cosine is a sine whose phase pi / 2 is rounded: phi'(0) is 6e-17, which shows at 1e-30.
CASES = [
    (name, *variances)
    for name, variances in product(ACTIVATIONS, VARIANCES)
    if name != "cos" or variances[0] > 1e-20
]
# Waves of large variance average out and exponentials overflow; quadrature follows neither.
BOUNDED_GROWTH = ("relu", "leaky_relu", "abs", "erf", "gelu", "gaussian", "monomial", "sign")

each_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def pair(angle: float, var_x: float, var_z: float, dtype: torch.dtype) -> GaussianPair:
    """The pair with its squared sine, since a covariance does not resolve small angles."""
    values = (math.cos(angle) * math.sqrt(var_x * var_z), var_x, var_z, math.sin(angle) ** 2)
    return GaussianPair(*(torch.tensor(v, dtype=dtype) for v in values))


def worst(name: str, angles, var_x: float, var_z: float, dtype=torch.float64) -> float:
    """Largest errors of T and T', each over the root of the product of its two own values."""
    dual = ACTIVATIONS[name]
    own = zip(
        moments(dual.phi, 0.0, var_x, var_x), moments(dual.phi, 0.0, var_z, var_z), strict=True
    )
    scales = [math.sqrt(x * z) or 1.0 for x, z in own]
    errors = []
    for angle in angles:
        exact = moments(dual.phi, angle, var_x, var_z)
        found = dual.covariance(pair(angle, var_x, var_z, dtype))
        errors += [
            abs(value.item() - e) / s for value, e, s in zip(found, exact, scales, strict=True)
        ]
    return max(errors)


@pytest.mark.parametrize("name, var_x, var_z", CASES)
def test_covariance_and_derivative(name, var_x, var_z):
    # reached: 6e-16
    assert worst(name, ANGLES, var_x, var_z) < 5e-15


@pytest.mark.parametrize("name", BOUNDED_GROWTH)
def test_large_variances(name):
    # the quadrature itself is good to 1e-12 here
    assert worst(name, ANGLES[1::2], 1e6, 1e6) < 1e-12


@pytest.mark.parametrize("var_x, var_z", [(0.3, 2.5), (1e-12, 1e-12)])
@each_activation
def test_single_precision(name, var_x, var_z):
    var_x, var_z = (torch.tensor(v, dtype=torch.float32).item() for v in (var_x, var_z))
    assert worst(name, ANGLES, var_x, var_z, torch.float32) < 1e-6


@pytest.mark.parametrize("v", [1e-30, 1e-3, 1.0, 10.0])
@each_activation
def test_variance(name, v):
    dual = ACTIVATIONS[name]
    found = dual.variance(torch.tensor(v, dtype=torch.float64)).item()
    exact, _ = moments(dual.phi, 0.0, v, v)
    assert found == pytest.approx(exact, rel=2e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@each_activation
def test_variance_is_the_covariance_at_angle_zero(name, dtype):
    dual = ACTIVATIONS[name]
    v = torch.logspace(-30, 0.8, 100, dtype=dtype)
    value, _ = dual.covariance(GaussianPair(v, v, v))
    torch.testing.assert_close(dual.variance(v), value, rtol=8 * torch.finfo(dtype).eps, atol=0.0)
