"""What is to be evaluated: outputs, input shape, precision and device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..architecture import Layer, Shape
from ..finite.linearized import GivenModule

Quantity = Literal["nngp", "ntk"]


@dataclass(frozen=True)
class Output:
    """One matrix asked for: a covariance of one network."""

    network: Layer
    quantity: Quantity


@dataclass(frozen=True)
class FiniteWidth:
    """Average over random networks of a finite width instead of the infinite-width limit.

    The same integer `random_state` gives the same networks in every tile, call and process.
    """

    width: int
    n_networks: int = 10
    random_state: int = 0

    def __str__(self) -> str:
        return f"width {self.width}"


@dataclass(frozen=True)
class GivenParameters:
    """The networks are torch modules at the parameters that they have."""

    def __str__(self) -> str:
        return "given parameters"


@dataclass(frozen=True)
class Problem:
    """Everything an evaluator must know but the rows of X.

    Attributes
    ----------
    outputs : tuple of Output
        A tile fills a stack (n_outputs, rows, columns); networks with a common prefix share it.
    input_shape : Shape
        Channels and spatial axes of one row of X.
    finite : FiniteWidth, GivenParameters or None
        None is the infinite-width limit.
    """

    outputs: tuple[Output, ...]
    input_shape: Shape
    dtype: torch.dtype = torch.float64
    device: torch.device = torch.device("cpu")
    finite: FiniteWidth | GivenParameters | None = None

    @property
    def per_row(self) -> int:
        """Rows of the matrix for every row of X: all outputs of a module, where they are wanted."""
        networks = [output.network for output in self.outputs]
        full = [n.n_outputs for n in networks if isinstance(n, GivenModule) and n.full]
        return full[0] if full else 1

    @property
    def numpy_dtype(self) -> np.dtype:
        """The precision as NumPy names it."""
        return np.dtype(str(self.dtype).removeprefix("torch."))

    def shaped(self, X: Tensor) -> Tensor:
        """Rows in this precision, on this device and in their shape, (n, channels, *spatial)."""
        X, shape = X.to(device=self.device, dtype=self.dtype), self.input_shape
        return X.reshape(len(X), shape.channels or -1, *shape.spatial)
