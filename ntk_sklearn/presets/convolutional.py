"""Convolutional networks, plain and of the Myrtle family."""

from __future__ import annotations

import math
from typing import Any

from ..architecture import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Layer,
    Serial,
)
from ..duals import resolve
from .base import Preset, check_choice, check_integer, check_width, hidden_w_std

HEADS: dict[str, type[Layer]] = {
    "global_avg_pool": GlobalAvgPool,
    "global_sum_pool": GlobalSumPool,
    "flatten": Flatten,
}

# Convolutions per group of the Myrtle networks, by their published names.
MYRTLE_GROUPS = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}


class Convolutional(Preset):
    r"""A convolutional network with `depth` layers, a pooling head and a dense readout.

    The kernels are the limit of infinitely many channels of ``depth`` times (convolution,
    activation), then the head over positions, then a dense layer (Novak et al. 2019; Arora et al.
    2019), in the NTK parametrization.

    Parameters
    ----------
    depth : int, default=5
        Number of convolutions, each followed by the activation.
    filter : int or tuple of int, default=3
        Receptive window, one int for all spatial axes or one per axis.
    strides : int or tuple of int, default=1
    padding : {"same", "valid", "circular"} or (low, high) pairs, default="same"
    head : {"global_avg_pool", "global_sum_pool", "flatten"}, default="global_avg_pool"
        Global pooling makes the kernel exactly translation invariant only together with circular
        padding. With "flatten" weight sharing has no effect on the kernel, which is much cheaper.
    width : int or inf, default=inf
        Channels of the convolutions; see `FullyConnected`.
    activation : str or DualActivation, default="relu"
    w_std : float or "critical", default=sqrt(2)
        As in `FullyConnected`; "critical" needs ``padding="circular"``, since other padding makes
        variances differ between the border and the middle.
    b_std : float, default=0.1
    readout_w_std, readout_b_std : float, default=1.0, 0.0
    n_networks, random_state : int, default=10, 0
        As in `FullyConnected`.
    """

    def __init__(
        self,
        depth: int = 5,
        filter: Any = 3,
        strides: Any = 1,
        padding: Any = "same",
        head: str = "global_avg_pool",
        width: float = math.inf,
        activation: Any = "relu",
        w_std: float | str = math.sqrt(2.0),
        b_std: float = 0.1,
        readout_w_std: float = 1.0,
        readout_b_std: float = 0.0,
        n_networks: int = 10,
        random_state: int = 0,
    ) -> None:
        self.depth = depth
        self.filter = filter
        self.strides = strides
        self.padding = padding
        self.head = head
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
        depth = check_integer(self.depth, "depth", 0)
        head = HEADS[check_choice(self.head, "head", tuple(HEADS))]
        resolve(self.activation)
        circular = isinstance(self.padding, str) and self.padding == "circular"
        why_not = "" if circular else 'zeros enter at the border; use padding="circular"'
        w_std = hidden_w_std(self, why_not)
        conv = Conv(self.filter, w_std, self.b_std, self.strides, padding=self.padding)
        hidden = (conv, Activation(self.activation)) * depth
        return Serial(*hidden, head(), Dense(self.readout_w_std, self.readout_b_std))


class Myrtle(Preset):
    r"""The Myrtle networks of Shankar et al. (2020) with 5, 7 or 10 layers, relu by default.

    Three groups of 3 x 3 convolutions with activations, each but the last followed by 2 x 2 average
    pooling; then all that is left is averaged and a dense layer reads out. The published names
    count the convolutions and the readout: 5, 7 and 10 have 4, 6 and 9 activations.

    Parameters
    ----------
    depth : {5, 7, 10}, default=5
    activation : str or DualActivation, default="relu"
    w_std, b_std : float, default=sqrt(2), 0.0
    readout_w_std, readout_b_std : float, default=1.0, 0.0
    width, n_networks, random_state
        As in `FullyConnected`.
    """

    def __init__(
        self,
        depth: int = 5,
        width: float = math.inf,
        activation: Any = "relu",
        w_std: float = math.sqrt(2.0),
        b_std: float = 0.0,
        readout_w_std: float = 1.0,
        readout_b_std: float = 0.0,
        n_networks: int = 10,
        random_state: int = 0,
    ) -> None:
        self.depth = depth
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
        if check_integer(self.depth, "depth", 0) not in MYRTLE_GROUPS:
            raise ValueError(f"depth of Myrtle must be 5, 7 or 10, got {self.depth!r}")
        resolve(self.activation)
        w_std = hidden_w_std(self, "zeros enter at the border, and pooling comes in between")
        conv = (Conv(3, w_std, self.b_std), Activation(self.activation))
        first, second, third = MYRTLE_GROUPS[self.depth]
        return Serial(
            *conv * first,
            AvgPool(2),
            *conv * second,
            AvgPool(2),
            *conv * third,
            GlobalAvgPool(),
            Dense(self.readout_w_std, self.readout_b_std),
        )
