"""All layers of a tree in order, for counting them."""

from __future__ import annotations

from collections.abc import Iterator

from ntk_sklearn.architecture import Layer


def walk(layer: Layer) -> Iterator[Layer]:
    """The leaves of a tree, branches of sums and concatenations one after another."""
    children = getattr(layer, "layers", None) or getattr(layer, "branches", None)
    if children is None:
        yield layer
        return
    for child in children:
        yield from walk(child)


def leaves(network: Layer, kind: type) -> list[Layer]:
    """The leaves of one type."""
    return [layer for layer in walk(network) if isinstance(layer, kind)]
