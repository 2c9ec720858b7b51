"""How covariances move through layers: the plain-torch reference and specification."""

from .family import propagate_all, unrolled
from .inputs import diagonal_state, pair_state
from .rules import propagate
from .state import KernelState

__all__ = ["KernelState", "diagonal_state", "pair_state", "propagate", "propagate_all", "unrolled"]
