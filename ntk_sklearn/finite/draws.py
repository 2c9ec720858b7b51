"""The random networks that an empirical kernel is the mean over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from ..architecture import Layer, Shape
from .modules import FiniteNetwork
from .network import draw, skeleton
from .seeds import spawn

# Bytes of parameters up to which networks are kept between tiles; larger ones are drawn anew.
KEPT_BYTES = 2**26


class Networks:
    """Independent networks of one tree, the same ones each time they are iterated over.

    Parameters
    ----------
    network, input_shape, width
        As in `to_module`.
    n_networks : int
    random_state : int
        Determines all of them: the same in every call, process, precision and device.
    dtype, device
        Of the parameters.
    """

    def __init__(
        self,
        network: Layer,
        input_shape: Shape | Sequence[int],
        width: int,
        n_networks: int = 10,
        random_state: int = 0,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        self.network, self.input_shape, self.width = network, input_shape, width
        self.n_networks, self.random_state = n_networks, random_state
        self.dtype, self.device = dtype, device
        each = parameter_bytes(skeleton(network, input_shape, width), dtype)
        self._kept = list(self._drawn()) if n_networks * each <= KEPT_BYTES else None

    def __len__(self) -> int:
        return self.n_networks

    def __iter__(self) -> Iterator[FiniteNetwork]:
        return self._drawn() if self._kept is None else iter(self._kept)

    def _drawn(self) -> Iterator[FiniteNetwork]:
        for generator in spawn(self.random_state, self.n_networks):
            module = skeleton(self.network, self.input_shape, self.width)
            yield draw(module, generator, dtype=self.dtype, device=self.device)


def held_bytes(module: FiniteNetwork, n_networks: int, dtype: torch.dtype) -> int:
    """Bytes of the parameters that `Networks` holds at a time."""
    each = parameter_bytes(module, dtype)
    return n_networks * each if n_networks * each <= KEPT_BYTES else each


def parameter_bytes(module: FiniteNetwork, dtype: torch.dtype) -> int:
    """Bytes of the parameters of one network, drawn or not."""
    return dtype.itemsize * sum(p.numel() for p in module.parameters())
