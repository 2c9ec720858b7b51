"""Values at angles 0 and pi and at zero variance, and how sharply small angles are told apart."""

from __future__ import annotations

import math

import mpmath as mp
import pytest
import torch
from dual_cases import ACTIVATIONS

from ntk_sklearn.duals import ABReLU, Abs, Erf, GaussianPair, LeakyReLU, Linear, ReLU, Sign

mp.mp.dps = 50
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def pair(cov: float, var_x: float, var_z: float, dtype: torch.dtype) -> GaussianPair:
    return GaussianPair(*(torch.tensor(v, dtype=dtype) for v in (cov, var_x, var_z)))


@each_dtype
@pytest.mark.parametrize("v", [1e-30, 0.3, 7.0, 1e6])
def test_kinks_are_exact_at_angles_zero_and_pi(v, dtype):
    v = torch.tensor(v, dtype=dtype)
    for dual, at_zero, at_pi in (
        (ReLU(), (v / 2, 0.5), (0 * v, 0.0)),
        (LeakyReLU(0.5), (0.625 * v, 0.625), (-0.5 * v, 0.5)),
        (Abs(), (v, 1.0), (v, -1.0)),
        (Linear(), (v, 1.0), (-v, 1.0)),
        (Sign(), (1.0, 0.0), (-1.0, 0.0)),
    ):
        eps = 2 * torch.finfo(dtype).eps
        for cov, (value, slope) in ((v, at_zero), (-v, at_pi)):
            found = dual.covariance(GaussianPair(cov, v, v))
            assert found[0].item() == pytest.approx(float(value), rel=eps, abs=eps * float(v))
            assert found[1].item() == pytest.approx(slope, rel=eps, abs=eps)


@each_dtype
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_zero_variance_is_a_constant(name, dtype):
    # u = 0: T is phi(0) E[phi(v)], and E[phi(v)]^2 the covariance of independent pairs
    dual = ACTIVATIONS[name]
    at_zero = dual.phi(torch.zeros((), dtype=dtype))
    mean = dual.covariance(pair(0.0, 2.0, 2.0, dtype))[0].clamp(min=0.0).sqrt()
    for arguments in ((0.0, 0.0, 2.0), (0.0, 2.0, 0.0)):
        value, _ = dual.covariance(pair(*arguments, dtype))
        torch.testing.assert_close(value.abs(), (at_zero * mean).abs(), rtol=1e-6, atol=1e-7)
    value, _ = dual.covariance(pair(0.0, 0.0, 0.0, dtype))
    torch.testing.assert_close(value, at_zero**2, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(dual.variance(torch.zeros((), dtype=dtype)), value)


@each_dtype
@pytest.mark.parametrize("n_eps", [-6, -1, 1, 6])
@pytest.mark.parametrize("sign", [-1, 1])
def test_rounding_of_a_dot_product_is_snapped(sign, n_eps, dtype):
    cov = sign * 3.0 * (1.0 + n_eps * torch.finfo(dtype).eps)
    found = pair(cov, 3.0, 3.0, dtype)
    assert found.sine2 == 0
    assert found.angle.item() == pytest.approx(0.0 if sign > 0 else math.pi, rel=1e-7, abs=0.0)
    assert pair(0.999 * cov, 3.0, 3.0, dtype).sine2 > 0


def exact_covariance(dual, q, x, z) -> mp.mpf:
    """T in the textbook forms, which 50 digits can afford."""
    angle = mp.acos(q / mp.sqrt(x * z))
    match dual:
        case ABReLU():
            kink = (mp.mpf(dual.a) - dual.b) ** 2 / (2 * mp.pi)
            half = (mp.mpf(dual.a) ** 2 + mp.mpf(dual.b) ** 2) / 2
            return kink * mp.sqrt(x * z) * mp.sin(angle) + (half - kink * angle) * q
        case Erf():
            r2 = mp.mpf(dual.rate) ** 2
            return mp.asin(2 * r2 * q / mp.sqrt((1 + 2 * r2 * x) * (1 + 2 * r2 * z)))
        case Linear():
            return q
    raise NotImplementedError(dual)


CARRYING = {
    n: d for n, d in ACTIVATIONS.items() if d.sine2(pair(0.5, 1.0, 1.0, torch.float64)) is not None
}
CARRYING |= {"nearly_abs": ABReLU(-0.999, 1.0), "nearly_linear": ABReLU(0.999, 1.0)}


@pytest.mark.parametrize(
    "var_x, var_z", [(1.0, 1.0), (0.3, 2.5), (1.0, 1.0 + 2**-20), (1e-4, 50.0)]
)
@pytest.mark.parametrize("name", CARRYING)
def test_carried_squared_sine(name, var_x, var_z):
    dual, x, z = CARRYING[name], mp.mpf(var_x), mp.mpf(var_z)
    for angle in (
        1e-9,
        1e-7,
        1e-5,
        1e-3,
        0.1,
        1.0,
        2.0,
        mp.pi - mp.mpf("1e-3"),
        mp.pi - mp.mpf("1e-7"),
    ):
        q, sine2 = mp.cos(angle) * mp.sqrt(x * z), mp.sin(angle) ** 2
        values = (float(v) for v in (q, x, z, sine2))
        found = dual.sine2(GaussianPair(*(torch.tensor(v, dtype=torch.float64) for v in values)))
        own = exact_covariance(dual, x, x, x) * exact_covariance(dual, z, z, z)
        exact = 1 - exact_covariance(dual, q, x, z) ** 2 / own
        # the error of the angle behind phi
        assert abs(mp.sqrt(mp.mpf(found.item())) - mp.sqrt(exact)) < 1e-15, angle
