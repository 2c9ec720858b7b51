"""Contraction of gradients, and products of the kernel with unit vectors, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from ..uses import Place, Use, gradient_pairs, gradients, pair_products, pairs_are_cheaper, squares
from . import forms
from .examine import Structure
from .function import ModuleFunction, n_rows, take
from .rows import row_jacobians
from .signals import derivatives, parts, run

# Numbers per row of the gradients by one weight that are formed at a time.
GRADIENT_BLOCK = 2**16
# Blocks of the rows of a Gram: what is below the diagonal is not computed.
_BLOCKS = 4

Part = Use | Tensor


@dataclass(frozen=True)
class Contraction:
    """Gradients of rows, or what they are made of, and their products.

    Parameters
    ----------
    function : ModuleFunction
    structure : Structure
    names : sequence of str
        The parameters of this kernel.
    form : str
    pass_rows : int
        Rows that go forward and backward at a time.
    structured : bool
        Whether what affine calls read is used where it can be; else all gradients are formed row
        by row.
    """

    function: ModuleFunction
    structure: Structure
    names: tuple[str, ...]
    form: str
    pass_rows: int
    structured: bool

    def record(self, inputs: Any) -> dict[str, Part]:
        """By parameter the gradients (n, k, size), or what they are made of."""
        n = n_rows(inputs)
        step = -(-n // max(1, -(-n // self.pass_rows)))  # pieces alike: a short one costs a pass
        pieces = [
            self._piece(take(inputs, slice(start, start + step))) for start in range(0, n, step)
        ]
        return {name: joined([piece.pop(name) for piece in pieces]) for name in self.names}

    def _piece(self, inputs: Any) -> dict[str, Part]:
        affine = self.structure.structured if self.structured else ()
        affine = tuple(name for name in self.names if name in affine)
        rest = [name for name in self.names if name not in affine]
        found = self._affine(affine, inputs) if affine else {}
        return found | row_jacobians(self.function, rest, inputs, self.structure.vectorized)

    def _affine(self, names: Sequence[str], inputs: Any) -> dict[str, Part]:
        outputs, recorder = run(self.function, inputs)
        self.structure.check(recorder)
        wanted = [
            (s, c)
            for s, c in zip(self.structure.sites, recorder.calls, strict=True)
            if s is not None and {s.weight, s.bias} & set(names)
        ]
        ends = [call.z for _, call in wanted]
        found = derivatives(outputs, ends, self.structure.batched)
        made = parts([s for s, _ in wanted], names, [c for _, c in wanted], found)
        return {name: self._kept(part) for name, part in made.items()}

    def _kept(self, part: Part) -> Part:
        """Gradients at once where they take less memory than what they are made of."""
        if isinstance(part, Tensor) or by_pairs(part, self.form):
            return part
        return next(gradients(part, gradient_size(part))) if gradients_are_smaller(part) else part

    def products(self, total: Tensor, names: Sequence[str], a: Any, b: Any) -> None:
        """Add the products of the gradients by some parameters to a stack (b, N, M)."""
        for left, right in zip(self._together(names, a), self._together(names, b), strict=True):
            add_products(total, self.form, left, right)

    def gram(self, total: Tensor, names: Sequence[str], a: Any) -> Tensor:
        """Add products of rows with themselves, above the diagonal; returns `squares`."""
        found = [add_gram(total, self.form, part) for part in self._together(names, a)]
        return reduce(torch.add, found)

    def squares(self, names: Sequence[str], a: Any) -> Tensor:
        """Squared norms (n, k) of the gradients."""
        found = [part_squares(self.form, part) for part in self._together(names, a)]
        return reduce(torch.add, found)

    def _together(self, names: Sequence[str], a: dict[str, Part]) -> Iterator[Part]:
        """Parts by parameter; a bias as one more input of the weight that it stands beside.

        With one position both have products of the same derivatives, which are formed once.
        """
        joined = {
            site.weight: site.bias
            for site in self.structure.sites
            if site is not None and site.weight is not None and site.bias is not None
            if {site.weight, site.bias} <= set(names)
            if {site.weight, site.bias} <= set(self.structure.structured)
            if self._alone(site.weight) and self._alone(site.bias)
            if isinstance(a[site.weight], Use) and site.groups == site.written[1] == 1
        }
        for name in names:
            if name in joined:
                yield _with_ones(a[name])
            elif name not in joined.values():
                yield a[name]

    def _alone(self, name: str | None) -> bool:
        """Whether a parameter is used once."""
        return sum(s is not None and name in (s.weight, s.bias) for s in self.structure.sites) == 1


def _with_ones(use: Part) -> Use:
    assert isinstance(use, Use)
    (only,) = use.places
    x = torch.cat([only.x, only.x.new_ones(len(only.x), 1, *only.x.shape[2:])], 1)
    return Use((Place(x, only.taps),), use.d)


def add_products(total: Tensor, form: str, a: Part, b: Part) -> None:
    """Add the products by one parameter."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        forms.add_products(total, form, a, b)
    elif isinstance(a, Use) and isinstance(b, Use):
        if by_pairs(a, form):
            total += forms.by_stack(form, pair_products(a, b, forms.kind(form)))
            return
        for left, right in gradient_pairs(a, b, GRADIENT_BLOCK):
            forms.add_products(total, form, left, right)


