"""Power laws of spectra that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn.inference import SphereSpectrum, multiplicities


def spectrum(p, values, errors=0.0):
    many = multiplicities(p, len(values) - 1)
    return SphereSpectrum(p, values, many, 1.5 * float(many @ values), np.full(len(values), errors))


@pytest.mark.parametrize("p, offset", [(2, 0.0), (3, 0.5), (6, 2.0)])
def test_power_laws_are_in_the_shifted_degree(p, offset):
    k = np.arange(1, 21)
    found = spectrum(p, np.r_[7.0, 0.3 * (k + offset) ** -2.5])
    assert found.offset == offset
    slope, intercept = found.power_law(range(3, 20))
    assert (slope, np.exp(intercept)) == pytest.approx((-2.5, 0.3), rel=1e-11)
    assert found.slope(range(3, 20)) == slope
    assert found.tail == pytest.approx(found.diagonal / 3)


def test_eigenvalues_within_their_errors_are_not_resolved():
    found = spectrum(3, np.array([1.0, 0.5, 1e-3, -1e-4]), errors=1e-2)
    assert found.degrees.tolist() == [0, 1, 2, 3]
    assert found.resolved.tolist() == [1.0, 0.5, 0.0, 0.0]


@pytest.mark.parametrize(
    "p, degrees, told",
    [
        (3, [4], "two or more"),
        (3, [], "two or more"),
        (3, [0, 5], "from 0 to 4"),
        (2, [0, 1, 2], "from 1 to 4"),  # log 0
        (3, [1, 3], r"degrees \[3\] are zero to rounding"),
    ],
)
def test_laws_that_do_not_exist(p, degrees, told):
    found = spectrum(p, np.array([1.0, 0.5, 0.2, 0.0, 0.1]))
    with pytest.raises(ValueError, match=told):
        found.power_law(degrees)


@pytest.mark.parametrize("degrees", [(2, 2), (1.5, 4.0), (1, 9)])
def test_slopes_need_different_integers(degrees):
    found = spectrum(3, np.linspace(1.0, 0.1, 9))
    with pytest.raises(ValueError, match="degrees must be two or more different integers from 0"):
        found.slope(degrees)
