"""Carried angles in lanes against the arithmetic of Gaussian pairs."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
import torch
from dual_cases import ACTIVATIONS
from exact_recursion import errors, exact_kernels
from fused_kernels import DOUBLE, FUSED, SINGLE, matrix, problem_of
from lane_loops import apply

from ntk_sklearn.architecture import Activation, Dense, Serial, residual
from ntk_sklearn.backends.fused import carried
from ntk_sklearn.backends.fused.activations import CARRIED, CARRIES, flat_table, lower
from ntk_sklearn.backends.fused.flat_rows import start_angles
from ntk_sklearn.duals import (
    ABReLU,
    Abs,
    DualActivation,
    Erf,
    GaussianPair,
    LeakyReLU,
    Linear,
    Polynomial,
    ReLU,
    Sign,
    sine2_of_sum,
)
from ntk_sklearn.kernels import NNGP
from ntk_sklearn.networks import FullyConnected

N = 2000
SMALL = np.geomspace(1e-9, 1e-2, N // 4)
ANGLES = np.concatenate([[0.0, np.pi], SMALL, np.pi - SMALL, np.linspace(0, np.pi, N // 2)])
SINE2 = np.concatenate([[0.0, 0.0], np.sin(SMALL) ** 2, np.sin(SMALL) ** 2])
SINE2 = np.concatenate([SINE2, np.sin(np.linspace(0, np.pi, N // 2)) ** 2])
CARRYING = [
    name
    for name, dual in ACTIVATIONS.items()
    if not isinstance(dual, Polynomial) and CARRIES[lower(dual).kind]
]
each_carrying = pytest.mark.parametrize("dual", [ACTIVATIONS[n] for n in CARRYING], ids=CARRYING)


def pairs(seed: int = 0) -> tuple[np.ndarray, ...]:
    """Covariance, squared sine and two variances for all angles."""
    exponents = np.random.default_rng(seed).uniform(-6, 3, (2, ANGLES.size))
    var_x, var_z = 10.0**exponents
    return np.cos(ANGLES) * np.sqrt(var_x * var_z), SINE2.copy(), var_x, var_z


def scale_of(dual: DualActivation, pair: GaussianPair) -> np.ndarray:
    """Geometric means of T of the two inputs with themselves."""
    return (dual.variance(pair.var_x) * dual.variance(pair.var_z)).sqrt().numpy()


def as_pair(q, sine2, var_x, var_z) -> GaussianPair:
    return GaussianPair(*(torch.as_tensor(v) for v in (q, var_x, var_z, sine2)))


def fused(dual, q, sine2, var_x, var_z) -> list[np.ndarray]:
    lowered = lower(dual)
    tables = [t.numpy() for v in (var_x, var_z) for t in flat_table(dual, torch.tensor(v))]
    return apply(CARRIED[lowered.kind], [q, sine2, *tables], lowered.parameters, 3)


@each_carrying
def test_activations(dual):
    q, sine2, var_x, var_z = pairs()
    pair = as_pair(q, sine2, var_x, var_z)
    value, slope, behind = fused(dual, q, sine2, var_x, var_z)
    expected = dual.covariance(pair)
    scale = scale_of(dual, pair)
    assert (np.abs(value - expected[0].numpy()) <= 1e-14 * scale).all()
    np.testing.assert_allclose(slope, expected[1].numpy(), rtol=0, atol=4e-15)
    if not isinstance(dual, Erf):  # whose own loses digits at small variances
        # the dual's own sine behind it loses digits at small angles, unlike its square
        np.testing.assert_allclose(behind, dual.sine2(pair).numpy(), rtol=1e-12, atol=1e-18)


@each_carrying
def test_single_precision(dual):
    single = [v.astype(np.float32) for v in pairs()]
    wide = [v.astype(np.float64) for v in single]
    scale = scale_of(dual, as_pair(*wide))
    found, expected = fused(dual, *single), fused(dual, *wide)
    assert (np.abs(found[0] - expected[0]) <= 2e-6 * scale).all()
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=1e-6)
    if not isinstance(dual, Erf):  # whose variances behind it have angles of their own
        np.testing.assert_allclose(found[2], expected[2], rtol=1e-5, atol=1e-13)


def exact_sine2(dual: ABReLU, angle: float) -> float:
    """From the correlation behind the activation, to 60 digits."""
    with mp.workdps(60):
        t, a, b = mp.mpf(angle), mp.mpf(dual.a), mp.mpf(dual.b)
        half, kink = (a * a + b * b) / 2, (a - b) ** 2 / (2 * mp.pi)
        cosine = ((half - kink * t) * mp.cos(t) + kink * mp.sin(t)) / half
        return float((1 - cosine) * (1 + cosine))


@pytest.mark.parametrize("dual", [ReLU(), LeakyReLU(0.2), Abs(), ABReLU(0.5, -0.7)])
def test_angles_behind_a_kink(dual):
    angles = np.concatenate([np.geomspace(1e-12, 1.0, 100), np.linspace(0.1, 2.0, 100)])
    one, expected = np.ones(angles.size), [exact_sine2(dual, t) for t in angles]
    found = fused(dual, np.cos(angles), np.sin(angles) ** 2, one, one)[2]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@np.vectorize
def exact_erf(dual: Erf, q: float, sine2: float, var_x: float, var_z: float) -> tuple[float, ...]:
    """T over the roots of T of the two inputs with themselves, T', and the squared sine."""
    with mp.workdps(60):
        x, z = (2 * mp.mpf(dual.rate) ** 2 * mp.mpf(float(v)) for v in (var_x, var_z))
        c = mp.sign(q) * mp.sqrt(x * z * (1 - mp.mpf(float(sine2))))
        ax, az, angle = mp.asin(x / (1 + x)), mp.asin(z / (1 + z)), c / mp.sqrt((1 + x) * (1 + z))
        root, angle = mp.sqrt((1 + x) * (1 + z) - c * c), mp.asin(angle)
        slope = mp.mpf(dual.amplitude * dual.rate) ** 2 * 4 / mp.pi / root
        cosine = angle / mp.sqrt(ax * az)
        return float(cosine), float(slope), float((1 - cosine) * (1 + cosine))


