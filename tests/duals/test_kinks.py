"""Kinks in closed form: against plain quadrature, many digits and the activation itself."""

from __future__ import annotations

import math

import mpmath as mp
import pytest
import torch
from torch.nn import functional as F

from ntk_sklearn.duals import ELU, SELU, Elementwise, GaussianPair, HardTanh, ReLU6
from ntk_sklearn.duals.direct import direct
from ntk_sklearn.duals.expectations import _Partials
from ntk_sklearn.duals.exponential_kink import _Radial
from ntk_sklearn.duals.orthants import Orthant
from ntk_sklearn.duals.truncated import truncated_powers

KINKED = [
    ELU(), ELU(0.5), SELU(), HardTanh(-0.3, 1.7), ReLU6(),
    Elementwise(F.hardswish, (-3, 3)), Elementwise(F.softshrink, (-0.5, 0.5)),
]  # fmt: skip


def columns(*values):
    return (torch.tensor(value, dtype=torch.float64) for value in zip(*values, strict=True))


# standard deviations and the angle, near 0 or (negative) so near to pi
NEAR = [
    (1.0, 1.0, 0.3), (1.0, 1.0, -0.2), (1.0, 1.02, 1e-2), (0.9, 2.0, -1e-3), (1.0, 1.0, 1e-4),
    (0.3, 1.5, 1e-6), (4.0, 4.0 + 1e-6, 1e-7), (3.0, 2.0, 1e-8), (2.0, 2.0, -1e-8),
]  # fmt: skip
WIDE = [
    (30.0, 30.0, 1e-2), (30.0, 31.0, 1e-5), (31.0, 0.01, 1e-3), (28.0, 31.0, -1e-6),
    (31.0, 31.0, -0.1), (1e-3, 1e-3, 1e-4), (1e-3, 31.0, -1e-5),
]  # fmt: skip


@pytest.mark.parametrize("points", [NEAR, pytest.param(WIDE, marks=pytest.mark.slow)])
@pytest.mark.parametrize("dual", KINKED, ids=repr)
def test_quadrature(dual, points):
    # T and T', and their derivatives in the cosine and the logarithms of the deviations
    a, b, angle = columns(*points)
    sine, cosine = angle.abs().sin(), torch.where(angle < 0, -1.0, 1.0) * angle.cos()
    half = (angle.abs() / 2.0).sin()
    expected = direct(dual, a, b, half, angle < 0, partials=True)
    found = torch.stack(_Partials.apply(dual, cosine, sine * sine, a, b))
    own = [dual.covariance(GaussianPair(s * s, s * s, s * s)) for s in (a, b)]
    value, slope = ((x * z).sqrt().clamp(min=1e-15) for x, z in zip(*own, strict=True))
    # the quadrature loses digits of derivatives at small angles
    of_cosine, of_log = slope / sine**2, slope / sine
    scales = torch.stack([value, slope, of_cosine, value, value, of_log, of_log])
    assert ((found - expected).abs() / scales).max() < 1e-8


@pytest.mark.parametrize("dual", KINKED, ids=repr)
def test_the_rest_has_no_kinks(dual):
    part, kinks = dual.kinked_part(), torch.tensor(dual.kinks, dtype=torch.float64)
    step = 1e-4
    slopes = [dual.slope(x) - part.slope(x) for x in (kinks - step, kinks + step)]
    assert (slopes[1] - slopes[0]).abs().max() < 4.0 * step
    x = torch.linspace(-7.0, 7.0, 57, dtype=torch.float64) + 0.0123
    torch.testing.assert_close(
        part.slope(x), Elementwise(part.phi).slope(x), rtol=1e-12, atol=1e-12
    )


def test_jumps():
    (part,) = truncated_powers(Elementwise(F.selu, (0.0,))).parts
    alpha, scale = SELU().alpha, SELU().scale
    expected = [0.0, scale * (1.0 - alpha), -scale * alpha / 2.0, -scale * alpha / 6.0]
    assert part.powers == pytest.approx(expected, abs=1e-8)
    declared = truncated_powers(Elementwise(torch.relu, (-1.0, 0.0, 0.7)))
    assert [part.kink for part in declared.parts] == [0.0]


@pytest.mark.parametrize(
    "h, k, angle",
    [(0.0, 0.7, 2.9), (1.0, 1.0 + 1e-5, 1e-5), (5.0, 0.1, 3.0),
     *(pytest.param(*point, marks=pytest.mark.slow) for point in
       [(0.0, 0.0, 1.0), (0.0, 0.0, 1e-9), (1.0, 1.0, 1e-6), (2.0, 2.5, 0.3)])],
)  # fmt: skip
def test_orthants(h, k, angle):
    with mp.workdps(30):
        c, s = mp.cos(angle), mp.sin(angle)
        inner = lambda x, n: sum(  # noqa: E731
            (mp.binomial(n, j) * (c * x - k) ** (n - j) * s**j * _partial((k - c * x) / s, j))
            for j in range(n + 1)
        )
        at = {mp.mpf(k) / c + w * s for w in (-9, -3, 0, 3, 9)}
        cuts = sorted(x for x in {mp.mpf(h), *at, h + 1, h + 4, h + 14} if h <= x <= h + 14)
        of = lambda m, n: mp.quad(lambda x: mp.npdf(x) * (x - h) ** m * inner(x, n), cuts)  # noqa: E731
        expected = {(m, n): float(of(m, n)) for m, n in ((0, 0), (1, 1), (2, 3))}
    orthant = Orthant(*columns((h, k, math.cos(angle), math.sin(angle))))
    found = orthant.moments(2, 3)
    for key, value in expected.items():
        assert found[key].item() == pytest.approx(value, abs=1e-13)


def _partial(low, j):
    """E[n^j; n > low] for a standard normal n."""
    if j == 0:
        return mp.ncdf(-low)
    if j == 1:
        return mp.npdf(low)
    return low ** (j - 1) * mp.npdf(low) + (j - 1) * _partial(low, j - 2)


@pytest.mark.parametrize("w", [0.0, 0.5, 19.0, 21.0, 63.0])
def test_radial_integrals(w):
    radial = _Radial(*columns((w,)))
    for n, found in ((0, radial.mills), (1, radial.first), (2, radial.second), (3, radial.third)):
        expected = mp.quad(
            lambda r, n=n: r**n * mp.exp(-r * r / 2 - w * r), [0, 0.05, 0.3, 2, 6, 15]
        )
        # differences of terms of size w^n / w
        assert found.item() == pytest.approx(float(expected), abs=1e-14 * (1.0 + w) ** n)
