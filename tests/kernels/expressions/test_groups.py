"""Groups of permutations: what they do to images, and what is no group."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ntk_sklearn.kernels import Flip, Permutations, Translations, horizontal_flip, translations

SHAPE = (2, 3, 4)
x = np.arange(24.0)
image = x.reshape(SHAPE)


def test_flip_mirrors_every_channel():
    for axis in (-1, -2):
        identity, flipped = Flip(axis).orbit(x[None], SHAPE)[:, 0]
        np.testing.assert_array_equal(identity, x)
        np.testing.assert_array_equal(flipped.reshape(SHAPE), np.flip(image, axis))
    np.testing.assert_array_equal(Flip().orbit(image[None]), Flip().orbit(x[None], SHAPE))


def test_translations_roll_images():
    found = Translations().orbit(x[None], SHAPE)[:, 0].reshape(3, 4, *SHAPE)
    for i in range(3):
        for j in range(4):
            np.testing.assert_array_equal(found[i, j], np.roll(image, (i, j), (1, 2)))


def test_translations_by_steps_along_an_axis():
    found = translations(2, axes=(-1,)).orbit(x[None], SHAPE)[:, 0]
    np.testing.assert_array_equal(found[1].reshape(SHAPE), np.roll(image, 2, 2))
    assert len(found) == 2


def test_product_has_every_element_once():
    both = horizontal_flip() * Translations()
    indices = both.indices(24, SHAPE)
    assert indices.shape == (24, 24)  # 12 translations, each also mirrored
    assert Permutations(indices).indices(24).shape == (24, 24)  # and is closed
    twice = Translations() * Translations()
    assert len(twice.indices(24, SHAPE)) == 12


@pytest.mark.parametrize(
    "group", [Flip(), Translations(2), Flip() * Translations(), Permutations([[0, 1], [1, 0]])]
)
def test_groups_are_values(group):
    again = pickle.loads(pickle.dumps(group))
    assert again == group
    assert hash(again) == hash(group)
    assert type(group).__name__ in repr(group) or "*" in repr(group)


def test_permutations_come_in_any_order():
    assert Permutations([[1, 0], [0, 1]]) == Permutations([[0, 1], [1, 0]])
    np.testing.assert_array_equal(Permutations([[1, 0], [0, 1]]).indices(2)[0], [0, 1])


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 1], "list of permutations"),
        ([[0.0, 1.0]], "list of permutations"),
        ([[0, 0]], "must be a permutation"),
        ([[1, 2]], "must be a permutation"),
        ([[0, 1, 2], [1, 2, 0]], "no group"),  # the square is missing
        ([[1, 0]], "no group"),  # the identity is
    ],
)
def test_what_is_no_group(indices, message):
    with pytest.raises(ValueError, match=message):
        Permutations(indices)


def test_rows_that_do_not_fit():
    with pytest.raises(ValueError, match="permutes 2 features, the rows have 3"):
        Permutations([[0, 1]]).indices(3)
    with pytest.raises(ValueError, match="must divide"):
        Translations(2).indices(24, SHAPE)
    with pytest.raises(ValueError, match="count spatial axes"):
        Flip(1).indices(24, SHAPE)
    with pytest.raises(ValueError, match="integer >= 1"):
        Translations(0).indices(24, SHAPE)
    with pytest.raises(TypeError, match="can be multiplied"):
        Flip() * Permutations([[0, 1]])