@pytest.mark.parametrize("dtype, eps", [(np.float64, 2.0**-52), (np.float32, 2.0**-23)])
@pytest.mark.parametrize("decades", [0.0, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("dual", [Erf(), Erf(0.5, 2.0)])
def test_angles_behind_erf(dual, decades, dtype, eps):
    rng = np.random.default_rng(0)
    sine2 = SINE2[::7].astype(dtype)
    var_x = (10.0 ** rng.uniform(-8, 3, sine2.size)).astype(dtype)
    var_z = (var_x * 10.0 ** rng.uniform(-decades, 0, sine2.size)).astype(dtype)
    cosine = np.copysign(np.sqrt(1 - sine2.astype(float)), np.cos(ANGLES[::7]))
    q = (cosine * np.sqrt(var_x.astype(float) * var_z)).astype(dtype)
    value, slope, behind = fused(dual, q, sine2, var_x, var_z)
    own = [dual.variance(torch.tensor(v.astype(float))).numpy() for v in (var_x, var_z)]
    expected = exact_erf(dual, cosine, sine2, var_x, var_z)
    assert np.abs(value / np.sqrt(own[0] * own[1]) - expected[0]).max() < 8 * eps
    np.testing.assert_allclose(slope, expected[1], rtol=8 * eps)
    # t / sin t - 1 is good to 2e-12 and 3e-5 of itself at small t, sines are to rounding;
    # where they are very different the plain difference is taken
    rtol = 3e-12 if dtype is np.float64 else 6e-5
    bound = rtol * expected[2] + eps * np.sqrt(expected[2]) + 4 * eps * (decades > 1)
    assert (np.abs(behind - expected[2]) <= bound).all()


def near_and_parallel(dtype: type, size: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    x, other = rng.standard_normal((2, 12))
    other *= np.linalg.norm(x) / np.linalg.norm(other)
    angles = (0.0, 1e-9, 1e-7, 1e-5, 1e-3, 0.1, 1.5)
    near = [np.cos(t) * x + np.sin(t) * other for t in angles]
    rows = np.stack([f * z for z in near for f in (1.0, -1.0, 2.7, -0.6)] + [30 * x, 0 * x])
    return (size * rows).astype(dtype)


def layers(*functions, w_std: float = 1.2) -> Serial:
    """With readouts of variance 1.44 and no bias."""
    return Serial(Dense(w_std), *(a for f in functions for a in (Activation(f), Dense(w_std))))


BEHIND_ERF = {
    "erf10": layers(*["erf"] * 10),
    "erf20": layers(*["erf"] * 20),
    "steep": layers(*["erf"] * 10, w_std=1.5),
    "flat": layers(*["erf"] * 9, "abs", w_std=0.5),
    "relu": layers(*["erf"] * 9, "relu"),
    "relu, later": layers(*["erf"] * 19, "relu"),
    "in turn": layers(*["erf", "relu", "erf", "abs"] * 3),
    "residual": Serial(
        Dense(1.2), *[residual(Serial(Activation("erf"), Dense(1.1)))] * 9, Activation(), Dense()
    ),
}


@pytest.mark.parametrize("dtype, bound", [(DOUBLE, 2e-14), (SINGLE, 2e-6)])
@pytest.mark.parametrize("name", BEHIND_ERF)
def test_networks_with_erf(name, dtype, bound):
    X = near_and_parallel(np.float64 if dtype is DOUBLE else np.float32)
    found = matrix(FUSED, problem_of(BEHIND_ERF[name], (12,), dtype), X, X[:1])
    assert errors(found, exact_kernels(BEHIND_ERF[name], X, X[:1])).max() < bound


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1e-3])
@pytest.mark.parametrize("dtype, bound", [(DOUBLE, 1e-14), (SINGLE, 2e-6)])
def test_small_rows_of_different_lengths_stay_parallel_behind_erf(size, dtype, bound):
    X = near_and_parallel(np.float64 if dtype is DOUBLE else np.float32, size)
    network = layers("erf", "relu", "erf", "relu")
    found = matrix(FUSED, problem_of(network, (12,), dtype), X, X[:1])
    assert errors(found, exact_kernels(network, X, X[:1])).max() < bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_rows_have_no_angle(dtype):
    X = np.random.default_rng(0).standard_normal((20, 13)).astype(dtype)
    lengths = (1 / np.sqrt((X * X).sum(1))).astype(dtype)
    sine2 = np.ones((20, 20), dtype)
    start_angles(X @ X.T, (X, lengths), (X.copy(), lengths.copy()), dtype(1e-2), sine2)
    assert (np.diag(sine2) == 0).all()
    assert np.count_nonzero(sine2) == 380


@each_carrying
def test_zero_variances(dual):
    zero, v = np.zeros(2), np.array([0.0, 2.0])
    for sine2 in (np.zeros(2), np.ones(2)):
        value, slope, behind = fused(dual, zero, sine2, zero, v)
        if isinstance(dual, Erf):
            assert (behind == 1).all()
        expected = dual.covariance(as_pair(zero, np.ones(2), zero, v))
        np.testing.assert_allclose([value, slope], np.stack(expected), rtol=1e-14, atol=2e-15)


def test_sign_uses_the_angle_and_forgets_it():
    q, sine2, var_x, var_z = pairs()
    value, slope, _ = fused(Sign(), q, sine2, var_x, var_z)
    expected = Sign().covariance(as_pair(q, sine2, var_x, var_z))[0]
    np.testing.assert_allclose(value, expected.numpy(), rtol=0, atol=4e-15)
    assert not slope.any()
    assert not CARRIES[lower(Sign()).kind]


def test_other_activations_use_the_covariance():
    q, sine2, var_x, var_z = pairs()
    for name, dual in ACTIVATIONS.items():
        if name in CARRYING or isinstance(dual, (Polynomial, Sign)):
            continue
        pair = as_pair(q, sine2, var_x, var_z)
        value = fused(dual, q, sine2, var_x, var_z)[0]
        scale = scale_of(dual, pair)
        expected = dual.covariance(pair)[0].numpy()
        assert (np.abs(value - expected) <= 1e-12 * scale).all()


def test_fresh_angles():
    q, _, var_x, var_z = pairs()
    q[:100] *= 1 + 2e-15  # beyond correlation 1
    w = [np.sqrt(1.0 / v) for v in (var_x, var_z)]
    pair = GaussianPair(*(torch.tensor(v) for v in (q, var_x, var_z)))
    (found,) = apply(carried.fresh_sine2, [q, *w])
    # correlations differ by some roundings, and so does which of them are snapped
    np.testing.assert_allclose(found, pair.sine2.numpy(), rtol=0, atol=1e-14)
    assert (found[:2] == 0).all()


def dense(q, sine2, var_x, var_z, w2, b2):
    shares = [s.numpy() for v in (var_x, var_z) for s in carried.shares(torch.tensor(v), w2, b2)]
    return apply(carried.affine_sine2, [q, sine2, *shares])[0]


def constant(b2: float) -> GaussianPair:
    return as_pair(*(torch.tensor(v, dtype=torch.float64) for v in (b2, 0.0, b2, b2)))


@pytest.mark.parametrize("w2, b2", [(2.0, 0.0), (1.5, 0.1), (1e-3, 2.0), (0.0, 1.0), (0.0, 0.0)])
def test_dense_layers(w2, b2):
    q, sine2, var_x, var_z = pairs()
    var_x[:20], q[:20], sine2[:20] = 0.0, 0.0, 1.0
    scaled = as_pair(w2 * q, sine2, w2 * var_x, w2 * var_z)
    expected = sine2_of_sum(scaled, constant(b2)).numpy()
    found = dense(q, sine2, var_x, var_z, w2, b2)
    # the difference of two shares is exact to rounding of the shares
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-30 if b2 == 0 else 1e-17)


