"""Hyperparameters by path: ``"layers.0.w_std"``, ``"layers.1.function.slope"``."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from .layers import Layer


def scales(network: Layer) -> dict[str, float]:
    """The standard deviations of weights and biases, by path, in the order of the layers."""
    return dict(_scales(network, ""))


def _scales(node: Layer, prefix: str) -> Iterator[tuple[str, float]]:
    for f in fields(node):  # type: ignore[arg-type]
        value = getattr(node, f.name)
        if f.metadata.get("scale"):
            yield prefix + f.name, value
        elif isinstance(value, tuple):
            for k, child in enumerate(value):
                if isinstance(child, Layer):
                    yield from _scales(child, f"{prefix}{f.name}.{k}.")


def replace(network: Layer, values: Mapping[str, Any]) -> Layer:
    """A copy of the tree with the values at the given paths replaced.

    Values may be numbers or tensors: with tensors every rule computes with them, so that
    gradients flow to the caller's parameters.

    Raises
    ------
    ValueError
        If a path does not exist in the tree.
    """
    for path, value in values.items():
        network = _replace(network, path.split("."), value, path)
    return network


def _replace(node: Any, parts: list[str], value: Any, path: str) -> Any:
    if not parts:
        return value
    head, rest = parts[0], parts[1:]
    if isinstance(node, tuple) and head.isdigit() and int(head) < len(node):
        k = int(head)
        return (*node[:k], _replace(node[k], rest, value, path), *node[k + 1 :])
    if is_dataclass(node) and head in {f.name for f in fields(node)}:
        changed = copy.copy(node)
        object.__setattr__(changed, head, _replace(getattr(node, head), rest, value, path))
        if hasattr(changed, "__post_init__"):
            changed.__post_init__()
        return changed
    raise ValueError(f"the network has no value at {path!r} ({head!r} is not in {node!r})")
