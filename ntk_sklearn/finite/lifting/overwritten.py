"""Operations that overwrite what they read."""

from __future__ import annotations

from ...architecture import NetworkError
from .steps import Node, Step


def check_in_place(steps: dict[Node, Step]) -> None:
    """Raise if a signal is read after it has been overwritten.

    Raises
    ------
    NetworkError
        Naming the operation.
    """
    order = {node: k for k, node in enumerate(steps)}
    for node, step in steps.items():
        if step.in_place:
            for source in _same_memory(step.inputs[0], steps):
                later = [u for u in source.users if order.get(u, -1) > order[node]]
                if later:
                    raise NetworkError(
                        f"{step.origin}: it overwrites its input (inplace=True), which "
                        f"{steps[later[0]].origin} reads afterwards; take inplace=False, or read "
                        "the result if that is meant"
                    )


def _same_memory(node: Node, steps: dict[Node, Step]) -> list[Node]:
    """A signal, and those that it may be a view of."""
    found = [node]
    while steps[node].inputs and not _new(steps[node]):
        node = steps[node].inputs[0]
        found.append(node)
    return found


def _new(step: Step) -> bool:
    views = all(type(layer).__name__ in ("Flatten", "Identity") for layer in step.layers)
    return step.kind is not None or step.factor != 1.0 or not views
