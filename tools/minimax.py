"""Coefficients of the minimax polynomials of the fused engine, by Remez's exchange algorithm.

``python tools/minimax.py > ntk_sklearn/backends/fused/coefficients.py`` writes them all, with the
largest weighted error of each after rounding to its precision.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mpmath import acos, cos, expm1, log, lu_solve, matrix, mp, mpf, pi, polyval, sin, sqrt

mp.dps = 40
Function = Callable[[mpf], mpf]


@dataclass(frozen=True)
class Fit:
    """A function on an interval, the weight of its error, and one degree for each precision."""

    function: Function
    weight: Function
    interval: tuple[mpf, mpf]
    single: int
    double: int


def polynomial(fit: Fit, degree: int, digits: str) -> tuple[list[float], mpf]:
    """Rounded coefficients, constant term first, and the largest weighted error."""
    found = [rounded(c, digits) for c in remez(fit, degree)]
    return found, max(abs(error(fit, found, x)) for x in chebyshev(fit.interval, 2000))


def rounded(x: mpf, digits: str) -> float:
    """The nearest number of a precision, "f" or "d"."""
    return float(struct.unpack(digits, struct.pack(digits, float(x)))[0])


def chebyshev(interval: tuple[mpf, mpf], n: int) -> list[mpf]:
    """The zeros of the Chebyshev polynomial of degree n."""
    middle, half = (interval[1] + interval[0]) / 2, (interval[1] - interval[0]) / 2
    return [middle - half * cos(pi * (2 * i + 1) / (2 * n)) for i in range(n)]


def error(fit: Fit, coefficients: Sequence[mpf], x: mpf) -> mpf:
    """The weighted error of a polynomial at x."""
    return fit.weight(x) * (fit.function(x) - polyval(coefficients[::-1], x))


def remez(fit: Fit, degree: int) -> list[mpf]:
    """The coefficients that make the largest weighted error smallest."""
    grid = chebyshev(fit.interval, 40 * (degree + 2))
    points = [40 * i + 20 for i in range(degree + 2)]
    for _ in range(12):
        coefficients = _levelled(fit, [grid[p] for p in points])
        found = _alternating([error(fit, coefficients, x) for x in grid])
        if len(found) != len(points) or found == points:
            break
        points = found
    return coefficients


def _levelled(fit: Fit, points: list[mpf]) -> list[mpf]:
    """Coefficients whose weighted errors at the points are equal and of alternating sign."""
    n = len(points)
    system = matrix(n, n)
    for i, x in enumerate(points):
        for j in range(n - 1):
            system[i, j] = x**j
        system[i, n - 1] = (-1) ** i / fit.weight(x)
    return list(lu_solve(system, matrix([fit.function(x) for x in points])))[:-1]


def _alternating(errors: list[mpf]) -> list[int]:
    """The largest errors of the successive stretches of one sign."""
    peaks: list[int] = []
    for i, e in enumerate(errors):
        if not peaks or (errors[peaks[-1]] > 0) != (e > 0):
            peaks.append(i)
        elif abs(e) > abs(errors[peaks[-1]]):
            peaks[-1] = i
    return peaks


def angle_over_sine(g: mpf) -> mpf:
    """t / sin t with cos t = 1 - g."""
    return acos(1 - g) / sqrt(g * (2 - g))


def angle_rest(g: mpf) -> mpf:
    """(t / sin t - 1) / g."""
    return (angle_over_sine(g) - 1) / g


def bend_over_root(g: mpf) -> mpf:
    """(sin t - t cos t) / g^1.5 with cos t = 1 - g."""
    t = acos(1 - g)
    return (sin(t) - t * cos(t)) / (g * sqrt(g))


def exp_rest(r: mpf) -> mpf:
    """(exp(r) - 1 - r) / r^2."""
    return (expm1(r) - r) / (r * r)


UNIT = (mpf(0), mpf(1))
NEAR = (mpf(0), 1 - sqrt(mpf(2)) / 2)
TURN = (-log(2) / 2, log(2) / 2)
FITS = {
    "ANGLE_REST": Fit(angle_rest, lambda g: g / angle_over_sine(g), UNIT, 7, 17),
    "NEAR_ANGLE_REST": Fit(angle_rest, lambda g: g / angle_over_sine(g), NEAR, 3, 9),
    "BEND_OVER_ROOT": Fit(bend_over_root, lambda g: 1 / bend_over_root(g), UNIT, 6, 15),
    "EXP_REST": Fit(exp_rest, lambda r: r * r / abs(expm1(r)), TURN, 5, 10),
}
HEADER = '''"""Minimax polynomials, constant term first; written by `tools/minimax.py`.

Each has one set of coefficients for float32 and one for float64, with their relative errors.
"""

from __future__ import annotations

Coefficients = tuple[tuple[float, ...], tuple[float, ...]]
'''


def table(name: str, fit: Fit) -> str:
    """The two sets of coefficients of a fit as Python code."""
    lines = [f"\n{name}: Coefficients = (\n"]
    for degree, digits in ((fit.single, "f"), (fit.double, "d")):
        found, largest = polynomial(fit, degree, digits)
        lines += [
            f"    (  # {float(largest):.1e}\n",
            *(f"        {c!r},\n" for c in found),
            "    ),\n",
        ]
    return "".join([*lines, ")\n"])


def module() -> str:
    """All coefficients as a Python module."""
    return HEADER + "".join(table(name, fit) for name, fit in FITS.items())


if __name__ == "__main__":
    sys.stdout.write(module())
