"""What all presets share: parameters, equality, scales and the finite width."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator, clone

from ..architecture import Layer
from .critical import critical_w_std


class Preset(BaseEstimator):
    """A family of networks with a few parameters; `build` makes the layer tree.

    A scikit-learn-style object: `get_params`, `set_params` and `clone` work, so that
    ``network__depth`` can be grid-searched. Parameters are checked by `build`, not on assignment.
    """

    # Parameters that are standard deviations, tied over all layers that use them.
    _scales: ClassVar[tuple[str, ...]] = ("w_std", "b_std", "readout_w_std", "readout_b_std")

    @abstractmethod
    def build(self) -> Layer:
        """The layer tree.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of its range, naming it.
        """

    @property
    def scales(self) -> dict[str, float]:
        """Weight and bias scales by name; one value stands for all layers.

        With ``w_std="critical"`` neither it nor the b_std that it is derived from is among them.
        """
        derived = ("w_std", "b_std") if is_critical(self) else ()
        return {name: getattr(self, name) for name in self._scales if name not in derived}

    def with_scales(self, values: Mapping[str, Any]) -> Preset:
        """A copy with other scales, which may be tensors."""
        changed = clone(self)
        for name, value in values.items():
            if name not in self._scales:
                raise ValueError(f"{type(self).__name__} has no scale {name!r}; {self._scales}")
            setattr(changed, name, value)
        return changed

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self.get_params(deep=False) == other.get_params(deep=False)

    __hash__ = None  # type: ignore[assignment]  # mutable by set_params


def is_critical(preset: Any) -> bool:
    """Whether the weight scale is the critical one of the activation and b_std."""
    return isinstance(preset.w_std, str) and preset.w_std == "critical"


def hidden_w_std(preset: Any, why_not: str = "") -> Any:
    """The weight scale of the hidden layers, a number (or a tensor).

    Raises
    ------
    ValueError
        For "critical" where there is no critical scale: `why_not` says why no network of the family
        has one, `critical_w_std` what the activation or b_std lack. For another string.
    """
    if not is_critical(preset):
        if isinstance(preset.w_std, str):
            raise ValueError(f"w_std must be a number or 'critical', got {preset.w_std!r}")
        return preset.w_std
    if why_not:
        raise ValueError(f"w_std='critical' is not known for {preset!r}: {why_not}")
    return critical_w_std(preset.activation, preset.b_std)


def check_integer(value: Any, name: str, minimum: int) -> int:
    """`value` as an int, if it is an integer of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value!r}")
    return int(value)


def check_width(preset: Any) -> None:
    """Check the parameters of the finite width.

    Raises
    ------
    ValueError, TypeError
        Unless width is inf or a positive integer, n_networks a positive integer and random_state
        an integer: the same one gives the same networks in every tile, call, process and clone,
        which None and generators cannot promise.
    """
    width = preset.width
    if isinstance(width, Real) and width == math.inf:
        return
    check_integer(width, "width (math.inf for the infinite-width limit)", 1)
    check_integer(preset.n_networks, "n_networks", 1)
    check_integer(preset.random_state, "random_state", 0)


def check_choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    """`value`, if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")
    return str(value)
