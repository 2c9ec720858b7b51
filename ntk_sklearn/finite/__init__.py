"""Networks of finite width from the same layer trees, and their empirical kernels."""

from . import convolutions, normalization, product  # noqa: F401  their rules
from .draws import Networks
from .empirical import empirical_nngp, empirical_ntk
from .initial import INITIAL_WIDTH, initial_outputs
from .modules import FiniteNetwork
from .network import to_module

__all__ = [
    "INITIAL_WIDTH",
    "FiniteNetwork",
    "Networks",
    "empirical_nngp",
    "empirical_ntk",
    "initial_outputs",
    "to_module",
]
