"""Networks of finite width from layer trees, their empirical kernels, and trees from modules."""

from . import (  # noqa: F401  their rules
    attention,
    convolutions,
    normalization,
    position_maps,
    product,
)
from .draws import Networks
from .empirical import empirical_nngp, empirical_ntk
from .initial import INITIAL_WIDTH, initial_outputs
from .lifting import from_module
from .modules import FiniteNetwork
from .network import to_module
from .parametrizations import biases_from_zero, maximal_update, standard_parametrization
from .tangent import EmpiricalNTK, TaylorExpansion, linearize, taylor_expand

__all__ = [
    "INITIAL_WIDTH",
    "EmpiricalNTK",
    "FiniteNetwork",
    "Networks",
    "TaylorExpansion",
    "biases_from_zero",
    "empirical_nngp",
    "empirical_ntk",
    "from_module",
    "initial_outputs",
    "linearize",
    "maximal_update",
    "standard_parametrization",
    "taylor_expand",
    "to_module",
]
