"""The product of branches in networks of finite width."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from ..architecture import Product, ShapeError, Sum
from .build import Wire, build
from .modules import Branches, Part, Tape


class Multiplied(Branches):
    """The elementwise product of parts that read the same input."""

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, *spatial), the channels of one branch."""
        return reduce(torch.mul, [part(x, tape) for part in self.parts])


@build.register
def _(layer: Product, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    try:  # the channels of branches are those of a sum
        added, end = build(Sum(*layer.branches), wire, channels, width)
    except ShapeError as error:
        raise ShapeError(f"{layer!r}: its branches must agree as in a sum: {error}") from None
    assert isinstance(added, Branches), "built from a sum"
    return Multiplied(list(added.parts), concatenate=False), end  # type: ignore[arg-type]
