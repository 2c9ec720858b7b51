"""What all kernels made from kernels share: parameters by name, parts, copies, equality."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sklearn.base import BaseEstimator

from ..architecture import Layer


class Expression(BaseEstimator):
    """A kernel made from the kernels of networks.

    A scikit-learn-style object, as presets are: `get_params`, `set_params` and `clone` work, so
    that ``network__network__depth`` can be grid-searched. Parameters are checked when a kernel is
    evaluated, not on assignment. What it means for rows is written down in `lower`.
    """

    def parts(self) -> dict[str, Any]:
        """The networks (or expressions) it is made from, by name."""
        return {}

    def layers(self) -> list[Layer]:
        """Networks of its own, beside its parts."""
        return []

    @property
    def own_scales(self) -> dict[str, float]:
        """Learnable positive numbers of its own, by name."""
        return {}

    def rebuilt(self, parts: Mapping[str, Any], scales: Mapping[str, Any]) -> Expression:
        """A copy with other parts and own scales; what is not named stays."""
        changed = copy.copy(self)
        for name, value in {**parts, **scales}.items():
            setattr(changed, name, value)
        return changed

    def compared(self) -> dict[str, Any]:
        """What is compared: the parameters."""
        return dict(self.get_params(deep=False))

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, Expression)
        return self.compared() == other.compared()

    __hash__ = None  # type: ignore[assignment]  # mutable by set_params
