"""Groups of permutations: what they do to images, and what is no group."""

from __future__ import annotations

import pickle
import re

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


def test_what_is_missing_is_told_in_plain_numbers():
    told = r"\[2, 0, 1\] is not among them, which \[1, 2, 0\] followed by \[1, 2, 0\] is"
    with pytest.raises(ValueError, match=told):
        Permutations(np.array([[0, 1, 2], [1, 2, 0]]))
    with pytest.raises(ValueError, match=r"\[0, 1, 2, 3, 4, 5, 6, 7, \.\.\.\] is not among"):
        Permutations([[*range(9), 10, 9]])


def test_missing_product_is_the_first_one_followed_by_the_second():
    first, second = np.array([1, 0, 2]), np.array([0, 2, 1])
    with pytest.raises(ValueError, match="no group") as caught:
        Permutations([first, second, [0, 1, 2]])
    missing, one, other = (
        np.array(found.split(", "), dtype=int)
        for found in re.findall(r"\[([\d, ]+)\]", str(caught.value))
    )
    np.testing.assert_array_equal(np.arange(3.0)[one][other], np.arange(3.0)[missing])


@pytest.mark.parametrize("axes", [-1, [-1], (-1,), np.array([-1]), (-1, -1)], ids=repr)
def test_axes_come_in_any_form(axes):
    group = Translations(np.int64(2), axes)
    assert group == Translations(2, (-1,))
    assert repr(group) == "Translations(step=2, axes=(-1,))"
    assert hash(group) == hash(Translations(2, (-1,)))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Flip("x"), "count spatial axes from the end"),
        (lambda: Flip(0), "count spatial axes from the end"),
        (lambda: Flip(True), "count spatial axes from the end"),
        (lambda: Translations(axes="ab"), "count spatial axes from the end"),
        (lambda: Translations(axes=(-1, 1)), "count spatial axes from the end"),
        (lambda: Translations(0), "integer >= 1"),
        (lambda: Translations(1.5), "integer >= 1"),
    ],
)
def test_parameters_are_checked_when_a_group_is_made(made, message):
    with pytest.raises(ValueError, match=message):
        made()


def test_orbit_reads_image_shape_as_kernels_do():
    np.testing.assert_array_equal(Flip().orbit(x[None], [2, -1, 4]), Flip().orbit(image[None]))
    with pytest.raises(ValueError, match="has 27 values, X has 24 features"):
        Flip().orbit(x[None], (3, 3, 3))


def test_rows_that_do_not_fit():
    with pytest.raises(ValueError, match="permutes 2 features, the rows have 3"):
        Permutations([[0, 1]]).indices(3)
    with pytest.raises(ValueError, match="must divide"):
        Translations(2).indices(24, SHAPE)
    with pytest.raises(ValueError, match="count spatial axes"):
        Flip(-3).indices(24, SHAPE)
    with pytest.raises(ValueError, match="the images have 2"):
        Translations(axes=-3).indices(24, SHAPE)
    with pytest.raises(TypeError, match="can be multiplied"):
        Flip() * Permutations([[0, 1]])
