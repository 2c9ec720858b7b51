r"""Products of the gradients of one weight, without the gradients of all rows.

A weight (channels, in_channels, taps) of a dense or convolutional layer reads patches h(o) at
positions o, and outputs have derivatives d(o) by what it writes there. The gradient of an output
is the sum of outer products ``sum_o d(o) h(o)^T``, and there are two ways to products of
gradients: pairs of positions, ``sum_{o, o'} <d(o), d'(o')> <h(o), h'(o')>`` (Novak et al. 2022),
or the gradients themselves, for some taps and channels at a time. A dense layer has one position,
and a weight that is used in several places has the positions of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from math import isqrt
from typing import Any

import torch
from torch import Tensor

# Numbers of the products of pairs of positions that are formed at a time.
PAIR_BLOCK = 2**21


@dataclass(frozen=True)
class Place:
    """Where a weight is used: what it reads (n, groups * in_channels, *padded), and where there.

    `taps` has for every entry of the filter the index of what it reads.
    """

    x: Tensor
    taps: tuple[Any, ...] = (...,)

    def read(self, start: int, stop: int, groups: int) -> Tensor:
        """By some taps, (n, groups, taps * in_channels, positions); copied once."""
        several = [self.x[tap].unflatten(1, (groups, -1)) for tap in self.taps[start:stop]]
        return (several[0] if len(several) == 1 else torch.cat(several, 2)).flatten(3)


@dataclass(frozen=True)
class Use:
    """One weight at all of its positions, for some rows.

    Attributes
    ----------
    places : tuple of Place
        Where it is used, with equally many taps.
    d : Tensor, (n, k, groups * channels, positions)
        Derivatives of the outputs by what it writes, the positions of all places side by side.
    groups : int
        Groups of channels that do not see each other's inputs.
    """

    places: tuple[Place, ...]
    d: Tensor
    groups: int = 1

    def __len__(self) -> int:
        return len(self.d)

    def __getitem__(self, rows: slice) -> Use:
        places = tuple(Place(place.x[rows], place.taps) for place in self.places)
        return Use(places, self.d[rows], self.groups)

    @property
    def n_taps(self) -> int:
        """Entries of the filter."""
        return len(self.places[0].taps)

    @property
    def in_channels(self) -> int:
        """Channels that one entry of the filter reads."""
        return self.places[0].x.shape[1] // self.groups

    @property
    def channels(self) -> int:
        """Channels that one group writes."""
        return self.d.shape[2] // self.groups

    def patches(self) -> Iterator[Tensor]:
        """By tap what is read, (n, groups, in_channels, positions)."""
        for t in range(self.n_taps):
            yield self.patch(t, t + 1)

    def patch(self, start: int, stop: int) -> Tensor:
        """What some taps read side by side, (n, groups, taps * in_channels, positions)."""
        by_place = [place.read(start, stop, self.groups) for place in self.places]
        return by_place[0] if len(by_place) == 1 else torch.cat(by_place, 3)

    def derivatives(self) -> Tensor:
        """(n, groups, k, channels, positions)."""
        return self.d.unflatten(2, (self.groups, -1)).transpose(1, 2)


def pairs_are_cheaper(positions: int, channels: int, patch: int, blocks: int = 1) -> bool:
    """Whether pairs of positions cost fewer operations per pair of rows than gradients.

    `blocks` products of outputs are formed for every pair of rows.
    """
    return positions**2 * (blocks * channels + patch) < blocks * channels * patch


def gradients(use: Use, block: int) -> Iterator[Tensor]:
    """Gradients by the weight (n, k, some of them), about `block` numbers per row at a time."""
    d = use.derivatives()
    groups, k, channels = d.shape[1:4]
    per_channel = groups * k * use.in_channels
    step = max(1, min(channels, block // per_channel))
    together = max(1, block // (per_channel * step))
    parts = [part.flatten(2, 3) for part in d.split(step, dim=3)]
    for start in range(0, use.n_taps, together):
        patch = use.patch(start, start + together)
        for part in parts:
            found = (part @ patch.mT).unflatten(2, (k, -1))
            yield found.transpose(1, 2).flatten(2)


def gradient_pairs(a: Use, b: Use, block: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Gradients of both, the same object twice where both are one."""
    lefts = gradients(a, block)
    if a is b:
        return ((left, left) for left in lefts)
    return zip(lefts, gradients(b, block), strict=True)


