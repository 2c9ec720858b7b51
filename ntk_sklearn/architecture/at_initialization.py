"""The mark of a network whose tangent kernel moves while it is trained."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import NetworkError
from .layers import Layer, Serial, contains


@dataclass(frozen=True, repr=False, init=False)
class AtInitialization(Serial):
    """Layers in sequence whose tangent kernel is that of the untrained network only.

    Parametrizations in which features move (mean-field, maximal update) have a tangent kernel at
    initialization like any other, which tells the first step of training, and the outputs to first
    order in time. It is not constant, so that kernel regression with it is not the trained network:
    estimators refuse such a tree. `ntk_sklearn.networks.maximal_update` makes one.

    Parameters
    ----------
    *layers : Layer
    """

    def __repr__(self) -> str:
        return f"AtInitialization({', '.join(map(repr, self.layers))})"


def check_trainable(network: Layer) -> None:
    """Refuse a network whose training is not that of a linear model in its tangent features.

    Raises
    ------
    NetworkError
        If it is marked by `AtInitialization`.
    """
    if contains(network, AtInitialization):
        raise NetworkError(
            "the network's parametrization lets features move, so that its tangent kernel is "
            "known at initialization only: kernel regression with it is not the trained network. "
            "Take the kernel from ntk_sklearn.kernels.NTK for what is first-order in time, or "
            "standard_parametrization() for a network that trains like its kernel"
        )


def check_random_outputs(network: Layer) -> None:
    """Refuse a network whose outputs vanish at initialization, where their covariance is wanted.

    Raises
    ------
    NetworkError
        If it is marked by `AtInitialization`.
    """
    if contains(network, AtInitialization):
        raise NetworkError(
            "with mean-field or maximal-update rates a network's outputs vanish at "
            "initialization as its width grows, and there is no NNGP; that of the same layers "
            "without AtInitialization is of another network"
        )
