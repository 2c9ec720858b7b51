"""Averages over groups: against double loops, and regression on all transformed rows."""

from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn import NNGPRegressor, NTKRegressor
from ntk_sklearn.kernels import NNGP, NTK, Averaged, Normalized, horizontal_flip, translations
from ntk_sklearn.networks import (
    Convolutional,
    Dense,
    Flatten,
    FullyConnected,
    Myrtle,
    ResNet,
    Serial,
)

rng = np.random.default_rng(3)
IMAGE = (2, 4, 4)
X, Z = rng.normal(size=(5, 32)), rng.normal(size=(4, 32))
X[4] = 0.5 * (X[4] + X[4].reshape(IMAGE)[..., ::-1].ravel())  # fixed by the flip
CIRCULAR, FLAT = (
    Convolutional(2, padding="circular"),
    Convolutional(2, padding="circular", head="flatten"),
)
FLIP = horizontal_flip()
BOTH = pytest.mark.parametrize("kind", [NTK, NNGP])

# networks, groups, and whether one argument is enough
CASES = [
    (FullyConnected(2), FLIP, True),
    (Serial(Flatten(), Dense()), FLIP, True),
    (Convolutional(2), FLIP, True),
    (Convolutional(2, filter=2), FLIP, False),
    (Convolutional(1, strides=2), FLIP, False),  # the padding is at one end
    (Convolutional(1, filter=4, strides=2, padding=(1, 1)), FLIP, True),
    (Convolutional(1, filter=(2, 3)), FLIP, True),  # even along the other axis
    (Myrtle(), FLIP, True),
    (ResNet((1, 1)), FLIP, False),
    (ResNet((1, 1), strides=1), FLIP, True),
    (CIRCULAR, translations(axes=(-1,)), True),
    (FLAT, translations(axes=(-2,)), True),
    (Convolutional(2), translations(2), False),
    (Convolutional(1, strides=2, padding="circular"), translations(axes=(-1,)), False),
    (Convolutional(1, strides=2, padding="circular"), translations(2), True),
    (Convolutional(1, filter=2, strides=2, padding="valid"), translations(2), True),
    (Convolutional(1, filter=(3, 1)), translations(axes=(-1,)), True),
    (FLAT, FLIP * translations(2), True),
    (Normalized(FLAT), translations(2), True),
    (FullyConnected(1, width=8, n_networks=1), FLIP, False),
]


@pytest.mark.parametrize(("network", "group", "one"), CASES, ids=str)
def test_average_over_both_arguments(network, group, one):
    k = NTK(network, image_shape=IMAGE)
    pairs = [k(a, b) for a in group.orbit(X, IMAGE) for b in group.orbit(Z, IMAGE)]
    mean = NTK(Averaged(network, group), image_shape=IMAGE)
    np.testing.assert_allclose(mean(X, Z), np.mean(pairs, axis=0), rtol=1e-12, atol=1e-14)
    assert ("of one argument" in mean.explain(X)) == one


def test_one_argument_would_not_do_where_both_are_averaged():
    """The cases that are said to need both arguments do need them, but for the finite width's."""
    for network, group, one in CASES[:-1]:
        k = NTK(network, image_shape=IMAGE)
        half = np.mean([k(a, Z) for a in group.orbit(X, IMAGE)], axis=0)
        whole = NTK(Averaged(network, group), image_shape=IMAGE)(X, Z)
        assert (np.abs(half - whole).max() < 1e-10) == one, (network, group)


@BOTH
@pytest.mark.parametrize("network", [FLAT, Convolutional(1, filter=2)], ids=["one", "both"])
def test_gram_and_diagonal(kind, network):
    k = kind(Averaged(network, FLIP), image_shape=IMAGE)
    K = k(X)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_allclose(K, k(X, X.copy()), rtol=1e-11)
    np.testing.assert_allclose(k.diag(X), np.diag(K), rtol=1e-13)
    flipped = FLIP.orbit(X, IMAGE)[1].copy()
    np.testing.assert_allclose(k(flipped, X), K, rtol=1e-11)  # invariant, as it should be


@BOTH
def test_global_pooling_is_the_average_of_flatten_over_translations(kind):
    """Li et al. 2019, theorem 4.1, without the 1 / (number of pixels) of their convention."""
    pooled = kind(CIRCULAR, image_shape=IMAGE)
    averaged = kind(Averaged(FLAT, translations()), image_shape=IMAGE)
    np.testing.assert_allclose(averaged(X, Z), pooled(X, Z), rtol=1e-12)
    np.testing.assert_allclose(averaged(X), pooled(X), rtol=1e-12)


