"""Networks of finite width, and any torch module: kernels, expansions, optimizers, curvature.

Networks of layer trees
    `to_module`, `FiniteNetwork`, `Networks`; `empirical_ntk`, `empirical_nngp`,
    `initial_outputs`; trees in other parametrizations: `standard_parametrization`,
    `maximal_update`, `biases_from_zero`
Trees of modules
    `from_module`
Any module as a function of its parameters (`finite.tangent`)
    `ModuleFunction`, `EmpiricalNTK`; `linearize`, `taylor_expand`, `TaylorExpansion`;
    `Linearized`, a module as the network of kernels and estimators
Optimizers as preconditioners (`finite.preconditioners`)
    D: `preconditioner` of an optimizer, `identity`, `learning_rates`, `gauss_newton`, of the types
    `Preconditioner`, `Diagonal`, `GaussNewtonPreconditioner`; kernels: `preconditioned_kernel`,
    `gauss_newton_kernel`, `sign_kernel`; steps: `last_update`, `predicted_step`; in infinite width:
    `layer_learning_rates`
Curvature and its dual (`finite.fisher`)
    `FisherOperator`, `GaussNewton`, `EmpiricalFisher`; losses: `SquaredLoss`,
    `SoftmaxCrossEntropy`, `BinaryCrossEntropy`, `ConvexLoss`
Data in the order of learning
    `LearnabilitySampler`

What is computed at inputs of a user, kernels and changes of outputs, is an array, or a tensor where
one of the inputs has one. Vectors of parameters are tensors; operators are scipy's, which take and
return arrays. Functions of a module take it or its `ModuleFunction`, other than those that compare
with an optimizer's step: they need the parameters from before, which a `ModuleFunction` keeps.
"""

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
