"""Memory and operations of empirical kernels, for the evaluator that cuts tiles."""

from __future__ import annotations

from math import prod

import torch

from .affine import Affine, ConvModule, Windowed
from .contract import GRADIENT_BLOCK, PAIR_BLOCK, by_positions
from .convolutions import LocalModule
from .draws import held_bytes
from .modules import FiniteNetwork
from .network import affine_layers
from .signals import GRAPH_BYTES, graph_bytes_per_row

# Rows of the smallest tile that is worth while: what does not grow with it is shared out to them.
SMALLEST_TILE = 64


def row_bytes(module: FiniteNetwork, dtype: torch.dtype, ntk: bool) -> int:
    """Bytes per row of a tile, and per column: signals, and the largest layer's contraction."""
    layers = affine_layers(module)
    signals = sum(prod(a.in_shape) + ntk * prod(a.out_shape) for a in layers)
    return dtype.itemsize * (signals + max(map(_contraction_numbers, layers)))


def shared_bytes(module: FiniteNetwork, dtype: torch.dtype, n_networks: int) -> int:
    """Share of a row of the smallest tile in the graph and the parameters."""
    graph = min(graph_bytes_per_row(module, dtype.itemsize), GRAPH_BYTES // SMALLEST_TILE)
    return graph + held_bytes(module, n_networks, dtype) // SMALLEST_TILE


def operations(module: FiniteNetwork) -> tuple[int, int]:
    """Multiplications (per row, per pair of rows) of the NTK of one network."""
    layers = affine_layers(module)
    per_row = sum(3 * a.weight.numel() * _n_uses(a) for a in layers)
    return per_row, sum(map(_pair_operations, layers))


def _n_uses(layer: Affine) -> int:
    """At how many positions each weight is used."""
    return 1 if isinstance(layer, LocalModule) else prod(layer.out_shape[1:])


def _pair_operations(layer: Affine) -> int:
    channels = layer.out_shape[0]
    if isinstance(layer, LocalModule):
        return layer.weight.numel() // channels + prod(layer.out_shape)
    if not isinstance(layer, ConvModule):
        return layer.in_shape[0] + channels
    if not by_positions(layer, channels):
        return layer.weight.numel()
    return prod(layer.out_shape[1:]) ** 2 * (channels + prod(layer.weight.shape[1:]))


def _contraction_numbers(layer: Affine) -> int:
    """Padded input, one shift of it and its copy, and a block of gradients or of positions."""
    if not isinstance(layer, Windowed):
        return 0
    channels, positions = layer.in_shape[0], prod(layer.out_shape[1:])
    sizes = zip(layer.in_shape[1:], layer.windows, strict=True)
    padded = prod((n - 1) * w.spacing + 1 + w.low + w.high for n, w in sizes)
    shifts = channels * (padded + 2 * positions)
    if not isinstance(layer, ConvModule):
        return shifts + 3 * max(PAIR_BLOCK // SMALLEST_TILE, SMALLEST_TILE)
    if by_positions(layer, layer.out_shape[0]):
        return shifts + 3 * max(PAIR_BLOCK // SMALLEST_TILE, positions**2)
    return shifts + max(min(GRADIENT_BLOCK, channels * layer.out_shape[0]), channels)
