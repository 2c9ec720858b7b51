"""Kernel matrices by tiles within a memory budget; knows no networks."""

from .compute import compute_diagonal, compute_matrix
from .memory import available_memory, parse_budget, tile_side, workspace_budget
from .tiles import Tile, pieces, tiles

__all__ = [
    "Tile",
    "available_memory",
    "compute_diagonal",
    "compute_matrix",
    "parse_budget",
    "pieces",
    "tile_side",
    "tiles",
    "workspace_budget",
]