def test_sums():
    first, second = as_pair(*pairs(0)), as_pair(*(v[::-1].copy() for v in pairs(1)))
    roots = [[r.numpy() for r in pair.roots] for pair in (first, second)]
    whole = [np.hypot(a, b) for a, b in zip(*roots, strict=True)]
    inputs = []
    for pair, own in zip((first, second), roots, strict=True):
        shares = [r / w for r, w in zip(own, whole, strict=True)]
        inputs += [pair.cosine.numpy(), pair.sine2.numpy(), *shares]
    (found,) = apply(carried.sum_sine2, inputs)
    expected = sine2_of_sum(first, second).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize("b2", [0.0, 0.1])
def test_ten_layers(b2):
    """T of a deep network at all angles, and its slopes."""
    dual, w2 = ReLU(), 2.0
    q, sine2, var_x, var_z = pairs()
    reference = as_pair(q, sine2, var_x, var_z)
    for _ in range(10):
        value, slope, behind = fused(dual, q, sine2, var_x, var_z)
        expected = dual.covariance(reference)
        scale = scale_of(dual, reference)
        assert (np.abs(value - expected[0].numpy()) < 1e-12 * scale).all()
        np.testing.assert_allclose(slope, expected[1].numpy(), rtol=0, atol=1e-12)
        own = [dual.variance(torch.tensor(v)).numpy() for v in (var_x, var_z)]
        sine2 = dense(value, behind, *own, w2, b2)
        q, var_x, var_z = w2 * value + b2, w2 * own[0] + b2, w2 * own[1] + b2
        scaled = as_pair(w2 * expected[0].numpy(), dual.sine2(reference), var_x - b2, var_z - b2)
        joined = sine2_of_sum(scaled, constant(b2))
        reference = as_pair(scaled.cov + b2, joined, scaled.var_x + b2, scaled.var_z + b2)
        np.testing.assert_allclose(sine2, joined.numpy(), rtol=1e-12, atol=1e-15)


def test_identity_keeps_the_angle():
    q, sine2, var_x, var_z = pairs()
    found = fused(Linear(), q, sine2, var_x, var_z)
    np.testing.assert_array_equal(found, [q, np.ones_like(q), sine2])


@pytest.mark.parametrize("depth", [20, 50, 100])
def test_chaotic_networks_follow_the_scalar_recursion(depth):
    q, v = 9.0 * 0.3 + 0.01, 9.0 + 0.01
    for _ in range(depth):
        square = 2.0 / np.pi * np.arcsin(2.0 * v / (1.0 + 2.0 * v))
        q = 9.0 * (2.0 / np.pi * np.arcsin(2.0 * q / (1.0 + 2.0 * v))) + 0.01
        v = 9.0 * square + 0.01
    X = np.sqrt(2.0) * np.array([[1.0, 0.0], [0.3, np.sqrt(0.91)]])
    network = FullyConnected(depth, activation="erf", w_std=3.0, b_std=0.1)
    K = NNGP(network, backend="fused")(X)
    np.testing.assert_allclose(K[0, 1] / K[0, 0], (q - 0.01) / (v - 0.01), rtol=1e-11)
