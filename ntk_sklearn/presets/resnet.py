"""Residual networks with pre-activation blocks."""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Real
from typing import Any

from ..architecture import (
    Activation,
    Conv,
    Dense,
    Layer,
    Serial,
    residual,
)
from ..duals import resolve
from .base import Preset, check_choice, check_integer, check_width, hidden_w_std
from .convolutional import HEADS


class ResNet(Preset):
    r"""A residual network of pre-activation blocks, convolutional or dense.

    A stem convolution, then stages of blocks :math:`x + s\,V \phi(W \phi(x))`, then an activation,
    the head and a dense readout. The first block of every stage but the first halves the image by
    `strides` and has a projection with the same strides for its shortcut (He et al. 2016). The
    limit exists because each sum is taken before an activation.

    Parameters
    ----------
    blocks : tuple of int, default=(2, 2)
        Number of blocks of each stage.
    filter : int, tuple of int or None, default=3
        None gives the dense residual network, whose blocks are dense layers without strides.
    strides : int or tuple of int, default=2
        Strides at the beginning of every stage but the first.
    padding : {"same", "valid", "circular"} or (low, high) pairs, default="same"
    head : {"global_avg_pool", "global_sum_pool", "flatten"}, default="global_avg_pool"
    branch_scale : float or "auto", default="auto"
        The factor s of the branches. "auto" is 1 / sqrt(total number of blocks), which bounds the
        kernel at every depth; with 1 it doubles with every block.
    width : int or inf, default=inf
    activation : str or DualActivation, default="relu"
    w_std, b_std : float, default=sqrt(2), 0.1
        Scales of the stem, of the layers in branches (times `branch_scale` in the last one) and of
        the projections (weights 1, no bias).
    readout_w_std, readout_b_std : float, default=1.0, 0.0
    n_networks, random_state : int, default=10, 0
        As in `FullyConnected`.

    Notes
    -----
    `depth`, where a table names one, counts activations: 2 per block and 1 before the head.
    """

    def __init__(
        self,
        blocks: tuple[int, ...] = (2, 2),
        filter: Any = 3,
        strides: Any = 2,
        padding: Any = "same",
        head: str = "global_avg_pool",
        branch_scale: Any = "auto",
        width: float = math.inf,
        activation: Any = "relu",
        w_std: float = math.sqrt(2.0),
        b_std: float = 0.1,
        readout_w_std: float = 1.0,
        readout_b_std: float = 0.0,
        n_networks: int = 10,
        random_state: int = 0,
    ) -> None:
        self.blocks = blocks
        self.filter = filter
        self.strides = strides
        self.padding = padding
        self.head = head
        self.branch_scale = branch_scale
        self.width = width
        self.activation = activation
        self.w_std = w_std
        self.b_std = b_std
        self.readout_w_std = readout_w_std
        self.readout_b_std = readout_b_std
        self.n_networks = n_networks
        self.random_state = random_state

    def build(self) -> Layer:
        """The layer tree; see `Preset.build`."""
        check_width(self)
        resolve(self.activation)
        hidden_w_std(self, "sums make the variance grow from block to block; see branch_scale")
        stages = self._stages()
        layers: list[Layer] = [self._affine(1)]
        for stage, n_blocks in enumerate(stages):
            for k in range(n_blocks):
                layers.append(self._block(strided=stage > 0 and k == 0))
        layers.append(Activation(self.activation))
        if self.filter is not None:
            layers.append(HEADS[check_choice(self.head, "head", tuple(HEADS))]())
        return Serial(*layers, Dense(self.readout_w_std, self.readout_b_std))

    def _stages(self) -> tuple[int, ...]:
        if not isinstance(self.blocks, (tuple, list)) or not self.blocks:
            raise TypeError(f"blocks must be a tuple of integers, got {self.blocks!r}")
        return tuple(check_integer(b, "blocks", 1) for b in self.blocks)

    def _affine(self, strides: Any, scale: float = 1.0) -> Layer:
        layer: Dense | Conv = Dense(self.w_std, self.b_std)
        if self.filter is not None:
            layer = Conv(self.filter, self.w_std, self.b_std, strides, padding=self.padding)
        return replace(layer, w_std=layer.w_std * scale, b_std=layer.b_std * scale)

    def _block(self, strided: bool) -> Layer:
        act = Activation(self.activation)
        strides = self.strides if strided else 1
        main = Serial(act, self._affine(strides), act, self._affine(1, self._scale()))
        if not strided or self.filter is None:
            return residual(main)
        return residual(main, Conv(1, 1.0, 0.0, strides, padding=self.padding))

    def _scale(self) -> float:
        if self.branch_scale == "auto":
            return float(sum(self.blocks)) ** -0.5
        if not (isinstance(self.branch_scale, Real) and float(self.branch_scale) >= 0):
            raise ValueError(
                f"branch_scale must be 'auto' or a number >= 0, got {self.branch_scale!r}"
            )
        return float(self.branch_scale)
