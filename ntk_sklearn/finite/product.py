"""The product of branches in networks of finite width."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from ..architecture import Product
from .build import Wire, alike, build
from .modules import Branches, Part, Tape


class Multiplied(Branches):
    """The elementwise product of parts that read the same input."""

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, *spatial), the channels of one branch."""
        return reduce(torch.mul, [part(x, tape) for part in self.parts])


@build.register
def _(layer: Product, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    parts, ends = alike(layer, wire, channels, width)
    return Multiplied(parts, concatenate=False), ends[0]