def pair_products(a: Use, b: Use, form: str) -> Tensor:
    """Products of gradients by pairs of positions: (n, m), (k, n, m) or (n, k, m, k)."""
    found = [_of_group(x, y, form) for x, y in zip(_by_group(a), _by_group(b), strict=True)]
    return reduce(torch.add, found)


def squares(use: Use) -> Tensor:
    """Squared norms (n, k) of the gradients, by positions."""
    positions = use.d.shape[3]
    if positions == 1 and use.groups == 1:
        read = reduce(torch.add, (p.square().sum((1, 2, 3)) for p in use.patches()))
        return use.d.square().sum((2, 3)).mul_(read[:, None])
    step = max(1, PAIR_BLOCK // (positions**2 * use.d.shape[1]))
    found = []
    for start in range(0, len(use), step):
        part = use[start : start + step]
        patches = reduce(torch.add, (p.mT @ p for p in part.patches()))
        d = part.derivatives()
        found.append((patches[:, :, None] * (d.mT @ d)).sum((1, 3, 4)))
    return torch.cat(found) if found else use.d.new_zeros(use.d.shape[:2])


def _by_group(use: Use) -> Iterator[tuple[list[Tensor], Tensor]]:
    """Patches by tap (n, in_channels, positions) and derivatives (n, k, channels, positions)."""
    patches, d = list(use.patches()), use.derivatives()
    for g in range(use.groups):
        yield [p[:, g] for p in patches], d[:, g]


def _of_group(a: Any, b: Any, form: str) -> Tensor:
    (reads, d), (reads2, d2) = a, b
    k, positions, other = d.shape[1], d.shape[3], d2.shape[3]
    if positions == other == 1:
        return _dense(reads, d[..., 0], reads2, d2[..., 0], form)
    step = max(1, isqrt(PAIR_BLOCK // (positions * other)) // (k if form == "full" else 1))
    return torch.cat([
        torch.cat([
            _pairs([p[rows] for p in reads], d[rows], [p[cols] for p in reads2], d2[cols], form)
            for cols in _slices(len(d2), step)
        ], dim=2 if form != "trace" else 1)
        for rows in _slices(len(d), step)
    ], dim=1 if form == "diagonal" else 0)  # fmt: skip


def _slices(n: int, step: int) -> list[slice]:
    return [slice(start, start + step) for start in range(0, max(n, 1), step)]


def _dense(reads: Any, d: Tensor, reads2: Any, d2: Tensor, form: str) -> Tensor:
    """One position: <d, d'> <h, h'>."""
    pairs = zip(reads, reads2, strict=True)
    inputs = reduce(torch.add, (p[..., 0] @ q[..., 0].mT for p, q in pairs))
    if form == "trace":
        return inputs.mul_(d.flatten(1) @ d2.flatten(1).mT)
    if form == "diagonal":
        return (d.transpose(0, 1) @ d2.permute(1, 2, 0)).mul_(inputs)
    products = d.flatten(0, 1) @ d2.flatten(0, 1).mT
    wide = inputs.repeat_interleave(d2.shape[1], dim=1)  # axes of length k are slow to broadcast
    products.view(*d.shape[:2], -1).mul_(wide[:, None])
    return products.view(*d.shape[:2], *d2.shape[:2])


def _pairs(reads: Any, d: Tensor, reads2: Any, d2: Tensor, form: str) -> Tensor:
    n, m, t, s = len(d), len(d2), d.shape[3], d2.shape[3]
    inputs = reduce(torch.add, (_outer(p, q) for p, q in zip(reads, reads2, strict=True)))
    if form == "trace":
        product = _outer(d.flatten(1, 2), d2.flatten(1, 2)).mul_(inputs)
        return product.view(n, t, m, s).sum((1, 3))
    if form == "diagonal":
        by_output = zip(d.unbind(1), d2.unbind(1), strict=True)
        found = [_outer(x, y).mul_(inputs).view(n, t, m, s).sum((1, 3)) for x, y in by_output]
        return torch.stack(found)
    k, other = d.shape[1], d2.shape[1]
    product = _outer(d.flatten(0, 1), d2.flatten(0, 1)).view(n, k, t, m, other, s)
    return product.mul_(inputs.view(n, 1, t, m, 1, s)).sum((2, 5))


def _outer(a: Tensor, b: Tensor) -> Tensor:
    """Products over the channels of (n, c, p) and (m, c, p), (n * p, m * p)."""
    left, right = a.transpose(0, 1).flatten(1), b.transpose(0, 1).flatten(1)
    return left.mT @ right