def add_gram(total: Tensor, form: str, a: Part) -> Tensor:
    """Add the products by one parameter above the diagonal; returns the squares (n, k)."""
    if isinstance(a, Use) and by_pairs(a, form):
        _add_upper(total, form, a)
        return squares(a)
    found = []
    for piece in _gradients(a):
        forms.add_products(total, form, piece, piece)
        found.append(_squared_norms(piece))
    return reduce(torch.add, found)


def _add_upper(total: Tensor, form: str, a: Use) -> None:
    """Add products of pairs of positions above the diagonal, and a little below."""
    outputs = a.d.shape[1] if form == "full" else 1
    step = max(1, -(-len(a) // _BLOCKS))
    for start in range(0, len(a), step):
        found = pair_products(a[start : start + step], a[start:], forms.kind(form))
        rows = slice(start * outputs, (start + step) * outputs)
        total[:, rows, start * outputs :] += forms.by_stack(form, found)


def part_squares(form: str, a: Part) -> Tensor:
    """Squared norms (n, k) of the gradients by one parameter, as `add_gram` has them."""
    if isinstance(a, Use) and by_pairs(a, form):
        return squares(a)
    return reduce(torch.add, map(_squared_norms, _gradients(a)))


def _squared_norms(gradients: Tensor) -> Tensor:
    """(n, k) of gradients (n, k, size), without a copy of them."""
    return torch.linalg.vector_norm(gradients, dim=2).square()


def by_pairs(use: Use, form: str) -> bool:
    """Whether a form of the kernel takes fewer operations by pairs of positions."""
    k, positions = use.d.shape[1], use.d.shape[3]
    patch = use.in_channels * use.n_taps
    if form == "full":
        return pairs_are_cheaper(positions, use.channels, patch, k**2)
    return pairs_are_cheaper(positions, k * use.channels, patch)


def gradient_size(use: Use) -> int:
    """Numbers of the gradients of one row."""
    return use.d.shape[1] * use.d.shape[2] * use.in_channels * use.n_taps


def gradients_are_smaller(use: Use) -> bool:
    """Whether gradients are fewer numbers than derivatives and inputs."""
    return gradient_size(use) <= use.d[0].numel() + sum(place.x[0].numel() for place in use.places)


def _gradients(part: Part) -> Iterator[Tensor]:
    if isinstance(part, Tensor):
        yield part
    else:
        yield from gradients(part, GRADIENT_BLOCK)


def joined(several: list[Part]) -> Part:
    """Parts of consecutive rows as one."""
    first = several[0]
    if len(several) == 1:
        return first
    if isinstance(first, Tensor):
        return torch.cat([part for part in several if isinstance(part, Tensor)])
    uses = [part for part in several if isinstance(part, Use)]
    places = tuple(
        Place(torch.cat([place.x for place in same]), same[0].taps)
        for same in zip(*(use.places for use in uses), strict=True)
    )
    return Use(places, torch.cat([use.d for use in uses]), first.groups)
