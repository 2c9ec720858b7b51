"""Networks of finite width from the same layer trees, and their empirical kernels."""

from .draws import Networks
from .empirical import empirical_nngp, empirical_ntk
from .modules import FiniteNetwork
from .network import to_module

__all__ = ["FiniteNetwork", "Networks", "empirical_nngp", "empirical_ntk", "to_module"]
