"""Layer normalization and dropout in networks of finite width."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..architecture import Dropout, LayerNorm
from .build import Wire, build
from .modules import Part, Tape


class Normalized(Part):
    """``(x - mean) / sqrt(var + eps)`` over channels, or over channels and positions."""

    def __init__(self, every_axis: bool, eps: float) -> None:
        super().__init__()
        self.every_axis, self.eps = every_axis, eps

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, *spatial); 0 where the variance and eps are 0."""
        axes = tuple(range(1, x.ndim)) if self.every_axis else (1,)
        centred = x - x.mean(axes, keepdim=True)
        square = centred.square().mean(axes, keepdim=True) + self.eps
        positive = square > 0
        return centred * torch.where(positive, torch.where(positive, square, 1.0).rsqrt(), 0.0)

    def extra_repr(self) -> str:
        """Axes and eps."""
        return f"every_axis={self.every_axis}, eps={self.eps}"


class Dropped(Part):
    """Dropout while the module is in training mode, which modules are in at first."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, *spatial); masks come from torch's global generator."""
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability of dropping."""
        return f"p={self.p}"


@build.register
def _(layer: LayerNorm, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    return Normalized(layer.axes == "all", float(layer.eps)), wire


@build.register
def _(layer: Dropout, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    return Dropped(float(layer.p)), wire
