"""Parametrizations: what one learning rate for all parameters does to each layer.

In the NTK parametrization a layer's own contribution to the tangent kernel is ``w_std^2 K +
b_std^2`` with the covariance K that it reads. Others are the same random functions, trained at
other rates: two numbers per layer, `lr_multiplier` and `bias_ntk`, say which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from math import prod
from numbers import Real
from typing import Any

from ..architecture import (
    AtInitialization,
    Conv,
    Dense,
    Layer,
    NetworkError,
    SelfAttention,
    Serial,
    Shape,
    contains,
    replace,
    scales,
)
from ..architecture._values import check_scale
from .build import build
from .network import affine_layers, skeleton
from .widths import readout_is_hidden


def standard_parametrization(
    network: Layer, input_shape: Shape | Sequence[int], width: int, *, biases: bool = False
) -> Layer:
    r"""The network in the standard parametrization, with weights drawn at their final scale.

    Layers ``z = W x + b`` with W ~ N(0, w_std^2 / fan_in), b ~ N(0, b_std^2) are the same random
    functions as in the NTK parametrization; gradient descent moves them differently. With fan-ins N
    of networks of base width `width`, layers contribute

    .. math:: \Theta \leftarrow w^2 \dot T\, \Theta + N K + 1,

    K being the covariance in front of the layer's weights (for convolutions averaged over the
    filter, and N the channels times the size of the filter), and 1 that of its biases. The limit
    is that of networks of widths s N, s to infinity, with layers ``z = W x / sqrt(s) + b`` and
    W ~ N(0, w_std^2 / N): without the base width the kernel would grow with the width.

    Parameters
    ----------
    network : Layer
        A tree; of a preset that which `build` returns. Multipliers of its layers are kept: rates
        are `lr_multiplier` times those of the standard parametrization.
    input_shape : Shape or sequence of int
        ``(n_features,)`` or (channels, \*spatial): the fan-in of the first layer is the true one.
    width : int
        Base width of all hidden layers, the one of the networks that the limit stands for.
    biases : bool, default=False
        Give trained biases that start from zero to layers with ``b_std=0``, too.

    Returns
    -------
    Layer
        A tree whose multipliers belong to its present `w_std`: apply it again to a tree with
        others.

    Raises
    ------
    ValueError
        If a layer has ``w_std=0`` (no multiplier exists) or its `bias_ntk` is set, as it is if the
        function was applied already.
    NotImplementedError
        For layers with weights other than `Dense` and `Conv`.

    References
    ----------
    Sohl-Dickstein, Novak, Schoenholz and Lee, "On the infinite width limit of neural networks with
    a standard parameterization", 2020; Lee et al. 2019, eq. S37.

    Examples
    --------
    >>> from ntk_sklearn.networks import Activation, Dense, Serial, standard_parametrization
    >>> tree = Serial(Dense(2.0, 0.1), Activation("relu"), Dense())
    >>> standard_parametrization(tree, (8,), width=512)  # doctest: +NORMALIZE_WHITESPACE
    Serial(Dense(w_std=2.0, b_std=0.1, lr_multiplier=2.0, bias_ntk=1.0), Activation('relu'),
           Dense(lr_multiplier=512.0, bias_ntk=0.0))
    """
    values: dict[str, Any] = {}
    for path, layer, fan_in in _with_fan_in(network, input_shape, width):
        _check_plain(path, layer)
        # a tensor is a scale that is learned, and not 0
        has_bias = biases or not (isinstance(layer.b_std, Real) and layer.b_std == 0)
        values[f"{path}lr_multiplier"] = layer.lr_multiplier * fan_in / layer.w_std**2
        values[f"{path}bias_ntk"] = float(layer.lr_multiplier) if has_bias else 0.0
    return replace(network, values)


def maximal_update(
    network: Layer, input_shape: Shape | Sequence[int], width: int = 1, *, biases: bool = False
) -> AtInitialization:
    r"""The network with maximal-update rates: its tangent kernel at initialization, no more.

    The maximal update parametrization for SGD (Yang and Hu 2021, table 1; Yang et al. 2022, table
    3) with learning rate 1, equal to the standard parametrization at width N: at width n, W is
    drawn from N(0, w^2 / fan_in) and the readout from N(0, w^2 N / n^2); the learning rates are
    n / N for the first layer's weights and hidden biases, 1 for hidden weights and the readout's
    bias, and N / n for the readout's weights. As n grows the outputs vanish, features move at order
    1 during training, and the tangent kernel *at initialization* tends to that of the standard
    parametrization at base width N: every factor n / N of a rate meets its inverse in the readout's
    variance or in the fan-in.

    With one hidden layer and ``width=1`` it is the mean-field parametrization, ``f = 1 / n sum_i
    a_i phi(w_i x)`` with a learning rate of n (Mei, Montanari and Nguyen 2018; Chizat, Oyallon and
    Bach 2019).

    Parameters
    ----------
    network, input_shape, biases
        As in `standard_parametrization`.
    width : int, default=1
        The width N at which both parametrizations agree.

    Returns
    -------
    AtInitialization
        `ntk_sklearn.kernels.NTK` computes its kernel. Estimators refuse it, as it is not the kernel
        of the trained network; it has no NNGP, and `to_module` draws no network of it.

    Raises
    ------
    NetworkError
        If the outputs are channels of a hidden layer (a residual sum ends the network).
    ValueError, NotImplementedError
        As in `standard_parametrization`.

    References
    ----------
    Yang and Hu, "Tensor programs IV: feature learning in infinite-width neural networks", ICML
    2021; Yang et al., "Tensor programs V: tuning large neural networks via zero-shot hyperparameter
    transfer", 2022.
    """
    check_tree(network)
    if readout_is_hidden(network):
        raise NetworkError(
            "the outputs are channels of a hidden layer, so that no layer has the readout's rate: "
            "end the network with Dense()"
        )
    tree = standard_parametrization(network, input_shape, width, biases=biases)
    return AtInitialization(*(tree.layers if isinstance(tree, Serial) else (tree,)))


def biases_from_zero(network: Layer, b_std: float | None = None) -> Layer:
    """The network with biases that start from zero instead of being drawn at random.

    They are trained all the same, so that every layer adds ``b_std**2`` to the tangent kernel and
    nothing to the covariance: Jacot et al. (2018) with their beta as `b_std` for biases that are
    initialized to zero, and scikit-ntk's bias.

    Parameters
    ----------
    network : Layer
        A tree. Layers whose `bias_ntk` is set keep that.
    b_std : float or None, default=None
        The scale of all layers' biases; None keeps that of each layer.

    Returns
    -------
    Layer

    Raises
    ------
    TypeError, ValueError
        For what is no tree, and a `b_std` that is no number >= 0.
    NotImplementedError
        For self attention.

    Examples
    --------
    >>> from ntk_sklearn.networks import Activation, Dense, Serial, biases_from_zero
    >>> biases_from_zero(Serial(Dense(1.5, 0.5), Activation("relu"), Dense()))
    Serial(Dense(w_std=1.5, bias_ntk=0.25), Activation('relu'), Dense(bias_ntk=0.0))
    """
    if b_std is not None:
        check_scale(b_std, "b_std")
    values: dict[str, Any] = {}
    for path, layer in affine_by_path(network):
        scale = layer.b_std if b_std is None else b_std
        values[f"{path}b_std"] = 0.0
        if layer.bias_ntk is None:
            values[f"{path}bias_ntk"] = layer.lr_multiplier * scale**2
    return replace(network, values)


@build.register
def _(layer: AtInitialization, wire: Any, channels: int, width: int) -> Any:
    raise NetworkError(
        "to_module draws networks that train like their kernels: a tree marked AtInitialization "
        "describes none"
    )


def affine_by_path(network: Layer) -> Iterator[tuple[str, Any]]:
    """Layers with weights, and their paths, empty or with a dot behind."""
    check_tree(network)
    if contains(network, SelfAttention):
        raise NotImplementedError("parametrizations of SelfAttention are not known")
    for name in scales(network):
        path, _, scale = name.rpartition(".")
        if scale == "w_std":
            yield (f"{path}." if path else ""), _at(network, path)


def check_tree(network: Any) -> None:
    """Raise for what is no tree of layers, such as a preset."""
    if not isinstance(network, Layer):
        remedy = "; pass what its build() returns" if hasattr(network, "build") else ""
        raise TypeError(f"network must be a tree of layers, got {network!r}{remedy}")


def _at(network: Any, path: str) -> Any:
    parts = path.split(".") if path else []
    return reduce(lambda n, p: n[int(p)] if p.isdigit() else getattr(n, p), parts, network)


def _with_fan_in(
    network: Layer, input_shape: Shape | Sequence[int], width: int
) -> Iterator[tuple[str, Any, int]]:
    layers = list(affine_by_path(network))
    plain = replace(network, dict.fromkeys(scales(network), 1.0))  # scales may be tensors
    modules = affine_layers(skeleton(plain, input_shape, width))
    for (path, layer), module in zip(layers, modules, strict=True):
        if not isinstance(layer, (Dense, Conv)):
            raise NotImplementedError(
                f"the standard parametrization of {type(layer).__name__} is not known"
            )
        yield path, layer, prod(module.weight.shape[1:])


def _check_plain(path: str, layer: Dense | Conv) -> None:
    where = f"{path.rstrip('.') or 'network'}: {layer!r}"
    if isinstance(layer.w_std, Real) and layer.w_std == 0:
        raise ValueError(f"{where}: w_std=0 has no standard parametrization")
    if layer.bias_ntk is not None:
        raise ValueError(
            f"{where}: bias_ntk is set, which the standard parametrization does itself; give "
            "biases by b_std, or by biases=True"
        )
