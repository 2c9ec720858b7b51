"""The arithmetic of a Gaussian pair against 50 digits."""

from __future__ import annotations

import math

import mpmath as mp
import pytest
import torch

from ntk_sklearn.duals import GaussianPair, sine2_of_sum
from ntk_sklearn.duals.pair import safe_divide, safe_sqrt

mp.mp.dps = 50
ANGLES = (0.0, 1e-9, 1e-7, 1e-4, 0.5, math.pi / 2, 2.0, math.pi - 1e-4, math.pi - 1e-7, math.pi)
VARIANCES = ((1.0, 1.0), (0.3, 2.5), (1e-30, 1e6))
each_angle = pytest.mark.parametrize("angle", ANGLES)
each_variance = pytest.mark.parametrize("var_x, var_z", VARIANCES)


def tensors(*values) -> list[torch.Tensor]:
    return [torch.tensor(float(v), dtype=torch.float64) for v in values]


def exact(angle: float, var_x: float, var_z: float) -> tuple[mp.mpf, ...]:
    """Covariance, variances and squared sine; the angle of the float pi is pi."""
    t = mp.pi if angle == math.pi else mp.mpf(angle)
    x, z = mp.mpf(var_x), mp.mpf(var_z)
    return mp.cos(t) * mp.sqrt(x * z), x, z, mp.sin(t) ** 2


@each_variance
@each_angle
def test_carried_angles_are_exact(angle, var_x, var_z):
    q, x, z, sine2 = exact(angle, var_x, var_z)
    pair = GaussianPair(*tensors(q, x, z, sine2))
    expected = {
        "scale": mp.sqrt(x * z),
        "cosine": mp.cos(angle),
        "sine": mp.sqrt(sine2),
        "angle": angle,
        "versine": 2 * mp.sin(mp.mpf(angle) / 2) ** 2,
        "root_determinant": mp.sqrt(x * z * sine2),
        "determinant": x * z * sine2,
        "distance2": (mp.sqrt(x) - mp.sqrt(z)) ** 2
        + 4 * mp.sqrt(x * z) * mp.sin(mp.mpf(angle) / 2) ** 2,
    }
    for name, value in expected.items():
        found = getattr(pair, name).item()
        assert found == pytest.approx(float(value), rel=4e-15, abs=1e-15 * float(x * z) ** 0.5), (
            name
        )


@each_variance
@pytest.mark.parametrize("angle", ANGLES[3:-2])
def test_angles_from_the_covariance(angle, var_x, var_z):
    # 1 - cosine has lost 1e-16, the angle that over itself
    pair = GaussianPair(*tensors(*exact(angle, var_x, var_z)[:3]))
    error = 4e-16 / math.sin(angle)
    assert pair.angle.item() == pytest.approx(angle, rel=1e-15, abs=error)
    assert pair.sine.item() == pytest.approx(math.sin(angle), rel=1e-15, abs=error)


def test_impossible_correlations_are_clamped():
    for cov, cosine, angle in ((1.0 + 1e-9, 1.0, 0.0), (-7.0, -1.0, math.pi)):
        pair = GaussianPair(*tensors(cov, 1.0, 1.0))
        assert (pair.cosine, pair.sine2, pair.angle) == (cosine, 0.0, pytest.approx(angle))


@pytest.mark.parametrize("variances", [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_zero_variance(variances):
    pair = GaussianPair(*tensors(0.0, *variances))
    assert pair.angle == pytest.approx(math.pi / 2)
    assert pair.cosine == pair.root_determinant == pair.determinant == 0.0
    assert pair.distance2 == sum(variances)


def test_broadcasting():
    x, z = torch.rand(3, 1, dtype=torch.float64) + 0.5, torch.rand(1, 4, dtype=torch.float64) + 0.5
    pair = GaussianPair(0.3 * (x * z).sqrt(), x, z)
    for name in ("angle", "determinant", "distance2", "versine", "cosine"):
        assert getattr(pair, name).shape == (3, 4)
    torch.testing.assert_close(pair.cosine, torch.full((3, 4), 0.3, dtype=torch.float64))


@pytest.mark.parametrize("second", [(0.3, 1.0, 1.0), (1e-7, 2.0, 2.0), (math.pi - 1e-7, 0.3, 2.5)])
@each_variance
@each_angle
def test_angle_of_a_sum(angle, var_x, var_z, second):
    first, second = exact(angle, var_x, var_z), exact(*second)
    q, x, z = (a + b for a, b in zip(first[:3], second[:3], strict=True))
    sine2 = 1 - q * q / (x * z)
    found = sine2_of_sum(GaussianPair(*tensors(*first)), GaussianPair(*tensors(*second)))
    assert abs(mp.sqrt(mp.mpf(found.item())) - mp.sqrt(sine2)) < 1e-15


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1e18, 1e30])
def test_angle_of_a_sum_does_not_depend_on_the_unit(scale):
    def found(unit: float) -> torch.Tensor:
        pairs = [GaussianPair(*(unit * t for t in p[:3]), p[3]) for p in (first, second)]
        return sine2_of_sum(*pairs)

    first, second = ([t.float() for t in tensors(*exact(a, 1.0, 2.0))] for a in (0.3, 2.0))
    torch.testing.assert_close(found(scale), found(1.0), rtol=1e-6, atol=0.0)


def test_a_sum_with_nothing_keeps_the_angle():
    nothing, pair = (
        GaussianPair(*tensors(0, 0, 0, 0)),
        GaussianPair(*tensors(*exact(1e-7, 0.3, 2.5))),
    )
    for parts in ((nothing, pair), (pair, nothing)):
        assert sine2_of_sum(*parts).item() == pytest.approx(1e-14, rel=1e-14)
    assert sine2_of_sum(nothing, nothing) == 1.0  # the angle pi / 2 of zero variances


def test_guarded_root_and_quotient():
    x = torch.tensor([-1.0, 0.0, 4.0], dtype=torch.float64, requires_grad=True)
    for value, expected, slope in (
        (safe_sqrt(x), [0.0, 0.0, 2.0], [0.0, 0.0, 0.25]),
        (safe_divide(torch.ones_like(x), x), [-1.0, 0.0, 0.25], [-1.0, 0.0, -1 / 16]),
        (safe_divide(x, torch.zeros_like(x)), [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
    ):
        assert value.tolist() == expected
        assert torch.autograd.grad(value.sum(), x)[0].tolist() == slope
