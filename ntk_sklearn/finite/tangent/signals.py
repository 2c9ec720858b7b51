"""What affine calls of a module read, and derivatives of the outputs by what they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..uses import Place, Use
from .calls import Call, Layout, Recorder
from .function import ModuleFunction


@dataclass(frozen=True)
class Site:
    """An affine call without its rows.

    Attributes
    ----------
    weight, bias : str or None
        Trained parameters.
    layout : Layout
    axis : int
        Of the rows.
    copies : int
        How many entries of that axis belong to one row, side by side.
    read, written : tuple of int
        (channels, positions) of what it multiplies and returns for one row.
    """

    weight: str | None
    bias: str | None
    layout: Layout
    axis: int
    copies: int
    read: tuple[int, int]
    written: tuple[int, int]

    @property
    def groups(self) -> int:
        """Groups of channels."""
        return self.layout.groups(self.written[0])

    def by_row(self, x: Tensor, before: int = 0) -> Tensor:
        """(n, channels, *positions), behind so many axes that calls do not have."""
        axis = self.axis + before
        rows = x.unflatten(axis, (-1, self.copies)).movedim(axis, before)
        if self.layout.trailing:
            return rows.flatten(-self.layout.trailing).flatten(before + 1, -2).mT
        if self.copies == 1:
            return rows.squeeze(before + 1)
        return rows.movedim(before + 1, before + 2)


def site(few: Call, more: Call, n_few: int, n_more: int) -> Site | None:
    """The site of a call that was seen with two numbers of rows; None if rows are no axis."""
    trailing, shapes = few.layout.trailing, zip(few.x.shape, more.x.shape, strict=False)
    axes = [axis for axis, (size, other) in enumerate(shapes) if size != other]
    if len(axes) != 1 or (axes[0] if not trailing else 0) != 0:
        return None
    (axis,) = axes
    copies, rest = divmod(few.x.shape[axis], n_few)
    fits = more.x.shape[axis] == copies * n_more and more.z.shape[axis] == copies * n_more
    if rest or not fits or axis >= few.x.ndim - trailing:
        return None
    read, written = (_sizes(t, trailing, n_few) for t in (few.x, few.z))
    return Site(few.weight, few.bias, few.layout, axis, copies, read, written)


def _sizes(tensor: Tensor, trailing: int, n: int) -> tuple[int, int]:
    channels = prod(tensor.shape[-trailing:]) if trailing else tensor.shape[1]
    return channels, tensor.numel() // (channels * n)


def place(site: Site, x: Tensor) -> Place:
    """What a call multiplies by its weight, and where."""
    if site.layout.filter is None:
        found = site.by_row(x)
        return Place(found if found.ndim > 2 else found[..., None])
    padded = site.layout.filter.pad(x)
    return Place(site.by_row(padded), site.layout.filter.taps(padded))


def written(site: Site, d: Tensor) -> Tensor:
    """(n, k, channels, positions) from derivatives (k, *shape of what is written)."""
    rows = site.by_row(d, 1).transpose(0, 1)
    return rows.reshape(*rows.shape[:3], -1).contiguous()


def run(function: ModuleFunction, inputs: Any, *, graph: bool = True) -> tuple[Tensor, Recorder]:
    """Outputs (n, k) and the calls on the way."""
    with torch.inference_mode(False), torch.set_grad_enabled(graph), Recorder(function.values) as r:
        return function(function.values, inputs), r


def derivatives(outputs: Tensor, ends: Sequence[Tensor], batched: bool) -> list[Tensor]:
    """Of all outputs (n, k) by intermediate results of the rows, (k, *shape)."""
    n, k = outputs.shape
    if not outputs.requires_grad or not ends:
        return [end.new_zeros(k, *end.shape) for end in ends]
    if not batched:
        # in memory by row and then by output, as products need them
        found = [end.new_empty(len(end), k, *end.shape[1:]).transpose(0, 1) for end in ends]
        for j, output in enumerate(outputs.unbind(1)):
            grads = torch.autograd.grad(
                output.sum(), ends, retain_graph=True, materialize_grads=True
            )
            for target, grad in zip(found, grads, strict=True):
                target[j].copy_(grad)
        return found
    directions = torch.eye(k, dtype=outputs.dtype, device=outputs.device)[:, None].expand(k, n, k)
    several = torch.autograd.grad(
        outputs, ends, directions, is_grads_batched=True, materialize_grads=True
    )
    # zeros for what the outputs do not depend on come once, not once for every direction
    expanded = zip(several, ends, strict=True)
    return [d if d.ndim > end.ndim else d.expand(k, *end.shape) for d, end in expanded]


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
    inputs = tuple(place(s, c.x) for s, c, _ in places)
    return Use(inputs, d[0] if len(d) == 1 else torch.cat(d, 3), places[0][0].groups)
