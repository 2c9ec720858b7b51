"""What is refused before an activation without closed form is computed."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


def examine(dual: Any) -> None:
    """Refuse what has no expectations here, before anything is computed and kept.

    Raises
    ------
    TypeError
        If a field of the activation holds a tensor: no gradient would flow to it.
    ValueError
        If phi jumps at one of its kinks.
    """
    must_be_numbers(dual)
    must_be_continuous(dual)


def must_be_numbers(dual: Any) -> None:
    """Refuse tensors in fields, where what is kept of an activation would outlive their values."""
    for name in (f.name for f in fields(dual)) if is_dataclass(dual) else vars(dual):
        value = getattr(dual, name)
        if any(isinstance(v, Tensor) for v in (value if isinstance(value, tuple) else (value,))):
            raise TypeError(
                f"{type(dual).__name__}.{name} holds a tensor, but the fields of an activation "
                "without closed form are numbers, to which no gradients flow: pass floats"
            )


@lru_cache(maxsize=256)
def must_be_continuous(dual: Any) -> None:
    """Refuse steps: their tangent kernel is a convention, and not the derivative of T."""
    for kink in dual.kinks:
        gap = 1e-9 * max(1.0, abs(kink))
        with torch.no_grad():
            near = dual.phi(torch.tensor([kink - gap, kink + gap], dtype=torch.float64))
        if (near[0] - near[1]).abs() > 1e-5 * (1.0 + near.abs().max()):
            raise ValueError(
                f"{dual!r} jumps at {kink:g} from {near[0]:.6g} to {near[1]:.6g}; only continuous "
                "functions can be given so (for a step, write a DualActivation with "
                "absolutely_continuous = False, as Sign does)"
            )
