"""From a torch module to the tree of layers whose limit it approximates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import nn

from ...architecture import Layer, NetworkError, Shape, check_network
from ..network import as_shape
from .assemble import Assembly, Piece, in_one
from .learned import placed, without
from .overwritten import check_in_place
from .rules import Reading, Wire
from .scales import check_scales
from .steps import Node, Step
from .tracing import check_plain, trace
from .walk import Walk

_PATH = re.compile(r"((?:layers|branches)\.\d+(?:\.(?:layers|branches)\.\d+)*): ")


def from_module(
    module: nn.Module,
    input_shape: Shape | Sequence[int] | None = None,
    *,
    parametrization: str = "standard",
    scales: str | Mapping[str, float] = "default",
) -> Layer:
    r"""The tree of layers that a torch module is at initialization.

    The module's forward is followed (``torch.fx``), and every call becomes the layer that does the
    same: modules and functions for dense layers, convolutions, activations, average pooling,
    flattening, normalization over channels and dropout, sums and products of signals, and
    concatenations of channels. Numbers of channels tend to infinity in the limit and are
    dropped.

    Every affine layer of torch draws weights of variance ``w_std^2 / fan_in`` and biases of
    variance ``b_std^2``. The NNGP of the tree is the covariance of the module's outputs over
    initializations, up to O(1 / width).

    Parameters
    ----------
    module : nn.Module
    input_shape : Shape or sequence of int, optional
        Channels and spatial axes of one input. Needed only where the forward depends on sizes,
        which errors say; if given, the sizes of all modules are checked against it.
    parametrization : {"standard", "ntk"}
        "standard": gradient descent on the parameters as they are. With the module's own widths,
        weights contribute ``fan_in / w_std^2`` and biases ``1 / b_std^2`` times what they do in the
        NTK parametrization (Lee et al. 2019, eq. S37), and the NTK of the tree is the empirical
        NTK of the module up to O(1 / width), relative. "ntk": the same random function with the
        scales outside of standard normal parameters, in which every ``lr_multiplier`` is 1.
        Parameters that do not require gradients are frozen in both. Networks of `to_module` are
        in the NTK parametrization; both give their own tree, multipliers included.
    scales : {"default", "measured"} or mapping
        Where `w_std` and `b_std` come from. "default": torch's own initialization, for which
        ``w_std = sqrt(1 / 3)`` and ``b_std = 1 / sqrt(3 fan_in)``; the parameters are checked to be
        such a draw. "measured": the root mean square of the parameters' values, whose relative
        error is about ``1 / sqrt(2 n)`` for n of them. A mapping gives the scales by the names of
        parameters, or patterns of names: ``{"0.weight": 1.4, "*.bias": 0.0}``; all others are as
        in "default". Networks of `to_module` keep the scales of their tree: "measured", and
        names of their parameters, are refused.

    Returns
    -------
    Layer
        A tree that `check_network` has passed. The network of `to_module` gives its own tree back.

    Raises
    ------
    NetworkError
        For what has no limit or no layer: the path of the submodule, the reason and the nearest
        alternative.
    ValueError
        If scales cannot be had as asked for, or an argument is none of those above.
    ShapeError
        Naming a submodule that does not fit `input_shape`.
    TypeError
        If `module` is no module, or `input_shape` is not of integers.

    Notes
    -----
    Weights of torch's default are uniform. Behind many inputs their sums are Gaussian; those of the
    first layer are so up to a term of relative order 1 / fan_in in the fourth cumulant, which no
    width takes away.

    Learned scales and shifts of normalizations start at 1 and 0. What they add to the tangent
    kernel, a layer with ``w_std = 1`` adds in their place: behind the normalization, or, for scales
    that a ReLU reads, behind the ReLU.

    Dropout is read as it is: a module in evaluation mode has none. Additions that overwrite
    (``x += y``) are read as ``x = x + y``.

    References
    ----------
    Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent",
    2019; Sohl-Dickstein et al., "On the infinite width limit of neural networks with a standard
    parameterization", 2020; Reed et al., "torch.fx", 2022.

    Examples
    --------
    >>> from torch import nn
    >>> from ntk_sklearn.networks import from_module
    >>> module = nn.Sequential(nn.Linear(8, 256), nn.ReLU(), nn.Linear(256, 1, bias=False))
    >>> from_module(module, scales={"*.weight": 1.5, "*.bias": 0.1}, parametrization="ntk")
    Serial(Dense(w_std=1.5, b_std=0.1), Activation('relu'), Dense(w_std=1.5))
    """
    reading = _checked(module, parametrization, scales)
    check_plain(module)
    graph, modules, names = trace(module)
    steps = Walk(modules, names, _wire(input_shape), reading).run(graph)
    check_in_place(steps)
    _check_limit(_tree(without(steps)))
    return _tree(placed(steps)).layer


def _checked(module: nn.Module, parametrization: str, scales: str | Mapping[str, float]) -> Reading:
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {module!r}")
    if parametrization not in ("standard", "ntk"):
        raise ValueError(f'parametrization must be "standard" or "ntk", got {parametrization!r}')
    check_scales(scales, module)
    return Reading(parametrization, scales)


def _wire(shape: Shape | Sequence[int] | None) -> Wire:
    if shape is None:
        return Wire()
    channels, spatial = as_shape(shape)
    return Wire(channels, len(spatial), spatial)


def _tree(steps: dict[Node, Step]) -> Piece:
    first, *_, last = steps
    return in_one(Assembly(steps).path(last, first))


def _check_limit(tree: Piece) -> None:
    """`check_network`, whose errors name the submodule."""
    try:
        check_network(tree.layer)
    except NetworkError as error:
        raise NetworkError(_located(str(error), tree.origins)) from None


def _located(message: str, origins: dict[str, str]) -> str:
    """The message with the place in the module before the path in the tree."""
    found = _PATH.match(message)
    if found is None:
        return message
    path = found[1]
    while path and path not in origins:
        path = path.rpartition(".")[0]
    origin = origins.get(path)
    return message if origin is None else f"{origin}, as {message}"
