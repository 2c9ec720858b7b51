"""The layer tree: what a network is, as immutable data.

Layers say what is computed and nothing about how: rules for shapes, covariances and finite
networks are functions registered per layer type elsewhere. Only the standard library is used.
A scale may also hold a tensor (a learnable value put there by `replace`); checks are for numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from numbers import Integral
from typing import Any, ClassVar

from ._values import as_axes, as_padding, check_scale

# One axis value for every spatial axis (an int), or one per axis (a tuple).
Axes = int | tuple[int, ...]
Padding = str | tuple[Any, ...]


def scale_field(default: float) -> Any:
    """A dataclass field that is a hyperparameter of the kernel: a standard deviation of weights."""
    return field(default=default, metadata={"scale": True})


class Layer:
    """A part of a network: frozen, hashable, comparable and picklable.

    Attributes
    ----------
    has_weights : bool
        Whether the layer itself draws random weights; its output has as many channels as wanted.
    """

    has_weights: ClassVar[bool] = False

    def __repr__(self) -> str:
        shown = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)  # type: ignore[arg-type]
            if f.default is MISSING or not _same(getattr(self, f.name), f.default)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def children(layer: Layer) -> tuple[Layer, ...]:
    """The layers that a layer is made of."""
    return (*getattr(layer, "layers", ()), *getattr(layer, "branches", ()))


def contains(layer: Layer, kind: type[Layer] | tuple[type[Layer], ...]) -> bool:
    """Whether a layer, or one inside it, is of a kind."""
    return isinstance(layer, kind) or any(contains(child, kind) for child in children(layer))


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    r"""Fully connected layer, ``z = w_std / sqrt(fan_in) W x + b_std b`` with W, b ~ N(0, 1).

    Parameters
    ----------
    w_std, b_std : float
        Scales of weights and biases (NTK parametrization).
    lr_multiplier : float
        Multiplies the weights' own contribution to the NTK; 1 is trained, 0 is frozen.
    bias_ntk : float or None
        The biases' own contribution to the NTK; None means ``lr_multiplier * b_std**2``.
    """

    has_weights: ClassVar[bool] = True
    w_std: float = scale_field(1.0)
    b_std: float = scale_field(0.0)
    lr_multiplier: float = field(default=1.0, kw_only=True)
    bias_ntk: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_affine(self)


@dataclass(frozen=True, repr=False)
class Conv(Layer):
    r"""Convolution over 1, 2 or 3 spatial axes with shared weights W ~ N(0, 1).

    ``z(i) = w_std / sqrt(fan_in) sum_a W_a x(i * stride + a * dilation) + b_std b`` with fan_in the
    channels times the size of the filter.

    Parameters
    ----------
    filter : int or tuple of int
        The receptive window; an int stands for every spatial axis.
    strides, dilation : int or tuple of int
    padding : {"same", "valid", "circular"} or tuple
        "same" gives ``ceil(n / stride)`` positions, padding with zeros, the odd one at the end;
        "circular" the same number, wrapping around. A pair (low, high), or one pair per axis,
        pads by exactly that many zeros.
    w_std, b_std, lr_multiplier, bias_ntk
        As in `Dense`.
    """

    has_weights: ClassVar[bool] = True
    filter: Axes = 3
    w_std: float = scale_field(1.0)
    b_std: float = scale_field(0.0)
    strides: Axes = 1
    dilation: Axes = 1
    padding: Padding = "same"
    lr_multiplier: float = field(default=1.0, kw_only=True)
    bias_ntk: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_affine(self)
        for name in ("filter", "strides", "dilation"):
            object.__setattr__(self, name, as_axes(getattr(self, name), f"Conv.{name}"))
        object.__setattr__(self, "padding", as_padding(self.padding, "Conv.padding"))


def _check_affine(layer: Any) -> None:
    for name in ("w_std", "b_std", "lr_multiplier"):
        check_scale(getattr(layer, name), f"{type(layer).__name__}.{name}")
    if layer.bias_ntk is not None:
        check_scale(layer.bias_ntk, f"{type(layer).__name__}.bias_ntk")


@dataclass(frozen=True, repr=False)
class Activation(Layer):
    """A nonlinearity applied to every unit.

    Parameters
    ----------
    function : str or DualActivation
        A registered name ("relu", "erf", ...) or an object such as ``LeakyReLU(0.2)``.
    """

    function: Any = "relu"

    def __repr__(self) -> str:
        return f"Activation({self.function!r})"


@dataclass(frozen=True, repr=False)
class _Pool(Layer):
    window: Axes = 2
    strides: Axes | None = None
    padding: Padding = "valid"

    def __post_init__(self) -> None:
        name = type(self).__name__
        object.__setattr__(self, "window", as_axes(self.window, f"{name}.window"))
        strides = self.window if self.strides is None else self.strides
        object.__setattr__(self, "strides", as_axes(strides, f"{name}.strides"))
        object.__setattr__(self, "padding", as_padding(self.padding, f"{name}.padding"))


@dataclass(frozen=True, repr=False)
class AvgPool(_Pool):
    """Mean over windows of positions; ``strides=None`` means the window.

    Padded zeros count, unless `normalize_edges` is set: then the sum over a window is divided by
    the number of its positions inside of the image (a window without any gives 0).
    """

    normalize_edges: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.normalize_edges, bool):
            raise TypeError(
                f"AvgPool.normalize_edges must be True or False, got {self.normalize_edges!r}"
            )


@dataclass(frozen=True, repr=False)
class SumPool(_Pool):
    """Sum over windows of positions; ``strides=None`` means the window."""


@dataclass(frozen=True, repr=False)
class GlobalAvgPool(Layer):
    """Mean over all positions; what follows has no spatial axes."""


@dataclass(frozen=True, repr=False)
class GlobalSumPool(Layer):
    """Sum over all positions; what follows has no spatial axes."""


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """All positions side by side as channels; nothing to do where there are no spatial axes."""


@dataclass(frozen=True, repr=False)
class Identity(Layer):
    """Passes its input on; the shortcut of a residual block."""


@dataclass(frozen=True, repr=False, init=False)
class Serial(Layer):
    """Layers applied one after another: ``Serial(Dense(), Activation("relu"), Dense())``."""

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer) -> None:
        object.__setattr__(self, "layers", _as_layers(layers, "Serial"))

    def __repr__(self) -> str:
        return f"Serial({', '.join(map(repr, self.layers))})"


@dataclass(frozen=True, repr=False, init=False)
class Sum(Layer):
    """The sum of branches that all read the same input."""

    branches: tuple[Layer, ...]

    def __init__(self, *branches: Layer) -> None:
        object.__setattr__(self, "branches", _as_layers(branches, "Sum", minimum=1))

    def __repr__(self) -> str:
        return f"Sum({', '.join(map(repr, self.branches))})"


@dataclass(frozen=True, repr=False, init=False)
class Concat(Layer):
    """Branches side by side along the channels.

    Parameters
    ----------
    *branches : Layer
    shares : tuple of float, optional
        Share of the channels of each branch (normalized to sum to one); equal by default.
    """

    branches: tuple[Layer, ...]
    shares: tuple[float, ...]

    def __init__(self, *branches: Layer, shares: Iterable[float] | None = None) -> None:
        object.__setattr__(self, "branches", _as_layers(branches, "Concat", minimum=1))
        weights = (1.0,) * len(branches) if shares is None else tuple(map(float, shares))
        if len(weights) != len(branches) or not all(0 < w < math.inf for w in weights):
            raise ValueError(
                f"Concat.shares must be one positive number per branch ({len(branches)}), "
                f"got {weights}"
            )
        object.__setattr__(self, "shares", tuple(w / sum(weights) for w in weights))

    def __repr__(self) -> str:
        parts = [*map(repr, self.branches)]
        if len(set(self.shares)) > 1:
            parts.append(f"shares={self.shares}")
        return f"Concat({', '.join(parts)})"


def residual(main: Layer, shortcut: Layer | None = None) -> Sum:
    """``main(x) + shortcut(x)``, the shortcut being the identity unless given."""
    return Sum(main, Identity() if shortcut is None else shortcut)


def LocalAvgPool(radius: Axes) -> AvgPool:
    """Means over the shifts of an image by up to `radius` positions in every direction.

    ``AvgPool(2 * radius + 1, strides=1, padding=(radius, radius))``: a box blur that keeps the size
    of the image. Windows count in full at the edges, and `radius` may exceed the image: once it is
    the size less one, every position holds the same sum over all of them. In front of
    ``Flatten()`` and a dense layer it is the local average pooling LAP(c) of Li et al., "Enhanced
    convolutional neural tangent kernels", 2019: the kernel averaged over independent shifts of both
    images.

    Parameters
    ----------
    radius : int or tuple of int
        0 changes nothing; an int stands for every spatial axis.

    Raises
    ------
    TypeError, ValueError
        If `radius` holds anything but integers >= 0.
    """
    radii = radius if isinstance(radius, (tuple, list)) else (radius,)
    for value in radii:
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(f"radius must be an int or a tuple of ints, got {radius!r}")
        if value < 0:
            raise ValueError(f"radius must not be negative, got {radius!r}")
    padding = tuple((int(value), int(value)) for value in radii)
    if isinstance(radius, (tuple, list)):
        return AvgPool(tuple(2 * r + 1 for r, _ in padding), (1,) * len(radii), padding)
    return AvgPool(2 * int(radius) + 1, 1, padding[0])


def _as_layers(layers: Iterable[Any], name: str, minimum: int = 0) -> tuple[Layer, ...]:
    found = tuple(layers)
    for layer in found:
        if not isinstance(layer, Layer):
            hint = " (write them side by side, not in a list)" if isinstance(layer, list) else ""
            if isinstance(layer, str) or hasattr(layer, "phi"):
                hint = f"; an activation is a layer as Activation({layer!r})"
            raise TypeError(f"{name} takes layers, got {layer!r}{hint}")
    if len(found) < minimum:
        raise ValueError(f"{name} needs at least {minimum} branch")
    return found
