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
from .fisher import (
    BinaryCrossEntropy,
    ConvexLoss,
    EmpiricalFisher,
    FisherOperator,
    GaussNewton,
    SoftmaxCrossEntropy,
    SquaredLoss,
)
from .initial import INITIAL_WIDTH, initial_outputs
from .lifting import from_module
from .linearized import Linearized
from .modules import FiniteNetwork
from .network import to_module
from .parametrizations import biases_from_zero, maximal_update, standard_parametrization
from .preconditioners import (
    Diagonal,
    GaussNewtonPreconditioner,
    Preconditioner,
    gauss_newton,
    gauss_newton_kernel,
    identity,
    last_update,
    layer_learning_rates,
    learning_rates,
    preconditioned_kernel,
    preconditioner,
    predicted_step,
    sign_kernel,
)
from .sampler import LearnabilitySampler
from .tangent import EmpiricalNTK, ModuleFunction, TaylorExpansion, linearize, taylor_expand

__all__ = [
    "INITIAL_WIDTH",
    "BinaryCrossEntropy",
    "ConvexLoss",
    "Diagonal",
    "EmpiricalFisher",
    "EmpiricalNTK",
    "FiniteNetwork",
    "FisherOperator",
    "GaussNewton",
    "GaussNewtonPreconditioner",
    "LearnabilitySampler",
    "Linearized",
    "ModuleFunction",
    "Networks",
    "Preconditioner",
    "SoftmaxCrossEntropy",
    "SquaredLoss",
    "TaylorExpansion",
    "biases_from_zero",
    "empirical_nngp",
    "empirical_ntk",
    "from_module",
    "gauss_newton",
    "gauss_newton_kernel",
    "identity",
    "initial_outputs",
    "last_update",
    "layer_learning_rates",
    "learning_rates",
    "linearize",
    "maximal_update",
    "preconditioned_kernel",
    "preconditioner",
    "predicted_step",
    "sign_kernel",
    "standard_parametrization",
    "taylor_expand",
    "to_module",
]
