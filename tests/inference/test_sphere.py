"""Funk-Hecke integrals against closed forms, 30-digit quadrature and circulant matrices."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy.special import eval_gegenbauer, gammaln, ive

from ntk_sklearn.inference import funk_hecke, gegenbauer, multiplicities

EVEN = range(10, 61, 2)
DIMENSIONS = range(2, 11)


def ntk(angles):
    """u kappa_0(u) + kappa_1(u), of one bias-free hidden ReLU layer (Bietti and Mairal 2019)."""
    return 2 * np.cos(angles) * (1 - angles / np.pi) + np.sin(angles) / np.pi


def nngp(angles):
    return np.cos(angles) * (1 - angles / np.pi) + np.sin(angles) / np.pi


@pytest.mark.parametrize("p", DIMENSIONS)
def test_poisson_kernel_has_powers_as_eigenvalues(p):
    r = 0.9
    found = funk_hecke(lambda a: (1 - r**2) / (1 - 2 * r * np.cos(a) + r**2) ** (p / 2), p)
    np.testing.assert_allclose(found.eigenvalues, r**found.degrees, rtol=1e-12)
    assert found.diagonal == pytest.approx((1 + r) / (1 - r) ** (p - 1))


@pytest.mark.parametrize("p", DIMENSIONS)
def test_exponential_kernel_has_bessel_functions_as_eigenvalues(p):
    s, k = 2.0, np.arange(61)  # larger ones: rounding of the exponent matters
    log_factor = gammaln(p / 2) + (p / 2 - 1) * np.log(2 / s)
    expected = np.exp(log_factor) * ive(k + p / 2 - 1, s)  # exp(-s) times I
    found = funk_hecke(lambda a: np.exp(s * (np.cos(a) - 1)), p)
    assert (np.abs(found.eigenvalues - expected) <= found.errors + 1e-12 * expected).all()
    np.testing.assert_allclose(found.eigenvalues[:8], expected[:8], rtol=1e-10)


def test_circle_closed_form():
    """Even degrees of the ReLU NTK on the circle, by partial integration."""
    k = np.arange(2, 61, 2)
    expected = (2 / (k + 1) ** 2 + 2 / (k - 1) ** 2 - 2 / (k**2 - 1)) / np.pi**2
    np.testing.assert_allclose(funk_hecke(ntk, 2).eigenvalues[2::2], expected, rtol=1e-11)


@pytest.mark.parametrize("p, k", [(2, 60), (5, 40), (10, 20), (10, 60)])
@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_against_thirty_digits(p, k, kernel):
    found = funk_hecke({"ntk": ntk, "nngp": nngp}[kernel], p)
    factor = 2 if kernel == "ntk" else 1
    with mp.workdps(30):

        def integrand(a):
            u, order = mp.cos(a), mp.mpf(p - 2) / 2
            value = factor * u * (1 - a / mp.pi) + mp.sin(a) / mp.pi
            if p == 2:
                return value * mp.cos(k * a)
            top = mp.gegenbauer(k, order, 1)
            return value * mp.gegenbauer(k, order, u) / top * mp.sin(a) ** (p - 2)

        area = mp.gamma(mp.mpf(p) / 2) / (mp.sqrt(mp.pi) * mp.gamma(mp.mpf(p - 1) / 2))
        expected = float(area * mp.quad(integrand, mp.linspace(0, mp.pi, 5)))
    assert abs(found.eigenvalues[k] - expected) <= found.errors[k]
    assert found.errors[k] < 1e-3 * expected


@pytest.mark.parametrize("p", DIMENSIONS)
def test_spectrum_of_one_hidden_layer_without_bias(p):
    """mu_0, mu_1 > 0 and mu_1 = 1 / p, mu_k = 0 for odd k >= 3, and the slopes on even degrees."""
    found = funk_hecke(ntk, p)
    assert found.eigenvalues[0] > 0.1
    assert found.eigenvalues[1] == pytest.approx(1 / p, rel=1e-13)
    odd = slice(3, None, 2)
    assert (np.abs(found.eigenvalues[odd]) <= found.errors[odd]).all()
    assert found.errors[odd].max() < 1e-14
    assert (found.eigenvalues[2::2] > 1e4 * found.errors[2::2]).all()
    assert found.slope(EVEN) == pytest.approx(-p, rel=0.02)
    assert funk_hecke(nngp, p).slope(EVEN) == pytest.approx(-p - 2, rel=0.02)


@pytest.mark.parametrize("p, off", [(6, 0.06), (10, 0.12)])
def test_the_shift_of_the_degree_is_needed(p, off):
    found, k = funk_hecke(ntk, p), np.array(EVEN)
    slope = np.polyfit(np.log(k), np.log(found.eigenvalues[k]), 1)[0]
    assert 1 + slope / p == pytest.approx(off, abs=0.01)
    assert abs(1 + funk_hecke(ntk, p).slope(range(4, 21, 2)) / p) > 0.02  # and degrees from 10 on


def test_laplace_kernel_on_the_circle():
    """exp(-chord) has a kink at 0 and falls like k^-2, odd degrees with even ones."""
    found = funk_hecke(lambda a: np.exp(-2 * np.sin(a / 2)), 2)
    assert found.slope(range(10, 61)) == pytest.approx(-2, rel=0.02)


@pytest.mark.parametrize("p", [2, 3, 6])
def test_eigenvalues_sum_to_the_diagonal(p):
    """With the rest of the sum from the law of the tail: N(p, k) mu_k falls like k^-2."""
    found = funk_hecke(ntk, p, 1000)
    assert found.diagonal == 2.0
    terms = found.multiplicities * found.eigenvalues
    k = (found.degrees + (p - 2) / 2)[500::2]
    law = np.polynomial.Polynomial.fit(1 / k**2, terms[500::2] * k**2, 2)
    rest = law(0.0) / (2 * (k[-1] + 1))  # sum of 1 / k^2 over even k behind the last one
    assert found.tail == pytest.approx(rest, rel=1e-3)
    assert found.tail < 2e-3


@pytest.mark.parametrize("p", [2, 3, 10])
def test_errors_are_no_smaller_than_what_is_wrong_up_to_high_degrees(p):
    found = funk_hecke(ntk, p, 1000)
    assert (np.abs(found.eigenvalues) <= found.errors)[3::2].all()


def test_mean_square_is_the_sum_of_squares():
    """Parseval on S^2: the mean of kappa^2 over the sphere, in mpmath."""
    found = funk_hecke(ntk, 3, 300)
    expected = mp.quad(
        lambda a: (2 * mp.cos(a) * (1 - a / mp.pi) + mp.sin(a) / mp.pi) ** 2 * mp.sin(a) / 2,
        [0, mp.pi],
    )
    assert found.multiplicities @ found.eigenvalues**2 == pytest.approx(float(expected), rel=1e-8)


def test_gram_on_the_circle():
    """A circulant: its eigenvalues are those mu_k that n points cannot tell apart, summed."""
    n = 64
    angles = 2 * np.pi * np.arange(n) / n
    folded = np.minimum(angles, 2 * np.pi - angles)
    gram = np.linalg.eigvalsh(ntk(folded)[(np.arange(n)[:, None] - np.arange(n)) % n]) / n
    fourier = np.fft.fft(ntk(folded)).real / n
    np.testing.assert_allclose(gram, np.sort(fourier), atol=1e-14)

    def mu(k):  # the closed form of even degrees
        return (2 / (k + 1) ** 2 + 2 / (k - 1) ** 2 - 2 / (k**2 - 1)) / mp.pi**2

    found = funk_hecke(ntk, 2).eigenvalues
    for k in range(2, 33, 2):
        rest = mp.nsum(lambda j, k=k: mu(k + j * n) + mu(j * n - k), [1, mp.inf])
        assert found[k] + float(rest) == pytest.approx(fourier[k], abs=1e-12)
    assert found[1] == pytest.approx(fourier[1], abs=1e-14)  # odd degrees have no aliases


def test_gram_on_the_circle_of_a_smooth_kernel():
    """exp(2 cos): eigenvalues beyond 32 are below rounding, so nothing is summed."""
    n = 64
    fourier = np.fft.fft(np.exp(2 * np.cos(2 * np.pi * np.arange(n) / n))).real / n
    found = funk_hecke(lambda a: np.exp(2 * np.cos(a)), 2, 32)
    np.testing.assert_allclose(found.eigenvalues, fourier[:33], atol=1e-14)


@pytest.mark.parametrize("p", [3, 4, 7])
def test_polynomials(p):
    angles = np.linspace(0, np.pi, 50)
    found = gegenbauer(p, 20, angles)
    for k in (0, 1, 2, 7, 20):
        top = eval_gegenbauer(k, p / 2 - 1, 1.0)
        expected = eval_gegenbauer(k, p / 2 - 1, np.cos(angles)) / top
        np.testing.assert_allclose(found[k], expected, atol=1e-13)
    assert gegenbauer(p, 0, angles).shape == (1, 50)
    np.testing.assert_allclose(gegenbauer(2, 5, angles)[5], np.cos(5 * angles), atol=1e-15)


@pytest.mark.parametrize("p", DIMENSIONS)
def test_multiplicities_count_harmonic_polynomials(p):
    """Homogeneous polynomials of degree k, without |x|^2 times those of degree k - 2."""

    def homogeneous(k):
        return mp.binomial(k + p - 1, p - 1) if k >= 0 else 0

    expected = [float(homogeneous(k) - homogeneous(k - 2)) for k in range(31)]
    np.testing.assert_array_equal(multiplicities(p, 30), expected)


def test_a_kernel_that_is_not_smooth_inside_is_told_of():
    with pytest.warns(RuntimeWarning, match="not smooth"):
        funk_hecke(lambda a: (a < 1.0).astype(float), 3)


@pytest.mark.parametrize(
    "arguments, told",
    [
        ((ntk, 1), "dimension must be"),
        ((ntk, 2.5), "dimension must be"),
        ((ntk, 3, -1), "max_degree must be"),
        ((lambda a: a[:2], 3), "profile must return"),
        ((lambda a: a * np.nan, 3), "profile must return"),
    ],
)
def test_refusals(arguments, told):
    with pytest.raises(ValueError, match=told):
        funk_hecke(*arguments)


@pytest.mark.parametrize(
    "degrees, told", [([4], "two or more"), ([50, 70], "0 to 60"), ([3, 5], "zero to rounding")]
)
def test_slopes_that_do_not_exist(degrees, told):
    with pytest.raises(ValueError, match=told):
        funk_hecke(ntk, 3).slope(degrees)


@pytest.mark.parametrize("degrees", [(0, 2), (2, 2), (1.5, 4.0), (1, 9)])
def test_slopes_need_degrees(degrees):
    poisson = funk_hecke(lambda a: 0.75 / (1.25 - np.cos(a)), dimension=2, max_degree=8)
    with pytest.raises(ValueError, match="degrees must be two or more different integers from 1"):
        poisson.slope(degrees)
