"""Any torch module as a function of its parameters: Jacobian products and tangent kernels."""

from .expansion import TaylorExpansion, linearize, taylor_expand
from .function import Inputs, ModuleFunction, as_function
from .jacobian import Jacobian
from .kernel import EmpiricalNTK

__all__ = [
    "EmpiricalNTK",
    "Inputs",
    "Jacobian",
    "ModuleFunction",
    "TaylorExpansion",
    "as_function",
    "linearize",
    "taylor_expand",
]
