"""Parts of a network of finite width that have nothing to learn."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..architecture import Layer, ShapeError, Window


class Tape(Protocol):
    """Sees what every affine layer reads; `FiniteNetwork` hands it down to all of them."""

    def through(self, layer: Any, x: Tensor) -> Tensor:
        """The output of the affine layer for the input x (n, channels, *spatial)."""


class Run(NamedTuple):
    """A tape for one forward pass of a network, with the inputs that the network was given.

    Rows carry more than signals where graphs belong to them.
    """

    rows: Tensor
    tape: Tape | None

    def through(self, layer: Any, x: Tensor) -> Tensor:
        """What the tape within says, or just the layer's output."""
        output: Tensor = layer.affine(x) if self.tape is None else self.tape.through(layer, x)
        return output


class Part(nn.Module):
    """A module that passes a `Tape` on; here one without affine layers."""

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """The output (n, channels, *spatial) for the input x (n, channels, *spatial)."""
        raise NotImplementedError


class Pointwise(Part):
    """phi of a dual activation, on every unit."""

    def __init__(self, dual: Any) -> None:
        super().__init__()
        self.dual = dual

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """phi(x)."""
        return self.dual.phi(x)

    def extra_repr(self) -> str:
        """The activation."""
        return repr(self.dual)


class Pad(Part):
    """Zeros around every spatial axis, or the other end of the image where windows wrap.

    First zeros between the positions, where windows read them `spacing` apart.
    """

    def __init__(self, windows: tuple[Window, ...]) -> None:
        super().__init__()
        # torch wants the last axis first
        self.spacings = [(w.spacing, w.wrap) for w in windows]
        self.amounts = [n for w in reversed(windows) for n in (w.low, w.high)]
        self.mode = "circular" if any(w.wrap for w in windows) else "constant"

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, *padded)."""
        for axis, (spacing, wrap) in enumerate(self.spacings, start=2):
            x = _spread(x, axis, spacing, wrap) if spacing > 1 else x
        return F.pad(x, self.amounts, self.mode) if any(self.amounts) else x

    def extra_repr(self) -> str:
        """Amounts as torch orders them."""
        return f"{self.amounts}, {self.mode}"


def _spread(x: Tensor, axis: int, spacing: int, wrap: bool) -> Tensor:
    """Positions along an axis with zeros between them, and behind the last one of a circle."""
    sizes = list(x.shape)
    sizes[axis] = sizes[axis] * spacing if wrap else (sizes[axis] - 1) * spacing + 1
    spread = x.new_zeros(sizes)
    spread[(slice(None),) * axis + (slice(None, None, spacing),)] = x
    return spread


class Pool(Part):
    """Mean over windows of positions, times `factor`; padded zeros count.

    `edges` holds for every axis what the means at each position along it are multiplied by.
    """

    def __init__(
        self, windows: tuple[Window, ...], factor: float, edges: list[list[float]] | None = None
    ) -> None:
        super().__init__()
        self.edges = edges or []
        self.pad = Pad(windows)
        self.window = tuple(w.size for w in windows)
        self.stride = tuple(w.stride for w in windows)
        self.factor = factor
        self._pool: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(windows) - 1]

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, *pooled)."""
        pooled: Tensor = self.factor * self._pool(self.pad(x), self.window, self.stride)
        for axis, factors in enumerate(self.edges, start=2):
            along = pooled.new_tensor(factors).reshape(-1, *(1,) * (pooled.ndim - 1 - axis))
            pooled = pooled * along
        return pooled

    def extra_repr(self) -> str:
        """Window and stride."""
        return f"window={self.window}, stride={self.stride}, factor={self.factor}"


class GlobalPool(Part):
    """Mean or sum over all positions."""

    def __init__(self, average: bool) -> None:
        super().__init__()
        self.average = average

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels)."""
        flat = x.flatten(2)
        return flat.mean(2) if self.average else flat.sum(2)


class Flattened(Part):
    """All positions of a channel side by side, channel after channel."""

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels * positions)."""
        return x.flatten(1)


class Chain(Part):
    """Parts applied one after another."""

    def __init__(self, parts: list[Part]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """The last part's output."""
        for part in self.parts:
            x = part(x, tape)
        return x


class Branches(Part):
    """The sum of parts that read the same input, or their channels side by side."""

    def __init__(self, parts: list[Part], concatenate: bool) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.concatenate = concatenate

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, *spatial), the channels of all branches or of one."""
        outputs = [part(x, tape) for part in self.parts]
        return torch.cat(outputs, 1) if self.concatenate else sum(outputs[1:], outputs[0])


class FiniteNetwork(Part):
    """A network of finite width: reads rows or images, and ends in `n_outputs` channels.

    Attributes
    ----------
    network : Layer
        The tree that it was made from.
    """

    def __init__(self, network: Layer, body: Part, in_shape: tuple[int, ...], kept: int) -> None:
        super().__init__()
        self.network = network
        self.body = body
        self.in_shape = in_shape
        self.kept = kept

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """Outputs (n, n_outputs, *spatial) for x (n, n_features) or (n, channels, *spatial).

        Raises
        ------
        ShapeError
            If the rows have another size.
        """
        if x.ndim < 2 or x.shape[1:].numel() != prod(self.in_shape):
            raise ShapeError(
                f"the network reads rows of shape {self.in_shape} (channels, *spatial), or "
                f"flattened, got an input of shape {tuple(x.shape)}"
            )
        rows = x.reshape(len(x), *self.in_shape)
        return self.body(rows, Run(rows, tape))[:, : self.kept]

    def extra_repr(self) -> str:
        """Shape of a row."""
        return f"in_shape={self.in_shape}"
