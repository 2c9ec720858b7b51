"""Convolutions whose weights are spread out (transposed) or not shared (locally connected)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import ClassVar

from ._values import as_axes, as_padding
from .checks import signal_rule
from .layers import Axes, Conv, Layer, Padding, _check_affine, scale_field
from .shapes import Shape, need_image, shape_rule
from .windows import ShapeError, Window, axis_padding, per_axis


@dataclass(frozen=True, repr=False)
class ConvTranspose(Layer):
    r"""Transposed convolution: images grow by the strides.

    Every position is followed by ``strides - 1`` zeros, and the result is convolved at stride 1,
    ``z(o) = w_std / sqrt(fan_in) sum_a W_a x((o + a - low) / strides) + b_std b`` over the taps a
    at which the quotient is a position, with fan_in the channels times the size of the filter. A
    position of the output sees about ``filter / strides`` positions per axis, so its variance is
    smaller than a convolution's by about the strides (exactly, for filters which they divide).

    The filter is shared, so positions o and o' of two images covary only through positions i and i'
    with ``o' - o = strides (i' - i)``; all other pairs have the covariance ``b_std**2``.

    Parameters
    ----------
    filter : int or tuple of int
        The window of the weights; an int stands for every spatial axis.
    w_std, b_std, lr_multiplier, bias_ntk
        As in `Dense`.
    strides : int or tuple of int
        By how much the image grows.
    padding : {"same", "valid", "circular"} or tuple
        "same" gives ``n strides`` positions, "circular" the same number, wrapping around, and
        "valid" ``n strides + max(filter - strides, 0)``: whatever a position reaches. The odd
        position of padding is at the beginning. A pair (low, high), or one pair per axis, puts so
        many zeros around the positions and the zeros between them; ``torch.nn.ConvTranspose2d``
        with padding p is (filter - 1 - p, filter - 1 - p), with a filter that is turned around.

    Raises
    ------
    TypeError, ValueError
        For scales, windows or padding that are none.

    References
    ----------
    Novak et al., "Neural tangents", 2020; paddings are those of ``jax.lax.conv_transpose``.
    """

    has_weights: ClassVar[bool] = True
    filter: Axes = 3
    w_std: float = scale_field(1.0)
    b_std: float = scale_field(0.0)
    strides: Axes = 1
    padding: Padding = "same"
    lr_multiplier: float = field(default=1.0, kw_only=True)
    bias_ntk: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_affine(self)
        for name in ("filter", "strides"):
            object.__setattr__(self, name, as_axes(getattr(self, name), f"ConvTranspose.{name}"))
        object.__setattr__(self, "padding", as_padding(self.padding, "ConvTranspose.padding"))


@dataclass(frozen=True, repr=False)
class ConvLocal(Layer):
    r"""Locally connected layer: a convolution with weights and biases of its own at each position.

    ``z(i) = w_std / sqrt(fan_in) sum_a W_{i,a} x(i * stride + a * dilation) + b_std b_i``. Outputs
    at different positions are independent: covariances of equal positions are those of `Conv`, all
    others are 0. In front of a Flatten head the kernels are therefore those of `Conv`; with pooling
    behind it they are not.

    Parameters
    ----------
    filter, w_std, b_std, strides, dilation, padding, lr_multiplier, bias_ntk
        As in `Conv`.

    Raises
    ------
    TypeError, ValueError
        For scales, windows or padding that are none.

    References
    ----------
    Novak et al., "Bayesian deep convolutional networks with many channels are Gaussian processes",
    2019, section 5.1; biases are not shared, as in Novak et al., "Neural tangents", 2020.
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
            object.__setattr__(self, name, as_axes(getattr(self, name), f"ConvLocal.{name}"))
        object.__setattr__(self, "padding", as_padding(self.padding, "ConvLocal.padding"))

    @property
    def shared(self) -> Conv:
        """The convolution with one set of weights for all positions."""
        return Conv(**{f.name: getattr(self, f.name) for f in fields(self)})


@shape_rule.register
def _(layer: ConvTranspose, shape: Shape, path: str) -> Shape:
    need_image(shape)
    return Shape(None, tuple(w.out for w in transposed_windows(layer, shape.spatial)))


@shape_rule.register
def _(layer: ConvLocal, shape: Shape, path: str) -> Shape:
    return shape_rule(layer.shared, shape, path)


for _kind in (ConvTranspose, ConvLocal):
    signal_rule.register(_kind, signal_rule.dispatch(Conv))


def transposed_windows(layer: ConvTranspose, spatial: tuple[int, ...]) -> tuple[Window, ...]:
    """The windows of a transposed convolution, at stride 1 among positions with zeros between."""
    rank = len(spatial)
    size, stride = per_axis(layer.filter, rank), per_axis(layer.strides, rank)
    return tuple(
        _window(n, size[a], stride[a], axis_padding(layer.padding, a, rank))
        for a, n in enumerate(spatial)
    )


def _window(n: int, size: int, stride: int, padding: str | tuple[int, int]) -> Window:
    spread = (n - 1) * stride + 1
    if not isinstance(padding, str):
        low, high = padding
    else:
        beyond = max(size - stride, 0)  # positions that "valid" has more than "same"
        low = size - 1 - (0 if padding == "valid" else beyond // 2)
        out = n * stride + (beyond if padding == "valid" else 0)
        high = out + size - 1 - spread - low
    out = spread + low + high - size + 1
    wrap = padding == "circular"
    if wrap and max(low, size - 1 - low) > n * stride:
        raise ShapeError(f"circular padding of {n * stride} positions by a filter of {size}")
    if out < 1:
        raise ShapeError(f"a filter of {size} positions does not fit into {spread + low + high}")
    if wrap:
        high = size - 1 - low  # around the whole circle, the last zeros included
    return Window(size, 1, 1, low, high, wrap, out, stride)
