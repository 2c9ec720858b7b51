"""One step of a forward: which signals it reads, and what it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import fx

from ...architecture import Concat, Layer, Product, Sum
from .rules import Wire

Node: TypeAlias = fx.Node


@dataclass(frozen=True)
class Step:
    """A signal of the network, as what is done to earlier ones.

    Attributes
    ----------
    origin : str
        Where in the module: for error messages.
    inputs : tuple of Node
    wire : Wire
        Behind it.
    layers : tuple of Layer
        Of a step with one input.
    kind : {None, "sum", "product", "concat"}
        Of a step that joins several.
    shares : tuple of float
        Of a concatenation.
    factor : float
        A number that the input is multiplied by.
    in_place : bool
        Whether the input is overwritten.
    copies : bool
        Whether the result is in memory of its own although no layer made it.
    """

    origin: str
    inputs: tuple[Node, ...]
    wire: Wire
    layers: tuple[Layer, ...] = ()
    kind: str | None = None
    shares: tuple[float, ...] = ()
    factor: float = 1.0
    in_place: bool = False
    copies: bool = False

    def join(self, branches: Sequence[Layer]) -> Layer:
        """The layer of several branches."""
        if self.kind == "concat":
            return Concat(*branches, shares=self.shares)
        return Sum(*branches) if self.kind == "sum" else Product(*branches)
