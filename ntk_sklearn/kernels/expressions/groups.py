"""Finite groups of permutations of the features of a row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from numbers import Integral
from typing import Any

import numpy as np

from ..._validation import resolve_image_shape
from ...architecture import Motion

ImageShape = tuple[int, ...] | None


class Group(ABC):
    """A finite group of permutations of the features: immutable, hashable, comparable."""

    @abstractmethod
    def indices(self, n_features: int, image_shape: ImageShape = None) -> np.ndarray:
        """(order, n_features): element g maps the row x to ``x[indices[g]]``; 0 is the identity.

        Raises
        ------
        ValueError
            If the rows do not fit the group.
        """

    @abstractmethod
    def generators(self, spatial: tuple[int, ...]) -> list[Motion] | None:
        """Motions of positions that generate the group; None where none are known."""

    def orbit(self, X: Any, image_shape: ImageShape = None) -> np.ndarray:
        """All transformed rows (order, n, n_features): ``orbit(X)[g]`` is g applied to X.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, *spatial)
        image_shape : tuple of int or None
            (channels, *spatial) of flattened rows, one entry may be -1.

        Returns
        -------
        ndarray, (order, n, n_features)
            Flattened rows; those of the identity come first.

        Raises
        ------
        ValueError
            If the rows do not fit the group or `image_shape`.
        """
        rows = np.asarray(X)
        image_shape = rows.shape[1:] if image_shape is None and rows.ndim > 2 else image_shape
        rows = rows.reshape(len(rows), -1)
        if image_shape is not None:
            image_shape = resolve_image_shape(image_shape, rows.shape[1])
        found: np.ndarray = np.moveaxis(rows[:, elements(self, rows.shape[1], image_shape)], 1, 0)
        return found

    def __mul__(self, other: Group) -> Group:
        """The group of all products of elements of both."""
        factors: Any = self, other  # of which kinds is checked there
        return Composed(factors)


@dataclass(frozen=True)
class Flip(Group):
    """The identity and the reflection of an image along one spatial axis.

    Parameters
    ----------
    axis : int, default=-1
        Counted from the end: -1 is the width, -2 the height.

    Raises
    ------
    ValueError
        If `axis` is no negative integer; for images of fewer axes.
    """

    axis: int = -1

    def __post_init__(self) -> None:
        _check_counted_from_the_end(self, self.axis)
        object.__setattr__(self, "axis", int(self.axis))

    def indices(self, n_features: int, image_shape: ImageShape = None) -> np.ndarray:
        """The identity and the reflection; see `Group`."""
        places = _places(self, n_features, image_shape)
        _check_axis(self, self.axis, places.ndim - 1)
        return np.stack([places, np.flip(places, self.axis)]).reshape(2, n_features)

    def generators(self, spatial: tuple[int, ...]) -> list[Motion]:
        """The reflection."""
        reflected = [False] * len(spatial)
        reflected[self.axis] = True
        return [Motion(spatial, tuple(reflected), (0,) * len(spatial))]


@dataclass(frozen=True)
class Translations(Group):
    """Circular translations of an image by multiples of a step.

    Parameters
    ----------
    step : int, default=1
        Must divide the sizes of the axes.
    axes : int, sequence of int or None, default=None
        Spatial axes counted from the end, -1 for the width; None is all. Kept as a tuple.

    Raises
    ------
    ValueError
        If `step` is no integer >= 1, or an axis no negative integer; for images of fewer axes, or
        of sizes that `step` does not divide.
    """

    step: int = 1
    axes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        step = self.step
        if isinstance(step, bool) or not isinstance(step, Integral) or step < 1:
            raise ValueError(f"step of {self!r} must be an integer >= 1")
        object.__setattr__(self, "step", int(step))
        if self.axes is not None:
            axes = tuple(self.axes) if np.iterable(self.axes) else (self.axes,)
            for axis in axes:
                _check_counted_from_the_end(self, axis)
            object.__setattr__(self, "axes", tuple(int(axis) for axis in dict.fromkeys(axes)))

    def indices(self, n_features: int, image_shape: ImageShape = None) -> np.ndarray:
        """All translations, along the last axis fastest; see `Group`."""
        places = _places(self, n_features, image_shape)
        axes = self._axes(places.ndim - 1)
        steps = [range(0, places.shape[axis], self.step) for axis in axes]
        moved = [np.roll(places, shift, axes) for shift in product(*steps)]
        return np.stack(moved).reshape(-1, n_features)

    def generators(self, spatial: tuple[int, ...]) -> list[Motion]:
        """One step along each axis."""
        found = []
        for axis in self._axes(len(spatial)):
            shifts = [0] * len(spatial)
            shifts[axis] = self.step % spatial[axis]
            found.append(Motion(spatial, (False,) * len(spatial), tuple(shifts)))
        return found

    def _axes(self, rank: int) -> tuple[int, ...]:
        axes = tuple(range(-rank, 0)) if self.axes is None else self.axes
        for axis in axes:
            _check_axis(self, axis, rank)
        return axes

    def _check(self, spatial: tuple[int, ...]) -> None:
        for axis in self._axes(len(spatial)):
            if spatial[axis] % self.step:
                raise ValueError(
                    f"{self!r} is no group on {spatial[axis]} positions: the step must divide "
                    "their number"
                )


class Permutations(Group):
    """A group given as the list of its permutations.

    Parameters
    ----------
    indices : array-like of int, (order, n_features)
        Row g maps x to ``x[indices[g]]``; in any order.

    Raises
    ------
    ValueError
        If a row is no permutation, or the rows are not closed under composition.
    """

    def __init__(self, indices: Any) -> None:
        given = np.asarray(indices)
        if given.ndim != 2 or not given.size or given.dtype.kind not in "iu":
            raise ValueError(
                "a group is a list of permutations of the features, integers of shape (order, "
                f"n_features), got {given.dtype} of shape {given.shape}"
            )
        n = given.shape[1]
        if not (np.sort(given, axis=1) == np.arange(n)).all():
            raise ValueError(f"every row of a group must be a permutation of 0 ... {n - 1}")
        self._indices = _sorted(given.astype(np.intp))
        _check_closed(self._indices)
        self._key = self._indices.shape, self._indices.tobytes()

    def indices(self, n_features: int, image_shape: ImageShape = None) -> np.ndarray:
        """The permutations, the identity first; see `Group`."""
        if n_features != self._indices.shape[1]:
            raise ValueError(
                f"the group permutes {self._indices.shape[1]} features, the rows have {n_features}"
            )
        return self._indices

    def generators(self, spatial: tuple[int, ...]) -> None:
        """Not known."""
        return None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Permutations) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        order, n = self._indices.shape
        return f"Permutations(<{order} of {n} features>)"


@dataclass(frozen=True)
class Composed(Group):
    """All products of elements of flips and translations, which form a group."""

    groups: tuple[Flip | Translations | Composed, ...]

    def __post_init__(self) -> None:
        for group in self.groups:
            if not isinstance(group, (Flip, Translations, Composed)):
                raise TypeError(
                    "flips and translations can be multiplied; of other groups write down all "
                    f"permutations, got {group!r}"
                )

    def indices(self, n_features: int, image_shape: ImageShape = None) -> np.ndarray:
        """All different products, the identity first; see `Group`."""
        found = np.arange(n_features)[np.newaxis]
        for group in self.groups:
            own = elements(group, n_features, image_shape)
            found = found[:, own].reshape(-1, n_features)
        return _sorted(np.unique(found, axis=0))

    def generators(self, spatial: tuple[int, ...]) -> list[Motion]:
        """Those of all factors."""
        return [m for group in self.groups for m in group.generators(spatial)]

    def __repr__(self) -> str:
        return " * ".join(map(repr, self.groups))


def horizontal_flip() -> Flip:
    """The identity and the reflection from left to right."""
    return Flip(-1)


def translations(step: int = 1, axes: tuple[int, ...] | None = None) -> Translations:
    """Circular translations by multiples of `step`, along all spatial axes or some.

    Parameters
    ----------
    step : int, default=1
        Must divide the sizes of the axes.
    axes : int, sequence of int or None, default=None
        Spatial axes counted from the end, -1 for the width; None is all.

    Returns
    -------
    Translations

    Raises
    ------
    ValueError
        As `Translations` does.
    """
    return Translations(step, axes)


def as_group(group: Any) -> Group:
    """A group, or the list of its permutations as one."""
    if callable(group):
        raise TypeError(f"group must be a group, got {group!r}; call it: {group.__name__}()")
    return group if isinstance(group, Group) else Permutations(group)


@lru_cache(maxsize=4)
def elements(group: Group, n_features: int, image_shape: ImageShape) -> np.ndarray:
    """The permutations (order, n_features) of a group, computed once."""
    found = group.indices(n_features, image_shape)
    found.setflags(write=False)
    return found


def _places(group: Group, n_features: int, image_shape: ImageShape) -> np.ndarray:
    """Column numbers in the shape of an image."""
    if image_shape is None:
        raise ValueError(f"{group!r} moves images: give image_shape=(channels, height, width)")
    if isinstance(group, Translations):
        group._check(image_shape[1:])
    return np.arange(n_features).reshape(image_shape)


def _check_counted_from_the_end(group: Group, axis: Any) -> None:
    if isinstance(axis, bool) or not isinstance(axis, Integral) or int(axis) >= 0:
        raise ValueError(
            f"axes of {group!r} count spatial axes from the end, negative integers: -1 for the "
            f"width, -2 for the height; got {axis!r}"
        )


def _check_axis(group: Group, axis: int, rank: int) -> None:
    if axis < -rank:
        raise ValueError(
            f"axes of {group!r} count spatial axes from the end: -1 for the width; the images have "
            f"{rank}"
        )


def _sorted(indices: np.ndarray) -> np.ndarray:
    """The same rows once each, in the order of numbers: the identity first."""
    return np.unique(indices, axis=0)


def _check_closed(indices: np.ndarray) -> None:
    known = {row.tobytes() for row in indices}
    for row in indices:
        for other, composed in zip(indices, indices[:, row], strict=True):
            if composed.tobytes() not in known:
                raise ValueError(
                    f"the permutations are no group: {_told(composed)} is not among them, which "
                    f"{_told(other)} followed by {_told(row)} is. Add what is missing (with every "
                    "element its powers and products, and the identity)"
                )


def _told(row: np.ndarray, most: int = 8) -> str:
    """The start of a permutation, printed."""
    start = str(row[:most].tolist())
    return start if len(row) <= most else f"{start[:-1]}, ...]"
