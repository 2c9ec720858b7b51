"""The formulas of lanes against the dual activations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from dual_cases import ACTIVATIONS
from lane_loops import apply

from ntk_sklearn.backends.fused.activations import CARRIES, FORMULAS, lower, table
from ntk_sklearn.backends.fused.normalization import Masking, Normalization, Rescaling
from ntk_sklearn.backends.fused.program import NotFusedError
from ntk_sklearn.duals import (
    ABReLU,
    Abs,
    DualActivation,
    Erf,
    Exp,
    Gabor,
    GaussianPair,
    LeakyReLU,
    Polynomial,
    ReLU,
)

FUSED = {name: dual for name, dual in ACTIVATIONS.items() if not isinstance(dual, Polynomial)}
N = 3000
each_dual = pytest.mark.parametrize("dual", FUSED.values(), ids=FUSED)
EPS = {np.dtype(np.float32): 2.0**-23, np.dtype(np.float64): 2.0**-52}


def variances(low: float, high: float, seed: int) -> np.ndarray:
    return 10.0 ** np.random.default_rng(seed).uniform(math.log10(low), math.log10(high), N)


def fused(dual: DualActivation, q, var_x, var_z) -> list[np.ndarray]:
    lowered = lower(dual)
    (ux, wx), (uz, wz) = ((t.numpy() for t in table(dual, torch.tensor(v))) for v in (var_x, var_z))
    return apply(FORMULAS[lowered.kind], [q, ux, wx, uz, wz], lowered.parameters, 2)


def plain(dual: DualActivation, *numbers: np.ndarray) -> list[np.ndarray]:
    """The dual itself, in the precision of the numbers: q, var_x, var_z and perhaps sine2."""
    pair = GaussianPair(*(torch.tensor(v) for v in numbers))
    return [value.numpy() for value in dual.covariance(pair)]


def scales(dual: DualActivation, var_x, var_z) -> list[np.ndarray]:
    """Geometric means of T and of T' of the two inputs with themselves."""
    own = [plain(dual, v, v, v, np.zeros_like(v)) for v in (var_x, var_z)]
    return [np.sqrt(x * z) for x, z in zip(*own, strict=True)]


def errors(dual, found, expected, var_x, var_z) -> list[float]:
    parts = zip(found, expected, scales(dual, var_x, var_z), strict=True)
    return [float(np.max(np.abs(f - e) / np.where(s > 0, s, 1.0))) for f, e, s in parts]


@each_dual
@pytest.mark.parametrize("low, high", [(1e-6, 1e-2), (0.1, 10.0), (10.0, 1e3), (1e-6, 1e3)])
def test_apart(dual, low, high):
    var_x, var_z = variances(low, high, 0), variances(low, high, 1)
    angle = np.concatenate([np.linspace(1e-3, np.pi - 1e-3, N // 2), np.geomspace(1e-3, 1, N // 2)])
    q = np.cos(angle) * np.sqrt(var_x * var_z)
    found, expected = fused(dual, q, var_x, var_z), plain(dual, q, var_x, var_z)
    assert max(errors(dual, found, expected, var_x, var_z)) < 1e-12


@each_dual
@pytest.mark.parametrize("side", [1, -1])
def test_nearly_parallel(dual, side):
    var_x, var_z = variances(1e-6, 1e3, 0), variances(1e-6, 1e3, 1)
    q = side * np.cos(np.geomspace(1e-9, 1e-3, N)) * np.sqrt(var_x * var_z)
    found, expected = fused(dual, q, var_x, var_z), plain(dual, q, var_x, var_z)
    assert max(errors(dual, found, expected, var_x, var_z)) < 1e-7


@each_dual
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("side", [1, -1])
def test_equal_and_antiparallel_up_to_rounding(dual, side, dtype):
    v = variances(1e-6, 10.0, 0).astype(dtype)
    eps = EPS[v.dtype]
    q = (side * v * (1 - eps * np.random.default_rng(1).integers(-6, 7, N))).astype(dtype)
    wide = v.astype(np.float64)
    expected = plain(dual, side * wide, wide, wide, np.zeros_like(wide))
    assert max(errors(dual, fused(dual, q, v, v), expected, wide, wide)) < 60 * eps


@each_dual
@pytest.mark.parametrize("high", [1.0, 1e3])
def test_single_precision_is_no_worse_than_plain(dual, high):
    var_x, var_z = variances(1e-2, high, 0), variances(1e-2, high, 1)
    q = np.cos(np.linspace(0, np.pi, N)) * np.sqrt(var_x * var_z)
    single = [a.astype(np.float32) for a in (q, var_x, var_z)]
    exact = plain(dual, *(a.astype(np.float64) for a in single))
    for found, own, value in zip(fused(dual, *single), plain(dual, *single), exact, strict=True):
        kept = np.isfinite(own) & np.isfinite(value)
        bound = max(2 * np.abs(own - value)[kept].max(), 2e-6 * np.abs(value[kept]).max())
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(own))
        assert np.abs(found - value)[kept].max() <= bound


@each_dual
def test_zero_variances(dual):
    zero, v = np.zeros(4), np.array([0.0, 1e-6, 1.0, 1e3])
    for var_x, var_z in ((zero, v), (v, zero)):
        found, expected = fused(dual, zero, var_x, var_z), plain(dual, zero, var_x, var_z)
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=2e-15)


@pytest.mark.parametrize("dual", [ReLU(), LeakyReLU(0.2), Abs(), ABReLU(0.5, -0.7)])
def test_snapped_pairs_are_exact(dual):
    v = variances(1e-6, 1e3, 0)
    for side in (1.0, -1.0):
        (value, slope) = fused(dual, side * v * (1 - 2.0**-50), v, v)
        expected = plain(dual, side * v, v, v, np.zeros(N))
        np.testing.assert_allclose(value, expected[0], rtol=1e-15)
        np.testing.assert_allclose(slope, expected[1], rtol=4e-16)


def test_not_a_number_stays():
    for dual in FUSED.values():
        value, _ = fused(dual, np.full(16, np.nan), np.ones(16), np.ones(16))
        assert np.isnan(value).all()


class Steeper(ABReLU):
    """A user's class: it may mean another function."""


class Plain(DualActivation):
    """No dataclass, with a method of its own for everything."""

    phi = variance = covariance = lambda self, x: x


@pytest.mark.parametrize(
    "dual",
    [
        Plain(),
        Steeper(),
        Polynomial((0.0, 1.0)),
        ABReLU(0.0, torch.tensor(1.0)),
        Erf(torch.nn.Parameter(torch.tensor(1.0))),
    ],
)
def test_what_has_no_fused_form(dual):
    with pytest.raises(NotFusedError, match=type(dual).__name__):
        lower(dual)


def test_tables_of_what_has_no_fused_form():
    with pytest.raises(TypeError, match="Gabor has no fused form"):
        table(Gabor(), torch.ones(2))


def test_parameters_have_one_type():
    assert {type(p) for p in lower(Exp(1, 2)).parameters} == {float}


def test_kinds():
    layers = (Normalization(0.1), Masking(0.2), Rescaling((1.0, 0.5), (1.0,)))
    kinds = [lower(dual).kind for dual in (*FUSED.values(), *layers)]
    assert set(kinds) == set(range(len(FORMULAS))) == set(range(len(CARRIES)))
    assert lower(ReLU()).kind == lower(Abs()).kind != lower(Erf()).kind
