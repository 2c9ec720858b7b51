"""Compositional kernels that are no limit of training a network."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, ClassVar

from torch import Tensor

from ...architecture import (
    Activation,
    Conv,
    Dense,
    GlobalSumPool,
    Layer,
    Serial,
    SumPool,
)
from ...duals import ABReLU, DualActivation, ExpNormalized
from ...presets.convolutional import MYRTLE_GROUPS
from .._expression import Expression


class MyrtleCompositional(Expression):
    r"""The compositional kernels of the Myrtle networks (Shankar et al. 2020), of unit diagonal.

    Kernels of pairs of positions go through three groups of 3 x 3 convolutions (sums over the nine
    shifts, zeros outside), each followed by

    .. math:: k \mapsto \sqrt{k(x, x)\,k(z, z)}\; \kappa(\rho), \qquad
              \kappa(\rho) = \frac{\sqrt{1 - \rho^2} + \rho\,(\pi - \arccos \rho)}{\pi}
              \quad\text{or}\quad e^{\gamma (\rho - 1)}

    of their correlation :math:`\rho`. The groups are joined by sums over 2 x 2 windows; behind the
    last one the sum over all positions is taken, and :math:`\kappa` of its correlation is the
    kernel. The published names count the functions :math:`\kappa`.

    For "relu" this is the correlation of the outputs of an infinitely wide network (one with a
    dense layer and an activation behind the global pooling). It has no tangent kernel here: `NTK`
    and the NTK estimators refuse it. For "exponential" there is no network at all.

    Parameters
    ----------
    depth : {5, 7, 10}, default=5
    activation : {"relu", "exponential"}, default="relu"
    gamma : float, default=1.0
        Of the exponential, a hyperparameter of the kernel there. 1 with "relu".

    Raises
    ------
    ValueError
        When evaluated: for another depth or activation; if `gamma` is not positive, or not 1 with
        "relu"; as NTK.
    TypeError
        When evaluated: if `gamma` is no number.

    References
    ----------
    Shankar et al., "Neural kernels without tangents", ICML 2020.

    Examples
    --------
    >>> from ntk_sklearn import NNGPClassifier
    >>> from ntk_sklearn.kernels import MyrtleCompositional
    >>> model = NNGPClassifier(MyrtleCompositional(7), image_shape=(3, 32, 32))
    """

    activations: ClassVar[tuple[str, ...]] = ("relu", "exponential")

    def __init__(self, depth: int = 5, activation: str = "relu", gamma: float = 1.0) -> None:
        self.depth = depth
        self.activation = activation
        self.gamma = gamma

    @property
    def own_scales(self) -> dict[str, float]:
        """The rate of the exponential."""
        return {"gamma": self.gamma} if self.activation == "exponential" else {}

    def layers(self) -> list[Layer]:
        """The network that it is made from."""
        return [self.build()]

    def build(self, gamma: Any = None) -> Layer:
        """Layers whose NNGP, scaled to unit diagonal, is the kernel.

        A dense layer stands where the kernel of pooled positions is taken as a covariance again.

        Raises
        ------
        ValueError, TypeError
            For parameters out of their range.
        """
        if isinstance(self.depth, bool) or self.depth not in MYRTLE_GROUPS:
            known = [*MYRTLE_GROUPS]
            raise ValueError(
                f"depth of MyrtleCompositional must be one of {known}, got {self.depth!r}"
            )
        act = Activation(self._function(self.gamma if gamma is None else gamma))
        first, second, third = ((Conv(3, 3.0), act) * n for n in MYRTLE_GROUPS[self.depth])
        head = (GlobalSumPool(), Dense(), act, Dense())
        return Serial(*first, SumPool(2), *second, SumPool(2), *third, *head)

    def _function(self, gamma: Any) -> DualActivation:
        if self.activation not in self.activations:
            raise ValueError(
                f"activation of MyrtleCompositional must be one of {self.activations}, got "
                f"{self.activation!r}"
            )
        if not isinstance(gamma, Tensor):
            _check_gamma(gamma)
        if self.activation == "exponential":
            return ExpNormalized(gamma)
        if gamma != 1:
            raise ValueError(
                f"gamma is that of activation='exponential': leave it 1 with 'relu', got {gamma!r}"
            )
        return ABReLU(0.0, math.sqrt(2.0))


def _check_gamma(gamma: Any) -> None:
    if isinstance(gamma, bool) or not isinstance(gamma, Real):
        raise TypeError(f"gamma must be a positive number, got {gamma!r}")
    if not 0 < float(gamma) < math.inf:
        raise ValueError(f"gamma must be a positive number, got {gamma!r}")
