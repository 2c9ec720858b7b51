"""Kernel matrices by tiles within a memory budget; knows no networks."""

from .compute import compute_diagonal, compute_matrix
from .memory import (
    available_memory,
    concurrent_side,
    tile_bytes,
    tile_side,
    workspace_budget,
)
from .progress import reporting
from .threads import Threads
from .tiles import Tile, n_tiles, pieces, tiles

__all__ = [
    "Threads",
    "Tile",
    "available_memory",
    "compute_diagonal",
    "compute_matrix",
    "concurrent_side",
    "n_tiles",
    "pieces",
    "reporting",
    "tile_bytes",
    "tile_side",
    "tiles",
    "workspace_budget",
]
