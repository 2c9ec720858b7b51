"""Networks of finite width from layer trees, their empirical kernels, and trees from modules."""

from . import normalization, product  # noqa: F401  their rules
from .draws import Networks
from .empirical import empirical_nngp, empirical_ntk
from .initial import INITIAL_WIDTH, initial_outputs
from .lifting import from_module
from .modules import FiniteNetwork
from .network import to_module

__all__ = [
    "INITIAL_WIDTH",
    "FiniteNetwork",
    "Networks",
    "empirical_nngp",
    "empirical_ntk",
    "from_module",
    "initial_outputs",
    "to_module",
]
