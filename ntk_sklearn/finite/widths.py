"""Which layers are followed by weights: these are wide, the others end in the outputs."""

from __future__ import annotations

from ..architecture import Aggregate, Layer, Serial, children


def has_weights(layer: Layer) -> bool:
    """Whether there is a layer with weights in the tree."""
    return layer.has_weights or any(map(has_weights, children(layer)))


def lets_through(layer: Layer) -> bool:
    """Whether a path leads from the layer's input to its output past all affine layers.

    The number of channels at its end is then that of the input.
    """
    if layer.has_weights:
        return False
    found = map(lets_through, children(layer))
    return any(found) if hasattr(layer, "branches") else all(found)


def readout_is_hidden(layer: Layer, reaches: bool = True, followed: bool = False) -> bool:
    """Whether an affine layer both reaches the output directly and feeds other weights.

    A residual sum at the very end does that. Such a layer must be wide, and the network's outputs
    are some of its channels.
    """
    if layer.has_weights:
        return reaches and followed
    if not isinstance(layer, Serial):
        return any(readout_is_hidden(c, reaches, followed) for c in children(layer))
    for child in reversed(layer.layers):
        if readout_is_hidden(child, reaches, followed):
            return True
        reaches, followed = reaches and lets_through(child), followed or has_weights(child)
    return False


def graph_reaches_output(layer: Layer) -> bool:
    """Whether a row's own graph is used behind the last weights.

    The output is then another linear function of the readout for every row.
    """
    if isinstance(layer, Aggregate):
        return layer.adjacency is None
    if not isinstance(layer, Serial):
        return any(map(graph_reaches_output, children(layer)))
    for child in reversed(layer.layers):
        if graph_reaches_output(child):
            return True
        if not lets_through(child):
            return False
    return False
