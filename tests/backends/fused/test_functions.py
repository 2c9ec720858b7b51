"""Elementary functions of lanes against 40 digits, in units in the last place."""

from __future__ import annotations

import importlib
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from lane_loops import apply

from ntk_sklearn.backends.fused import coefficients, functions

mp.mp.dps = 40
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def angle_over_sine(g):
    return mp.acos(1 - g) / mp.sqrt(g * (2 - g)) if g else mp.mpf(1)


def bend_over_root(g):
    t = mp.acos(1 - g)
    return (mp.sin(t) - t * mp.cos(t)) / (g * mp.sqrt(g)) if g else mp.sqrt(8) / 3


def ulps(function, exact, x) -> np.ndarray:
    """Errors in units in the last place of the exact values."""
    (found,) = apply(function, [x])
    expected = [exact(mp.mpf(float(v))) for v in x]
    sizes = np.spacing(np.abs(np.array([float(e) for e in expected]).astype(x.dtype)))
    errors = [mp.mpf(float(f)) - e for f, e in zip(found, expected, strict=True)]
    return np.abs([float(e / float(s)) for e, s in zip(errors, sizes, strict=True)])


def unit_interval(dtype, top=1.0):
    """Dense, close to both ends, and the ends."""
    small = 10.0 ** np.linspace(-25, -1, 200)
    x = np.concatenate([[0.0, 1.0], np.linspace(0.0, 1.0, 700), small, 1.0 - small])
    return (top * x).astype(dtype)


@each_dtype
@pytest.mark.parametrize(
    "function, exact, top",
    [
        (functions.angle_over_sine, angle_over_sine, 1.0),
        (functions.near_angle_over_sine, angle_over_sine, 0.2929),
        (functions.bend_over_root, bend_over_root, 1.0),
    ],
)
def test_angles(function, exact, top, dtype):
    # one term less in float64 costs angle_over_sine 8 units at t = pi / 2, where nothing amplifies
    bound = 9 if (function, dtype) == (functions.angle_over_sine, np.float64) else 3
    assert ulps(function, exact, unit_interval(dtype, top)).max() < bound


@pytest.mark.parametrize("dtype, top", [(np.float32, 88.7), (np.float64, 709.7)])
def test_exp(dtype, top):
    x = np.concatenate([np.linspace(-0.98 * top, top, 1500), [0.0], 10.0 ** np.arange(-30.0, 0)])
    assert ulps(functions.exp, mp.exp, x.astype(dtype)).max() < 1.5


@each_dtype
def test_exp_beyond_the_range_of_numbers(dtype):
    bottom, top = np.log(np.finfo(dtype).smallest_subnormal), np.log(np.finfo(dtype).max)
    x = np.array([bottom - 1, -1e30, -np.inf, top + 1, 1e30, np.inf, np.nan], dtype)
    (found,) = apply(functions.exp, [x])
    np.testing.assert_array_equal(found, [0, 0, 0, np.inf, np.inf, np.inf, np.nan])


@each_dtype
def test_exp_of_subnormal_results(dtype):
    info = np.finfo(dtype)
    x = np.linspace(np.log(info.smallest_subnormal) + 1, np.log(info.tiny), 100).astype(dtype)
    (found,) = apply(functions.exp, [x])
    error = np.abs(found.astype(np.longdouble) - np.exp(x.astype(np.longdouble)))
    assert error.max() < 2 * info.smallest_subnormal


@each_dtype
def test_expm1(dtype):
    x = -np.concatenate([np.linspace(0.0, 50.0, 1500), 10.0 ** np.linspace(-30, 30, 200)])
    assert ulps(functions.expm1, mp.expm1, x.astype(dtype)).max() < 2


@each_dtype
def test_lanes_do_not_depend_on_their_position(dtype):
    x = np.linspace(0.0, 1.0, 333).astype(dtype)
    for function in (functions.angle_over_sine, functions.bend_over_root, functions.exp):
        (whole,), (shifted,) = apply(function, [x]), apply(function, [x[5:]])
        np.testing.assert_array_equal(whole[5:], shifted)


@pytest.mark.slow
def test_coefficients_are_what_the_script_writes(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "tools")
    minimax = importlib.import_module("minimax")
    assert minimax.module() == Path(coefficients.__file__).read_text(encoding="utf-8")
