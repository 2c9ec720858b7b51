"""How covariances move through layers: the plain-torch reference and specification."""

from . import (  # noqa: F401  their rules
    attention,
    concat_positions,
    convolutions,
    graphs,
    normalization,
    product,
)
from .family import follow_all, propagate_all, unrolled
from .inputs import diagonal_state, pair_state
from .rules import affine_scales, propagate
from .state import KernelState

__all__ = [
    "KernelState",
    "affine_scales",
    "diagonal_state",
    "follow_all",
    "pair_state",
    "propagate",
    "propagate_all",
    "unrolled",
]
