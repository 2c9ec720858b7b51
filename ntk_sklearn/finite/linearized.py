"""A given torch module in the place of a network: its linearization at its present parameters."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from ..architecture import Layer
from .tangent import ModuleFunction
from .tangent.function import check_module

OUTPUTS = ("auto", "full", "mean")
# Rows at a time: hidden layers of large images take megabytes for each of them.
_BATCH = 64


class Linearized(BaseEstimator):
    r"""A torch module, linearized at its present parameters: a `network` of kernels and estimators.

    .. math:: f(x; \theta) = f(x; \theta_0) + J(x)\,(\theta - \theta_0), \qquad
              \Theta(x, z) = J(x)\, J(z)^T

    with J the derivatives of the k outputs in the trained parameters at :math:`\theta_0`. At
    initialization it is what wide networks follow when they are trained; of a trained module
    :math:`\Theta` is the after-kernel (Long 2021). A bare module stands for ``Linearized(module)``.

    Parameters
    ----------
    module : torch.nn.Module
        Reads rows (n, n_features) or, with an `image_shape`, (n, \*image_shape), of floats, and
        gives outputs (n,) or (n, ...), row by row. Its parameters are read when a kernel is
        evaluated; they, its buffers and its gradients are not changed. Precision and device are
        those of the kernel, to which the values are copied.
    parameters : sequence of str or None, default=None
        Names, or beginnings of dotted names, of the parameters that are trained; None for all that
        require a gradient.
    outputs : {"auto", "full", "mean"}, default="auto"
        What stands for k outputs. "full": the matrix (n k, m k) of all pairs of outputs, by row
        and then by output. The estimators take it for all outputs together, with one target for
        each: the linearized network itself. "mean": the mean trace / k of the outputs' own kernels,
        one (n, m) for any number of targets, as an infinitely wide network has. "auto" is "full" in
        estimators, "mean" in kernels for other learners and in kernel expressions.

    Raises
    ------
    TypeError, ValueError
        When evaluated: for what is no module, or none that is a function of single rows; for names
        that are none of its parameters'; for other `outputs`.

    Examples
    --------
    >>> import torch
    >>> from ntk_sklearn import NTKRegressor
    >>> from ntk_sklearn.networks import Linearized
    >>> hidden, readout = torch.nn.Linear(3, 50), torch.nn.Linear(50, 2)
    >>> module = torch.nn.Sequential(hidden, torch.nn.Tanh(), readout)
    >>> trained_readout = NTKRegressor(Linearized(module, parameters=["2"]))

    References
    ----------
    Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent",
    NeurIPS 2019. Long, "Properties of the after kernel", 2021.
    """

    def __init__(
        self,
        module: nn.Module,
        parameters: Sequence[str] | None = None,
        outputs: str = "auto",
    ) -> None:
        self.module = module
        self.parameters = parameters
        self.outputs = outputs

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # mutable by set_params


@dataclass(frozen=True, repr=False)
class GivenModule(Layer):
    """A module where the trees of layers stand in what evaluators are asked; no rule reads it.

    Attributes
    ----------
    module : torch.nn.Module
    parameters : tuple of str or None
    n_outputs : int
    full : bool
        Whether all pairs of outputs are wanted, or the mean over outputs.
    """

    module: Any
    parameters: tuple[str, ...] | None
    n_outputs: int
    full: bool

    def __repr__(self) -> str:
        return f"Linearized({type(self.module).__name__})"

    def function(self, dtype: torch.dtype | None = None) -> ModuleFunction:
        """The module as a function of its trained parameters, which are copied."""
        return ModuleFunction(own_copy(self.module), self.parameters, dtype)


def read_module(
    network: Linearized, row_shape: Sequence[int], full: bool | None = None
) -> GivenModule:
    """What a kernel is asked for; `full` decides where the network leaves it open.

    Raises
    ------
    TypeError, ValueError
        For what is no function of single rows, other `outputs`, names that are no parameters', and
        rows of a shape that the module cannot read.
    """
    if network.outputs not in OUTPUTS:
        raise ValueError(f"outputs must be one of {OUTPUTS}, got {network.outputs!r}")
    check_module(network.module)
    names = network.parameters
    parameters = None if names is None else (names,) if isinstance(names, str) else tuple(names)
    function = ModuleFunction(own_copy(network.module), parameters)
    n_outputs = _count_outputs(function, tuple(row_shape))
    wanted = network.outputs == "full" or (network.outputs == "auto" and bool(full))
    return GivenModule(network.module, parameters, n_outputs, wanted)


def module_outputs(
    layer: GivenModule, row_shape: Sequence[int], rows: np.ndarray, dtype: torch.dtype
) -> np.ndarray:
    """The module's own outputs (n, k) for rows (n, n_features), in float64."""
    function = layer.function(dtype)
    with torch.no_grad():
        parts = torch.from_numpy(np.array(rows, dtype=np.float64)).split(_BATCH)
        found = [_outputs(function, part.reshape(len(part), *row_shape)) for part in parts]
    stacked: np.ndarray = torch.cat(found).to("cpu", torch.float64).numpy()
    return stacked


def own_copy(module: nn.Module, device: torch.device | None = None) -> nn.Module:
    """A copy of a module: torch exchanges a module's parameters while it is called as a function.

    With a copy, several threads may ask for kernels of one module, and its training go on.
    """
    copied = copy.deepcopy(module)
    return copied if device is None else copied.to(device)


def structure_of_module(network: Linearized) -> str:
    """A module printed, with a digest of its parameters and buffers: equal for equal functions."""
    values = hashlib.sha256()
    for name, value in network.module.state_dict().items():
        values.update(name.encode())
        values.update(np.ascontiguousarray(value.detach().cpu().double().numpy()).tobytes())
    return f"{network!r} with values {values.hexdigest()[:16]}"


def _count_outputs(function: ModuleFunction, row_shape: tuple[int, ...]) -> int:
    row = torch.zeros(1, *row_shape, dtype=function.dtype)
    try:
        with torch.no_grad():
            return _outputs(function, row).shape[1]
    except (RuntimeError, IndexError) as error:
        raise ValueError(
            f"the module cannot read rows of shape {row_shape}: {error}; give the kernel or "
            "estimator the image_shape, or put the module behind one that reshapes its input, or "
            "casts it: rows are floats"
        ) from error


def _outputs(function: ModuleFunction, rows: Tensor) -> Tensor:
    return function(function.values, function.prepare(rows))
