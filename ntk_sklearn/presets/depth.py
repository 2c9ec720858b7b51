"""The limits of a network's kernels with depth, for presets and trees of equal layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..architecture import Activation, Conv, Dense, Flatten, Layer, Serial
from ..duals import resolve
from .base import Preset
from .layer_map import LayerMap
from .phases import Phase, phase


@dataclass(frozen=True)
class DepthLimits:
    """Limits of a network's kernels when the number of its equal layers grows.

    Attributes
    ----------
    phase : Phase
        Of the hidden layers.
    nngp, ntk : tuple of float
        Kernel of an input with itself, and of two different inputs. NaN where the limit depends on
        the inputs; infinite where the kernel grows without bound.
    """

    phase: Phase
    nngp: tuple[float, float]
    ntk: tuple[float, float]


@dataclass(frozen=True)
class _Equal:
    """What repeats in a network of equal layers, and how it ends."""

    function: Any
    w_std: float
    b_std: float
    end: tuple[Layer, ...]


def network_phase(network: Preset | Layer, *, start: float = 1.0) -> Phase:
    """The phase of the hidden layers of a network; see `phase`.

    Parameters
    ----------
    network : Preset or Layer
        `FullyConnected`, `Convolutional` with ``padding="circular"``, or a tree like theirs: affine
        layers, each followed by the same activation, with equal scales but for the first and the
        last one.
    start : float, default=1.0
        As in `phase`.

    Returns
    -------
    Phase

    Raises
    ------
    ValueError
        For networks that are not made of equal layers: residual or pooled ones, convolutions with
        other padding or with strides; for layers with multipliers, to which the limit of the NTK
        would belong; for finite widths.
    """
    equal = _equal_layers(network)
    return phase(equal.function, equal.w_std, equal.b_std, start=start)


def depth_limits(network: Preset | Layer, *, start: float = 1.0) -> DepthLimits:
    r"""What the NNGP and the NTK of a network tend to when it gets ever more equal layers.

    With the limits K and Theta of the hidden layers (see `Phase`) and the scales r, s of the
    readout: ``r^2 T(K) + s^2`` for the NNGP, ``r^2 (T(K) + T'(K) Theta) + s^2`` for the NTK. Two
    different inputs are no multiples of each other.

    Parameters
    ----------
    network : Preset or Layer
        As in `network_phase`, ending in a dense layer; a convolutional one flattens its positions
        before it (the kernel of a pooled one has pairs of positions of one image, too, whose limits
        are those of two different inputs).
    start : float, default=1.0
        As in `phase`.

    Returns
    -------
    DepthLimits

    Raises
    ------
    ValueError
        As `network_phase`, and for networks that end otherwise.
    """
    equal = _equal_layers(network)
    head, readout = equal.end[:-1], equal.end[-1] if equal.end else None
    if not isinstance(readout, Dense) or not all(isinstance(layer, Flatten) for layer in head):
        raise ValueError(
            f"depth_limits needs a network that ends in a dense layer, behind Flatten() if it has "
            f"positions, got the end {equal.end}; network_phase(network) has the hidden layers'"
        )
    found = phase(equal.function, equal.w_std, equal.b_std, start=start)
    return _through(readout, equal, found)


def _through(readout: Dense, equal: _Equal, hidden: Phase) -> DepthLimits:
    last = LayerMap(resolve(equal.function), readout.w_std, readout.b_std)
    if not 0.0 < hidden.q < math.inf:  # phi(0) = 0, or nothing is finite
        value = readout.w_std**2 * hidden.q if readout.w_std else 0.0  # not 0 times infinity
        value += readout.b_std**2
        same, different = hidden.ntk_limit
        return DepthLimits(hidden, (value, value), (value + same, value + different))
    (k, chi), (k_two, chi_two) = (last.covariance(hidden.q, g) for g in (0.0, 1.0 - hidden.c))
    same, different = hidden.ntk_limit
    ntk = float(k + chi * same), float(k_two + chi_two * different)
    return DepthLimits(hidden, (float(k), float(k_two)), ntk)


def _equal_layers(network: Preset | Layer) -> _Equal:
    if getattr(network, "width", math.inf) != math.inf:
        raise ValueError(f"limits of depth are those of infinite width, got {network!r}")
    layers = _in_sequence(network.build() if isinstance(network, Preset) else network)
    if any(map(_has_multipliers, layers)):
        raise ValueError("limits of depth are those of layers without lr_multiplier and bias_ntk")
    n_hidden = sum(isinstance(layer, Activation) for layer in layers)
    affine, activations = layers[: 2 * n_hidden : 2], layers[1 : 2 * n_hidden : 2]
    why = _difference(affine, activations)
    if why:
        raise ValueError(f"phases are those of networks of equal layers, but {why}: {network!r}")
    repeated: Any = affine[1:] or affine
    function: Any = activations[0]
    end = tuple(layers[2 * n_hidden :])
    return _Equal(function.function, repeated[0].w_std, repeated[0].b_std, end)


def _difference(affine: list[Any], activations: list[Any]) -> str:
    """What keeps layers from being equal, or nothing."""
    if not activations or not all(isinstance(a, Activation) for a in activations):
        return "it is no sequence of affine layers, each followed by an activation"
    if not isinstance(affine[0], (Dense, Conv)) or len({type(a) for a in affine}) > 1:
        return "its layers are of several kinds"
    scales = {(a.w_std, a.b_std) for a in affine[1:]}
    if len(scales) > 1 or len({a.function for a in activations}) > 1:
        return "its layers have different scales or activations"
    if not all(isinstance(a, Dense) or _keeps_positions_alike(a) for a in affine):
        return 'positions at the border differ from others; use padding="circular" and strides=1'
    return ""


def _in_sequence(layer: Layer) -> list[Layer]:
    if not isinstance(layer, Serial):
        return [layer]
    return [part for child in layer.layers for part in _in_sequence(child)]


def _keeps_positions_alike(layer: Conv) -> bool:
    return layer.padding == "circular" and all(s == 1 for s in np.ravel(layer.strides))


def _has_multipliers(layer: Layer) -> bool:
    if not isinstance(layer, (Dense, Conv)):
        return False
    return layer.lr_multiplier != 1.0 or layer.bias_ntk is not None
