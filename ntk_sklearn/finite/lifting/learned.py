"""Learned scales behind a normalization: which networks have a tree with them."""

from __future__ import annotations

from dataclasses import replace

from ...architecture import Activation, Layer, LayerNorm, NetworkError, Serial, children
from .steps import Node, Step


def without(steps: dict[Node, Step]) -> dict[Node, Step]:
    """The steps without the layers that stand for learned scales and shifts."""
    return {
        node: replace(step, layers=step.layers[:1]) if _learned(step) else step
        for node, step in steps.items()
    }


def check_scales_meet_weights(steps: dict[Node, Step]) -> None:
    """Raise if an activation reads a learned scale.

    The derivative by the scale of a channel is ``n phi'(n)`` there, which depends on n twice:
    E[n n' phi'(n) phi'(n')] is no product of covariances.

    Raises
    ------
    NetworkError
        Naming the normalization.
    """
    for node, step in steps.items():
        if _learned(step) and step.layers[1].lr_multiplier > 0:  # type: ignore[attr-defined]
            _follow(node, step, steps)


def _follow(node: Node, start: Step, steps: dict[Node, Step]) -> None:
    for user in node.users:
        step = steps.get(user)
        if step is None:
            continue
        met = _first(Serial(*step.layers))
        if met == "activation":
            raise NetworkError(
                f"{start.origin}: an activation ({step.origin}) reads its learned scales, whose "
                "part of the tangent kernel no layer has; take elementwise_affine=False "
                "(affine=False), freeze them with weight.requires_grad_(False), or put weights "
                "between the two"
            )
        if met is None:
            _follow(user, start, steps)


def _learned(step: Step) -> bool:
    return len(step.layers) == 2 and isinstance(step.layers[0], LayerNorm)


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
