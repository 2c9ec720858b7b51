"""One learning rate per layer, exactly, in networks of infinite width."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from ...architecture import Layer, replace
from ..parametrizations import affine_by_path

Rate = float | tuple[float, float]


def layer_learning_rates(network: Layer, rates: Mapping[str, Rate]) -> Layer:
    r"""The network with layers that are trained at other learning rates.

    Gradient descent with a rate per layer has a D that is one number per layer and does not depend
    on the training. In the NTK parametrization its kernel

    .. math:: K_D(x, z) = \sum_l \eta_l \, \langle \partial_{\theta_l} f(x),
                          \partial_{\theta_l} f(z) \rangle

    converges with the width as the tangent kernel does: to that of the tree whose `lr_multiplier`
    and `bias_ntk` of layer l are multiplied by eta_l. All rates times one number is another unit of
    time.

    Parameters
    ----------
    network : Layer
        A tree; of a preset that which `build` returns.
    rates : mapping of str to float or (float, float)
        By the path of a layer with weights (``"layers.2"``; ``""`` if the network is one layer): a
        rate >= 0, or those of its weights and of its biases. 0 freezes. All others keep theirs.

    Returns
    -------
    Layer

    Raises
    ------
    ValueError
        For paths of no layer with weights, and rates that are negative or not finite.
    TypeError
        For what is no tree.
    NotImplementedError
        For self attention.

    Examples
    --------
    >>> from ntk_sklearn.networks import Activation, Dense, Serial, layer_learning_rates
    >>> tree = Serial(Dense(1.5, 0.5), Activation("relu"), Dense())
    >>> layer_learning_rates(tree, {"layers.0": (0.1, 0.0)})  # doctest: +NORMALIZE_WHITESPACE
    Serial(Dense(w_std=1.5, b_std=0.5, lr_multiplier=0.1, bias_ntk=0.0), Activation('relu'),
           Dense())
    """
    layers = {path.rstrip("."): layer for path, layer in affine_by_path(network)}
    unknown = [path for path in rates if path not in layers]
    if unknown:
        raise ValueError(f"rates name {unknown}: the layers with weights are {list(layers)}")
    values: dict[str, Any] = {}
    for path, rate in rates.items():
        weight, bias = rate if isinstance(rate, tuple) else (rate, rate)
        for value in (weight, bias):
            if not (isfinite(value) and value >= 0):
                raise ValueError(
                    f"learning rates must be finite and >= 0, got {value!r} at {path!r}"
                )
        prefix, layer = f"{path}." if path else "", layers[path]
        values[f"{prefix}lr_multiplier"] = layer.lr_multiplier * weight
        own = layer.bias_ntk
        if own is not None or weight != bias:
            own = layer.lr_multiplier * layer.b_std**2 if own is None else own
            values[f"{prefix}bias_ntk"] = own * bias
    return replace(network, values)
