"""The torch network of finite width of a layer tree, with its random parameters."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from operator import index
from typing import Any

import torch

from ..architecture import Layer, Shape, infer_shape
from .affine import Affine
from .build import Wire, build
from .modules import FiniteNetwork
from .seeds import generator_from
from .widths import graph_reaches_output, readout_is_hidden


def to_module(
    network: Layer,
    input_shape: Shape | Sequence[int],
    width: int,
    n_outputs: int = 1,
    random_state: int | torch.Generator | None = None,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> FiniteNetwork:
    r"""The random network of finite width whose limit the kernels of `network` describe.

    Every affine layer computes ``w_std / sqrt(fan_in) W x + b_std b`` with independent standard
    normal W and b (the NTK parametrization). Gradient descent with one learning rate on the
    module's parameters has the empirical NTK of the tree, multipliers included: see `Affine`.
    The tree need not have an infinite-width limit; `check_network` tells whether it has.

    Parameters
    ----------
    network : Layer
    input_shape : Shape or sequence of int
        Channels and spatial axes of one input: ``(3, 32, 32)``, or ``(n_features,)``.
    width : int
        Channels of every affine layer that is followed by another one. A concatenation has
        `width` channels in all, divided by its shares.
    n_outputs : int
        Channels of the readouts, the affine layers that no other follows. A layer that is both
        (a residual sum ends the network) has `width` channels, and the first ones are the output.
    random_state : int, torch.Generator or None
        An integer gives the same parameters in every process, precision and device.
    dtype, device
        Of the parameters.

    Returns
    -------
    FiniteNetwork
        Maps rows (n, n_features) or images (n, channels, \*spatial) to (n, n_outputs).

    Raises
    ------
    NotImplementedError
        Naming a layer type that has no finite network; or where `Aggregate` uses the graphs of
        rows behind the last weights.
    ShapeError
        Naming a layer that does not fit its input.
    TypeError
        If `input_shape` is not of integers.

    References
    ----------
    Jacot, Gabriel and Hongler, "Neural tangent kernel", 2018; Lee et al., "Wide neural networks
    of any depth evolve as linear models under gradient descent", 2019.
    """
    module = skeleton(network, input_shape, width, n_outputs)
    return draw(module, generator_from(random_state), dtype=dtype, device=device)


def skeleton(
    network: Layer, input_shape: Shape | Sequence[int], width: int, n_outputs: int = 1
) -> FiniteNetwork:
    """The network without values: its parameters have shapes but take no memory."""
    for name, value in (("width", width), ("n_outputs", n_outputs)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be an integer >= 1, got {value!r}")
    shape = as_shape(input_shape)
    infer_shape(network, shape)  # raises with the path of the layer that does not fit
    assert shape.channels is not None
    if graph_reaches_output(network):
        raise NotImplementedError(
            "no finite network where rows' own graphs are used behind the last weights: every row "
            "would have another readout. Put Dense() behind the pooling"
        )
    hidden = readout_is_hidden(network)
    if hidden and n_outputs > width:
        raise ValueError(f"the outputs are channels of a hidden layer: {n_outputs=} > {width=}")
    wire = Wire(shape.channels, shape.spatial)
    body, end = build(network, wire, int(width if hidden else n_outputs), int(width))
    kept = n_outputs * end.merged if hidden else end.channels
    return FiniteNetwork(network, body, (shape.channels, *shape.spatial), kept)


def draw(module: FiniteNetwork, generator: torch.Generator, **kind: Any) -> FiniteNetwork:
    """Fill the parameters of a skeleton, layer by layer in the order of the tree."""
    with torch.inference_mode(False):  # parameters drawn there could never be differentiated
        for layer in affine_layers(module):
            layer.draw(generator, **kind)
    return module


def affine_layers(module: FiniteNetwork) -> list[Affine]:
    """The layers with parameters, in the order of the tree."""
    return [part for part in module.modules() if isinstance(part, Affine)]


def as_shape(shape: Shape | Sequence[int]) -> Shape:
    """Channels and spatial axes as a `Shape`.

    Raises
    ------
    TypeError
        If they are not one integer or more.
    """
    if isinstance(shape, Shape):
        return shape
    try:
        channels, *spatial = (index(n) for n in shape)
    except (TypeError, ValueError):
        raise TypeError(
            f"input_shape must be integers, (n_features,) or (channels, *spatial), got {shape!r}"
        ) from None
    return Shape(channels, tuple(spatial))
