"""What affine calls of a module read, and derivatives of the outputs by what they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..uses import Place, Use
from .calls import Call, Filter, Recorder
from .function import ModuleFunction


@dataclass(frozen=True)
class Site:
    """An affine call without its rows: which axis they are, and what it is.

    Attributes
    ----------
    weight, bias : str or None
        Trained parameters.
    filter : Filter or None
        None for ``linear``.
    axis : int
        Of the rows.
    copies : int
        How many entries of that axis belong to one row, side by side.
    shape, written : tuple of int
        Of what one row reads and writes, in total sizes (channels, positions).
    """

    weight: str | None
    bias: str | None
    filter: Filter | None
    axis: int
    copies: int
    read: tuple[int, int]
    written: tuple[int, int]

    def by_row(self, x: Tensor, axis: int = 0) -> Tensor:
        """The rows' axis in front: (n, copies, ...); `axis` counts those before the call's."""
        return x.unflatten(self.axis + axis, (-1, self.copies)).movedim(self.axis + axis, axis)


def site(few: Call, more: Call, n_few: int, n_more: int) -> Site | None:
    """The site of a call that was seen with two numbers of rows; None if rows are no axis."""
    axis = [i for i, sizes in enumerate(zip(few.x.shape, more.x.shape)) if sizes[0] != sizes[1]]
    written = [i for i, s in enumerate(zip(few.z.shape, more.z.shape)) if s[0] != s[1]]
    if len(axis) != 1 or axis != written or few.x.ndim != more.x.ndim:
        return None
    (where,) = axis
    channel = 1 if few.filter else few.x.ndim - 1
    copies, rest = divmod(few.x.shape[where], n_few)
    if rest or more.x.shape[where] != copies * n_more or where == channel:
        return None
    if few.filter and where != 0:
        return None
    sizes = [(t.shape[channel], t.numel() // (t.shape[channel] * n_few)) for t in (few.x, few.z)]
    return Site(few.weight, few.bias, few.filter, where, copies, sizes[0], sizes[1])


def place(site: Site, x: Tensor) -> Place:
    """What a call reads, (n, channels, *positions)."""
    if site.filter is None:
        return Place(site.by_row(x).flatten(1, -2).mT)
    padded = site.filter.pad(x)
    taps = site.filter.taps(padded)
    return Place(padded if site.copies == 1 else site.by_row(padded).movedim(1, 2), taps)


def written(site: Site, d: Tensor) -> Tensor:
    """(n, k, channels, positions) from derivatives (k, *shape of what is written)."""
    rows = site.by_row(d, 1).movedim(0, 1)  # n, k, copies, ...
    if site.filter is None:
        return rows.flatten(2, -2).mT.contiguous()
    if site.copies == 1:
        return rows[:, :, 0].flatten(3).contiguous()
    return rows.movedim(2, 3).flatten(3).contiguous()


def run(
    function: ModuleFunction, inputs: Any, *, graph: bool = True
) -> tuple[Tensor, Recorder]:
    """Outputs (n, k) and the calls on the way."""
    with torch.inference_mode(False), torch.set_grad_enabled(graph), Recorder(function.values) as r:
        return function(function.values, inputs), r


def derivatives(
    outputs: Tensor, ends: Sequence[Tensor], batched: bool
) -> list[Tensor]:
    """Of all outputs (n, k) by intermediate results of the rows, (k, *shape)."""
    n, k = outputs.shape
    if not outputs.requires_grad or not ends:
        return [end.new_zeros(k, *end.shape) for end in ends]
    if not batched:
        found = [
            torch.autograd.grad(o.sum(), ends, retain_graph=True, materialize_grads=True)
            for o in outputs.unbind(1)
        ]
        return [torch.stack(by_output) for by_output in zip(*found, strict=True)]
    directions = torch.eye(k, dtype=outputs.dtype, device=outputs.device)[:, None].expand(k, n, k)
    several = torch.autograd.grad(
        outputs, ends, directions, is_grads_batched=True, materialize_grads=True
    )
    return list(several)


def parts(
    sites: Sequence[Site], names: Sequence[str], calls: Sequence[Call], found: Sequence[Tensor]
) -> dict[str, Use | Tensor]:
    """What the structured parameters' gradients are made of, for the rows of one pass."""
    seen = [(s, c, written(s, d)) for s, c, d in zip(sites, calls, found, strict=True)]
    return {name: _part(name, seen) for name in names}


def _part(name: str, seen: Sequence[tuple[Site, Call, Tensor]]) -> Use | Tensor:
    places = [(s, c, d) for s, c, d in seen if s.weight == name]
    if not places:
        biased = [d.sum(3) for s, _, d in seen if s.bias == name]
        return torch.stack(biased).sum(0) if len(biased) > 1 else biased[0]
    d = [d for _, _, d in places]
    groups = places[0][0].filter.groups if places[0][0].filter else 1
    inputs = tuple(place(s, c.x) for s, c, _ in places)
    return Use(inputs, d[0] if len(d) == 1 else torch.cat(d, 3), groups)
