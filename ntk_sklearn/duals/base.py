"""The interface of a dual activation, and the registry of names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor

from .pair import GaussianPair


class DualActivation(ABC):
    r"""An activation phi together with its Gaussian expectations.

    For centred Gaussians (u, v) the infinite-width recursions need
    :math:`T = E[\phi(u) \phi(v)]` and :math:`\dot T = E[\phi'(u) \phi'(v)]`. A user's own
    activation is a frozen dataclass with the three methods below; `register` gives it a name.
    Its fields may hold tensors, and gradients flow to them; those of a `NumericalActivation` are
    numbers.

    Notes
    -----
    For absolutely continuous phi, :math:`\dot T = \partial T / \partial \mathrm{cov}` (Price's
    theorem), which `ntk_sklearn.testing.check_activation` tests. Steps are not: they set
    `absolutely_continuous` to False and choose :math:`\dot T` by convention.
    """

    absolutely_continuous: ClassVar[bool] = True

    @abstractmethod
    def phi(self, x: Tensor) -> Tensor:
        """The activation itself, used by networks of finite width."""

    @abstractmethod
    def variance(self, v: Tensor) -> Tensor:
        """E[phi(u)^2] for u ~ N(0, v): exactly what `covariance` gives at angle 0."""

    @abstractmethod
    def covariance(self, pair: GaussianPair) -> tuple[Tensor, Tensor]:
        """(E[phi(u) phi(v)], E[phi'(u) phi'(v)]) for the pair of Gaussians."""

    def sine2(self, pair: GaussianPair) -> Tensor | None:
        """Squared sine of the angle between phi(u) and phi(v), or None if only `covariance` tells.

        Worth having for activations with a kink, whose kernels resolve angles near 0.
        """
        return None


_registry: dict[str, Callable[[], DualActivation]] = {}


def register(name: str, make: Callable[[], DualActivation]) -> None:
    """Give an activation a name, usable as ``activation="name"`` everywhere.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    if name in _registry:
        raise ValueError(f"an activation named {name!r} is already registered")
    _registry[name] = make


def available() -> list[str]:
    """The registered names, sorted."""
    return sorted(_registry)


def resolve(function: Any) -> DualActivation:
    """The dual activation for a registered name or an object.

    Raises
    ------
    ValueError
        For an unknown name, listing the known ones.
    TypeError
        For anything else that is not a `DualActivation`.
    """
    if isinstance(function, DualActivation):
        return function
    if isinstance(function, str):
        if function in _registry:
            return _registry[function]()
        raise ValueError(
            f"unknown activation {function!r}; known are {available()}, and duals.Elementwise "
            "makes one of any function"
        )
    if callable(function) and not isinstance(function, type):
        raise TypeError(
            f"an activation is a name such as 'tanh' or a DualActivation object, got {function!r}: "
            f"known names are {available()}, and duals.Elementwise(function, kinks=...) makes one "
            "of any function of tensors"
        )
    raise TypeError(
        f"an activation is one of {available()} or a DualActivation object, got {function!r}"
    )
