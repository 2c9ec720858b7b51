"""What a kernel expression computes: a tree of operations on the kernels of networks.

Every operation acts on pairs of rows, on all of a tile or on rows with themselves: it is written
once, and `Pairs` says where the kernels of the networks come from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce, singledispatch
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..architecture import Shape
from ..backends import FiniteWidth, GivenParameters, Output, Problem
from ..duals.pair import safe_divide, safe_sqrt
from .expressions.groups import Group, ImageShape, elements


class Term:
    """A kernel as a function of pairs of rows."""


@dataclass(frozen=True)
class Leaf(Term):
    """A kernel of one network, for rows read as inputs of a shape."""

    output: Output
    shape: Shape
    finite: FiniteWidth | GivenParameters | None = None


@dataclass(frozen=True)
class WeightedSum(Term):
    """sum_j w_j k_j, with numbers or tensors as weights."""

    terms: tuple[Term, ...]
    weights: tuple[Any, ...]


@dataclass(frozen=True)
class Times(Term):
    """prod_j k_j."""

    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Unit(Term):
    """k(x, z) / sqrt(k(x, x) k(z, z)), 0 where a variance is 0."""

    term: Term


@dataclass(frozen=True)
class Mean(Term):
    """The mean of k(g x, z) over a group, or of k(g x, h z) for the reason `why_both`."""

    term: Term
    group: Group
    n_features: int
    image_shape: ImageShape
    why_both: str = ""

    @property
    def both(self) -> bool:
        """Whether both arguments are transformed."""
        return bool(self.why_both)

    def moves(self) -> np.ndarray:
        """The elements of the group (order, n_features), the identity first."""
        return elements(self.group, self.n_features, self.image_shape)

    def n_pairs(self) -> int:
        """How many kernels are averaged."""
        order = len(self.moves())
        return order**2 if self.both else order


@dataclass(frozen=True)
class TermsProblem:
    """What is to be evaluated: kernels of expressions, for rows of `n_features` values."""

    outputs: tuple[Term, ...]
    n_features: int
    dtype: torch.dtype = torch.float64
    device: torch.device = torch.device("cpu")
    per_row: ClassVar[int] = 1

    @property
    def numpy_dtype(self) -> np.dtype:
        """The precision as NumPy names it."""
        return np.dtype(str(self.dtype).removeprefix("torch."))

    @property
    def finite(self) -> FiniteWidth | GivenParameters | None:
        """The finite width of a network, if one has one."""
        return next((x.finite for t in self.outputs for x in leaves(t) if x.finite), None)

    def problems(self, *terms: Term) -> dict[Problem, list[Leaf]]:
        """The kernels of networks in terms, for the rows as they are, one pass for each problem."""
        shared: dict[Any, list[Leaf]] = {}
        for leaf in dict.fromkeys(x for term in terms for x in leaves(term, moved=False)):
            shared.setdefault((leaf.shape, leaf.finite), []).append(leaf)
        return {
            Problem(tuple(x.output for x in found), shape, self.dtype, self.device, finite): found
            for (shape, finite), found in shared.items()
        }


class Pairs(ABC):
    """Pairs of rows, and the kernels of networks for them.

    Attributes
    ----------
    alone : bool
        Whether every pair is a row with itself: values are (n,), else (n, m) or, of corresponding
        rows, (n,).
    """

    alone: bool

    @abstractmethod
    def leaf(self, leaf: Leaf) -> Tensor:
        """The kernel of a network."""

    @abstractmethod
    def own(self, term: Term) -> tuple[Tensor, Tensor]:
        """A kernel of the row inputs and of the column inputs with themselves, to broadcast."""

    @abstractmethod
    def pinned(self, values: Tensor, own: Tensor) -> Tensor:
        """The values with those of pairs that are the same input replaced by `own`."""

    @abstractmethod
    def moved(self, term: Mean, g: int, h: int) -> Pairs:
        """The pairs with element g applied to the row inputs, h to the column inputs."""


@singledispatch
def value(term: Term, pairs: Pairs) -> Tensor:
    """The kernel of pairs of rows."""
    raise NotImplementedError(f"no rule for {type(term).__name__}")


@value.register
def _(term: Leaf, pairs: Pairs) -> Tensor:
    return pairs.leaf(term)


@value.register
def _(term: WeightedSum, pairs: Pairs) -> Tensor:
    terms = zip(term.weights, term.terms, strict=True)
    return reduce(torch.add, (weight * value(inner, pairs) for weight, inner in terms))


@value.register
def _(term: Times, pairs: Pairs) -> Tensor:
    return reduce(torch.mul, (value(inner, pairs) for inner in term.terms))


@value.register
def _(term: Unit, pairs: Pairs) -> Tensor:
    found = value(term.term, pairs)
    if pairs.alone:
        return safe_divide(found, found)
    left, right = pairs.own(term.term)
    cosine = safe_divide(found, safe_sqrt(left) * safe_sqrt(right))
    return pairs.pinned(cosine, safe_divide(left, left))


@value.register
def _(term: Mean, pairs: Pairs) -> Tensor:
    order = len(term.moves())
    each = (
        value(term.term, pairs.moved(term, g, h))
        for h in range(order if term.both else 1)
        for g in range(order)
    )
    return reduce(torch.add, each) / term.n_pairs()


def leaves(term: Term, moved: bool = True) -> Iterator[Leaf]:
    """The kernels of networks in a term, also for rows that are moved."""
    if isinstance(term, Leaf):
        yield term
    for inner in inside(term) if moved or not isinstance(term, Mean) else ():
        yield from leaves(inner, moved)


def inside(term: Term) -> tuple[Term, ...]:
    """The terms that a term is made of."""
    if isinstance(term, (WeightedSum, Times)):
        return term.terms
    return (term.term,) if isinstance(term, (Unit, Mean)) else ()


def contexts(term: Term) -> Iterator[Term]:
    """The terms whose networks are evaluated together: the whole, and what is averaged."""
    yield term
    yield from _averaged(term)


def _averaged(term: Term) -> Iterator[Term]:
    for inner in inside(term):
        if isinstance(term, (Mean, Unit)):
            yield inner  # rows are moved, or taken by themselves
        yield from _averaged(inner)


def walk(term: Term) -> Iterator[Term]:
    """A term and all inside it."""
    yield term
    for inner in inside(term):
        yield from walk(inner)
