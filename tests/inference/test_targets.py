from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from ntk_sklearn.inference import centred_one_hot, target_scale

rng = np.random.default_rng(0)
Y = rng.normal(3.0, [0.5, 20.0], size=(30, 2))
ONES = np.ones(30)


def test_normalized_targets_have_mean_0_and_deviation_1():
    scale = target_scale(Y, ONES, True)
    normalized = scale.normalized(Y)
    np.testing.assert_allclose(normalized.mean(axis=0), 0.0, atol=1e-14)
    np.testing.assert_allclose(normalized.std(axis=0), 1.0, rtol=1e-14)
    np.testing.assert_allclose(scale.restored(normalized), Y, rtol=1e-13)


def test_weighted_scale_is_that_of_scikit_learn():
    weight = np.linspace(0.1, 3.0, 30)
    scale, expected = target_scale(Y, weight, True), StandardScaler().fit(Y, sample_weight=weight)
    np.testing.assert_allclose(scale.mean, expected.mean_, rtol=1e-13)
    np.testing.assert_allclose(scale.std, expected.scale_, rtol=1e-13)


@pytest.mark.parametrize("factor", [1e300, 1e-300, 1e-150, 1e150])
def test_scale_follows_targets_to_the_ends_of_float64(factor):
    found, expected = target_scale(Y * factor, ONES, True), target_scale(Y, ONES, True)
    np.testing.assert_allclose(found.std / factor, expected.std, rtol=1e-13)
    np.testing.assert_allclose(found.normalized(Y * factor), expected.normalized(Y), rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1e300, 1e-300])
def test_constant_targets_keep_their_scale(value):
    scale = target_scale(np.full((7, 1), value), np.linspace(0.1, 0.3, 7), True)
    assert scale.std == 1.0
    assert scale.mean == pytest.approx(value, rel=1e-15)


def test_unnormalized_targets_are_left_alone():
    scale = target_scale(Y, ONES, False)
    np.testing.assert_array_equal(scale.normalized(Y), Y)
    np.testing.assert_array_equal(scale.restored(Y), Y)


def test_two_classes_are_one_signed_output():
    np.testing.assert_array_equal(centred_one_hot(np.array([0, 1, 1]), 2), [[-1], [1], [1]])


@pytest.mark.parametrize("n_classes", [3, 7])
def test_many_classes_are_centred_one_hot(n_classes):
    codes = np.arange(n_classes)[::-1]
    found = centred_one_hot(codes, n_classes)
    np.testing.assert_array_equal(found.argmax(axis=1), codes)
    np.testing.assert_allclose(found.sum(axis=1), 0.0, atol=1e-15)
    np.testing.assert_allclose(found.max(axis=1) - found.min(axis=1), 1.0)