def all_copies(group, y):
    copies = group.orbit(X, IMAGE)
    return copies.reshape(-1, X.shape[1]), np.tile(y, len(copies))


GROUPS = {"flip": FLIP, "flip and translations": FLIP * translations(2)}
NETWORKS = {"dense": FullyConnected(2), "images": FLAT, "pooled": Convolutional(1)}
y = np.sin(3.0 * X[:, 0]) + X[:, 1]


def augmented_cases():
    for name, network in NETWORKS.items():
        for of, group in GROUPS.items():
            if name != "pooled" or of == "flip":  # zero padding does not move with translations
                yield pytest.param(network, group, id=f"{name}, {of}")


@pytest.mark.parametrize(("network", "group"), list(augmented_cases()))
def test_mean_is_that_of_training_on_all_transformed_rows(network, group):
    rows, targets = all_copies(group, y)
    order, ridge = len(rows) // len(X), 0.3
    plain, mean = NTK(network, image_shape=IMAGE), NTK(Averaged(network, group), image_shape=IMAGE)
    # ridges of NTKRegressor are relative to the mean diagonal of the kernel
    a = ridge / plain.diag(rows).mean()
    b = ridge / order / mean.diag(X).mean()
    options = {"image_shape": IMAGE, "normalize_y": False, "uncertainty": None}
    on_all = NTKRegressor(network, alpha=a, **options).fit(rows, targets)
    averaged = NTKRegressor(Averaged(network, group), alpha=b, **options).fit(X, y)
    np.testing.assert_allclose(averaged.predict(Z), on_all.predict(Z), rtol=1e-10, atol=1e-11)
    wrong = NTKRegressor(Averaged(network, group), alpha=order * b, **options).fit(X, y)
    assert np.abs(wrong.predict(Z) - on_all.predict(Z)).max() > 1e-3


@pytest.mark.parametrize(("network", "group"), list(augmented_cases()))
def test_time_of_training_on_all_transformed_rows(network, group):
    rows, targets = all_copies(group, y)
    order, t = len(rows) // len(X), 0.05
    options = {"image_shape": IMAGE, "normalize_y": False, "uncertainty": None, "alpha": 0.0}
    on_all = NTKRegressor(network, t=t, **options).fit(rows, targets)
    averaged = NTKRegressor(Averaged(network, group), t=order * t, **options).fit(X, y)
    np.testing.assert_allclose(averaged.predict(Z), on_all.predict(Z), rtol=1e-10, atol=1e-11)


def test_posterior_mean_with_noise_divided_and_another_variance():
    rows, targets = all_copies(FLIP, y)
    options = {"image_shape": IMAGE, "normalize_y": False}
    on_all = NNGPRegressor(FLAT, noise=0.2, **options).fit(rows, targets)
    averaged = NNGPRegressor(Averaged(FLAT, FLIP), noise=0.1, **options).fit(X, y)
    mean, std = averaged.predict(Z, return_std=True)
    expected, other = on_all.predict(Z, return_std=True)
    np.testing.assert_allclose(mean, expected, rtol=1e-10)
    assert np.abs(std / other - 1.0).min() > 0.05


def test_user_s_permutations_of_images_average_both_arguments():
    indices = FLIP.indices(32, IMAGE)
    k = NTK(Averaged(FLAT, indices), image_shape=IMAGE)
    assert "both arguments" in k.explain(X)
    expected = NTK(Averaged(FLAT, FLIP), image_shape=IMAGE)(X, Z)
    np.testing.assert_allclose(k(X, Z), expected, rtol=1e-12)


def test_average_of_an_average_averages_both_arguments():
    k = NTK(Averaged(Averaged(FLAT, FLIP), translations(2)), image_shape=IMAGE)
    assert "is itself an average" in k.explain(X)
    expected = NTK(Averaged(FLAT, FLIP * translations(2)), image_shape=IMAGE)(X, Z)
    np.testing.assert_allclose(k(X, Z), expected, rtol=1e-12)


def test_flip_needs_the_shape_of_images():
    with pytest.raises(ValueError, match="give image_shape"):
        NTK(Averaged(FullyConnected(), FLIP))(X)


def test_scaled_features_are_refused():
    model = NNGPRegressor(Normalized(Averaged(group=[[0]])), optimizer="lbfgs", ard=True)
    with pytest.raises(ValueError, match="ard=True"):
        model.fit(X[:, :1], y)
