"""Operations that overwrite what they read."""

from __future__ import annotations

from ...architecture import Flatten, NetworkError
from .steps import Node, Step


def check_in_place(steps: dict[Node, Step]) -> None:
    """Raise if memory is read after it has been overwritten, but as the result.

    Raises
    ------
    NetworkError
        Naming the operation.
    """
    order = list(steps)
    for k, node in enumerate(order):
        step = steps[node]
        if not step.in_place:
            continue
        memory = _memory(step.inputs[0], steps)
        for later in order[k + 1 :]:
            if any(_memory(source, steps) is memory for source in steps[later].inputs):
                raise NetworkError(
                    f"{step.origin}: it overwrites its input (inplace=True), which "
                    f"{steps[later].origin} reads afterwards; take inplace=False, or read the "
                    "result if that is meant"
                )


def _memory(node: Node, steps: dict[Node, Step]) -> Node:
    """The signal that a signal may be a view of."""
    while _is_view(steps[node]):
        node = steps[node].inputs[0]
    return node


def _is_view(step: Step) -> bool:
    if step.copies or step.kind is not None or step.factor != 1.0 or not step.inputs:
        return False
    return all(isinstance(layer, Flatten) for layer in step.layers)
