"""Affine layers of finite width in the NTK parametrization."""

from __future__ import annotations

from itertools import product
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..architecture import Conv, ConvLocal, ConvTranspose, Dense, Window
from .modules import Pad, Part, Tape


class Affine(Part):
    r"""``z = weight_scale * (W applied to x) + bias_scale * b``, abstract in how W is applied.

    The scales make plain gradient descent with one learning rate follow the layer's multipliers:
    with m the `lr_multiplier`, ``weight_scale = sqrt(m) w_std / sqrt(fan_in)`` and
    ``W ~ N(0, 1 / m)`` (m = 1: standard normal weights; m = 0: standard normal, not trained).
    Biases likewise: ``bias_scale = sqrt(bias_ntk)`` and ``b ~ N(0, b_std^2 / bias_ntk)``, which
    is b = 0 where biases are trained from zero (`b_std` = 0, `bias_ntk` > 0). So the network's
    Jacobian with respect to its trained parameters is that of the empirical NTK.

    Attributes
    ----------
    in_shape, out_shape : tuple of int
        (channels, *spatial) of one row.
    weight_ntk, bias_ntk : float
        Coefficients of the layer's own contribution to the NTK.
    weight_variance, bias_variance : float
        The same for the covariance of the output over the layer's weights and biases.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        layer: Dense | Conv | ConvTranspose | ConvLocal,
        in_shape: tuple[int, ...],
        out_shape: tuple[int, ...],
        weight_shape: tuple[int, ...],
        bias_shape: tuple[int, ...],
        fan_in: int,
    ) -> None:
        super().__init__()
        self.in_shape, self.out_shape = in_shape, out_shape
        std, b_std = float(layer.w_std) / sqrt(fan_in), float(layer.b_std)
        root = sqrt(layer.lr_multiplier)
        self.weight_scale, self.weight_spread = _scales(std, root * std)
        bias_root = root * b_std if layer.bias_ntk is None else sqrt(layer.bias_ntk)
        self.bias_scale, self.bias_spread = _scales(b_std, bias_root)
        self.weight_ntk, self.bias_ntk = (root * std) ** 2, bias_root**2
        self.weight_variance, self.bias_variance = std**2, b_std**2
        self.weight = nn.Parameter(torch.empty(weight_shape, device="meta"), self.weight_ntk > 0)
        self.bias = None
        if self.bias_scale > 0:
            self.bias = nn.Parameter(torch.empty(bias_shape, device="meta"), self.bias_ntk > 0)

    def draw(self, generator: torch.Generator, **kind: Any) -> None:
        """Fill the parameters; drawn in float64 on the CPU, so that no `kind` changes them."""
        spreads = {"weight": self.weight_spread, "bias": self.bias_spread}
        for name, parameter in list(self.named_parameters(recurse=False)):
            values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            values = values.mul_(spreads[name]).to(**kind)
            setattr(self, name, nn.Parameter(values, parameter.requires_grad))

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, *out_shape) for x (n, *in_shape)."""
        return self.affine(x) if tape is None else tape.through(self, x)

    def affine(self, x: Tensor) -> Tensor:
        """The pre-activations (n, *out_shape)."""
        z = self.weight_scale * self.apply_weight(x)
        if self.bias is None:
            return z
        bias = self.bias_scale * self.bias
        return z + bias.reshape(*bias.shape, *(1,) * (z.ndim - 1 - bias.ndim))

    def apply_weight(self, x: Tensor) -> Tensor:
        """W x, unscaled."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Shapes of a row."""
        return f"{self.in_shape} -> {self.out_shape}"


class DenseModule(Affine):
    """`Affine` on flat rows."""

    def __init__(self, layer: Dense, fan_in: int, channels: int) -> None:
        super().__init__(layer, (fan_in,), (channels,), (channels, fan_in), (channels,), fan_in)

    def apply_weight(self, x: Tensor) -> Tensor:
        """(n, channels)."""
        return F.linear(x, self.weight)


class Windowed(Affine):
    """`Affine` on every window of positions, abstract in which weights it has there."""

    windows: tuple[Window, ...]
    pad: Pad

    def taps(self) -> list[tuple[Any, ...]]:
        """For every entry of the filter, the index of what it reads in the padded input."""
        axes = [
            [slice(a * w.dilation, a * w.dilation + (w.out - 1) * w.stride + 1, w.stride)
             for a in range(w.size)]
            for w in self.windows
        ]  # fmt: skip
        return [(..., *slices) for slices in product(*axes)]


class ConvModule(Windowed):
    """The same weights for every window, in 1, 2 or 3 spatial dimensions."""

    def __init__(
        self,
        layer: Conv | ConvTranspose,
        in_shape: tuple[int, ...],
        channels: int,
        windows: tuple[Window, ...],
    ) -> None:
        weight_shape = (channels, in_shape[0], *(w.size for w in windows))
        out_shape = (channels, *(w.out for w in windows))
        super().__init__(
            layer, in_shape, out_shape, weight_shape, (channels,), prod(weight_shape[1:])
        )
        self.windows, self.pad = windows, Pad(windows)
        self._conv: Any = (F.conv1d, F.conv2d, F.conv3d)[len(windows) - 1]

    def apply_weight(self, x: Tensor) -> Tensor:
        """(n, channels, *positions)."""
        stride = tuple(w.stride for w in self.windows)
        dilation = tuple(w.dilation for w in self.windows)
        return self._conv(self.pad(x), self.weight, stride=stride, dilation=dilation)


def _scales(std: float, root: float) -> tuple[float, float]:
    """(scale in the forward pass, standard deviation of the parameter); root^2 is the NTK's."""
    return (root, std / root) if root > 0 else (std, 1.0)
