"""Fourier features: scikit-learn's manners, and what they make of a network's kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntk_sklearn import NTKRegressor
from ntk_sklearn.features import FourierFeatures
from ntk_sklearn.kernels import NTK, angle_profile
from ntk_sklearn.networks import FullyConnected

NETWORK = FullyConnected(2, b_std=0.3)
RNG = np.random.default_rng(0)


@parametrize_with_checks([FourierFeatures(8, random_state=0)])
def test_conformance(estimator, check):
    check(estimator)


def test_features_are_the_definition():
    b, a, x = RNG.normal(size=(3, 2)), np.array([1.0, 0.5, 2.0]), RNG.normal(size=(4, 2))
    found = FourierFeatures(frequencies=b, amplitudes=a).fit_transform(x)
    for i in range(4):
        for j in range(3):
            phase = 2 * np.pi * (b[j, 0] * x[i, 0] + b[j, 1] * x[i, 1])
            assert found[i, j] == pytest.approx(a[j] * np.cos(phase), abs=1e-14)
            assert found[i, 3 + j] == pytest.approx(a[j] * np.sin(phase), abs=1e-14)


def test_drawn_frequencies_have_the_scale_and_the_seed():
    x = np.zeros((1, 4))
    b = FourierFeatures(2000, scale=3.0, random_state=1).fit(x).frequencies_
    assert b.std() == pytest.approx(3.0, abs=4 * 3.0 / np.sqrt(2 * b.size))
    np.testing.assert_array_equal(
        b, FourierFeatures(2000, scale=3.0, random_state=1).fit(x).frequencies_
    )
    other = FourierFeatures(2000, scale=3.0, random_state=2).fit(x).frequencies_
    assert np.abs(b - other).max() > 1


@pytest.mark.parametrize("quantity", ["ntk", "nngp"])
def test_the_composed_kernel_is_a_function_of_the_difference(quantity):
    """h of the inner product, by the angle of rows that all have the same norm."""
    x, z, move = RNG.normal(size=(5, 2)), RNG.normal(size=(6, 2)), RNG.normal(size=2)
    a = RNG.uniform(0.5, 2.0, size=16)
    features = FourierFeatures(16, scale=0.7, amplitudes=a, random_state=0).fit(x)
    kernel = NTK(NETWORK).of_network(quantity)
    found = kernel.matrix(features.transform(x), features.transform(z))[0]
    moved = kernel.matrix(features.transform(x + move), features.transform(z + move))[0]
    np.testing.assert_allclose(moved, found, rtol=1e-12)
    phases = 2 * np.pi * np.tensordot(x[:, None] - z, features.frequencies_, axes=(2, 1))
    cosine = (a**2 * np.cos(phases)).sum(axis=2) / (a**2).sum()
    norms = (np.sqrt((a**2).sum()),) * 2
    expected = angle_profile(
        NETWORK, np.arccos(cosine), quantity=quantity, norms=norms, n_features=32
    )
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_without_features_the_kernel_is_not_stationary():
    x, z, move = RNG.normal(size=(5, 2)), RNG.normal(size=(6, 2)), RNG.normal(size=2)
    changed = NTK(NETWORK)(x + move, z + move) - NTK(NETWORK)(x, z)
    assert np.abs(changed).max() > 0.1


def fourier_eigenvalues(scale):
    """Of a kernel on the line, sampled on [0, 1) and made periodic: shares of its trace."""
    n = 256
    x = np.arange(n)[:, np.newaxis] / n
    b = np.rint(np.random.default_rng(3).normal(size=(128, 1)) * scale)  # periodic: integers
    K = NTK(NETWORK)(FourierFeatures(frequencies=b).fit_transform(x))
    return np.fft.fft(K[0]).real / np.trace(K)


def test_the_bandwidth_moves_the_spectrum():
    narrow, wide = fourier_eigenvalues(1.0), fourier_eigenvalues(10.0)
    assert wide[8] > 5 * narrow[8]
    assert wide[1] < narrow[1]
    half = [np.flatnonzero(np.cumsum(np.sort(v)[::-1]) > 0.9)[0] for v in (narrow, wide)]
    assert half[1] > 3 * half[0]  # more modes share 0.9 of the trace


def test_in_a_pipeline_fast_targets_are_learned_before_rows_alone_have_begun():
    x = np.linspace(0, 1, 40, endpoint=False)[:, np.newaxis]
    y = np.sin(2 * np.pi * 9 * x[:, 0])
    features = FourierFeatures(64, scale=5.0, random_state=0)
    model = make_pipeline(features, NTKRegressor()).fit(x, y)
    plain = NTKRegressor().fit(x, y)
    left, alone = (np.abs(fitted.predict(x, t=3.0) - y).max() for fitted in (model, plain))
    assert left < 0.03
    assert alone > 0.9


@pytest.mark.parametrize(
    "parameters, told",
    [
        ({"n_frequencies": 0}, "n_frequencies must be"),
        ({"scale": -1.0}, "scale must be"),
        ({"scale": np.nan}, "scale must be"),
        ({"frequencies": np.ones((3, 5))}, "frequencies must be"),
        ({"amplitudes": np.ones(5)}, "amplitudes must be"),
        ({"amplitudes": 0.0}, "amplitudes must be"),
        ({"frequencies": np.full((3, 2), np.inf)}, "infinity"),
    ],
)
def test_refusals(parameters, told):
    with pytest.raises(ValueError, match=told):
        FourierFeatures(**parameters).fit(np.zeros((4, 2)))


def test_text_is_refused_and_tensors_are_rows():
    features = FourierFeatures(4, random_state=0)
    with pytest.raises(ValueError, match="strings"):
        features.fit([["1.0"], ["2.0"]])
    x = RNG.normal(size=(3, 2))
    found = features.fit(torch.from_numpy(x)).transform(torch.from_numpy(x))
    np.testing.assert_array_equal(found, features.fit(x).transform(x))


def test_names_and_clones():
    features = FourierFeatures(2, random_state=0).fit(np.zeros((1, 3)))
    assert features.get_feature_names_out().tolist() == [f"fourierfeatures{i}" for i in range(4)]
    scaled = clone(features).set_params(scale=10.0).fit(np.zeros((1, 3)))
    np.testing.assert_allclose(scaled.frequencies_, 10 * features.frequencies_)
