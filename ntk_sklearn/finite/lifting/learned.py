r"""Learned scales g and shifts s behind a normalization: what they add to the tangent kernel.

The derivative of ``phi(g n + s)`` at g = 1, s = 0 is ``n phi'(n)`` by the scale of a channel, and
``phi'(n)`` by its shift. Without an activation that is n and 1: they add K and 1, as a layer of
weights with w_std = 1 does, which leaves K as it is. With a homogeneous activation
``n phi'(n) = phi(n)``: the scales add the covariance behind it. With others no layer does it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...architecture import (
    Activation,
    Conv,
    Dense,
    Layer,
    LayerNorm,
    NetworkError,
    Serial,
    children,
)
from ...duals import ABReLU, resolve
from .rules import Site
from .steps import Node, Step


def learned(site: Site, scale: bool, shift: bool) -> Layer:
    """The layer of weights that adds the same as trained scales and shifts per channel."""
    rates: dict[str, Any] = {"lr_multiplier": float(scale), "bias_ntk": float(shift)}
    return Conv(1, **rates) if site.wire.rank else Dense(**rates)


def without(steps: dict[Node, Step]) -> dict[Node, Step]:
    """The steps without the layers that stand for learned scales and shifts."""
    return {
        node: replace(step, layers=step.layers[:1]) if _is_learned(step) else step
        for node, step in steps.items()
    }


def placed(steps: dict[Node, Step]) -> dict[Node, Step]:
    """The steps with the layers for scales moved behind homogeneous activations.

    Raises
    ------
    NetworkError
        Naming the normalization, if another activation reads its scales, or several things do.
    """
    found = dict(steps)
    for node, step in steps.items():
        if not _is_learned(step) or step.layers[1].lr_multiplier == 0:  # type: ignore[attr-defined]
            continue
        users = [user for user in node.users if user in steps]
        if len(users) == 1 and _is_homogeneous(steps[users[0]]):
            norm, weights = step.layers
            assert isinstance(weights, (Dense, Conv))
            shift, scale = replace(weights, lr_multiplier=0.0), replace(weights, bias_ntk=0.0)
            kept = (norm, shift) if shift.bias_ntk else (norm,)
            found[node] = replace(step, layers=kept)
            found[users[0]] = replace(steps[users[0]], layers=(*steps[users[0]].layers, scale))
        else:
            _follow(node, step, steps)
    return found


def _follow(node: Node, start: Step, steps: dict[Node, Step]) -> None:
    for user in node.users:
        step = steps.get(user)
        met = None if step is None else _first(Serial(*step.layers))
        if step is not None and met == "activation":
            raise NetworkError(
                f"{start.origin}: an activation ({step.origin}) reads its learned scales, whose "
                "part of the tangent kernel no layer has (behind a ReLU that alone reads them, one "
                "has); take elementwise_affine=False (affine=False), freeze them with "
                "weight.requires_grad_(False), or put weights between the two"
            )
        if step is not None and met is None:
            _follow(user, start, steps)


def _is_learned(step: Step) -> bool:
    return len(step.layers) == 2 and isinstance(step.layers[0], LayerNorm)


def _is_homogeneous(step: Step) -> bool:
    return len(step.layers) == 1 and (
        isinstance(step.layers[0], Activation)
        and isinstance(resolve(step.layers[0].function), ABReLU)
    )


def _first(layer: Layer) -> str | None:
    """What a signal meets first: weights or an activation."""
    if isinstance(layer, Activation):
        return "activation"
    if layer.has_weights:
        return "weights"
    met = [_first(child) for child in children(layer)]
    if isinstance(layer, Serial):
        return next((m for m in met if m), None)
    return "activation" if "activation" in met else (None if None in met or not met else "weights")
