"""Fully connected networks."""

from __future__ import annotations

import math
from typing import Any

from ..architecture import Activation, Dense, Layer, Serial
from ..duals import resolve
from .base import Preset, check_integer, check_width, hidden_w_std


class FullyConnected(Preset):
    r"""A fully connected network with `depth` hidden layers.

    The kernels are the infinite-width limit of

    .. math:: z^1 = \frac{w}{\sqrt{d}} W^1 x + b\,\beta^1, \qquad
              z^{l+1} = \frac{w}{\sqrt{n_l}} W^{l+1} \phi(z^l) + b\,\beta^{l+1},

    with all weights W and biases beta drawn from N(0, 1) (NTK parametrization; Lee et al. 2019).
    The last layer, the readout, has scales of its own.

    Parameters
    ----------
    depth : int, default=3
        Number of hidden layers (activations); 0 is the linear kernel.
    width : int or inf, default=inf
        Units of the hidden layers. A finite width gives the empirical kernel averaged over
        `n_networks` random networks.
    activation : str or DualActivation, default="relu"
    w_std : float or "critical", default=sqrt(2)
        Weight scale; sqrt(2) keeps the variance of relu networks. "critical" is the scale of the
        edge of chaos for this activation and `b_std` (see `critical_w_std`; relu needs
        ``b_std=0``); both scales are then no hyperparameters of the kernel.
    b_std : float, default=0.5
        Bias scale.
    readout_w_std, readout_b_std : float, default=1.0, 0.0
        Scales of the readout.
    n_networks : int, default=10
    random_state : int, default=0
        The networks drawn for a finite width; ignored for infinite width.

    Examples
    --------
    >>> FullyConnected(depth=1).build()  # doctest: +ELLIPSIS
    Serial(Dense(w_std=1.414..., b_std=0.5), Activation('relu'), Dense())
    """

    def __init__(
        self,
        depth: int = 3,
        width: float = math.inf,
        activation: Any = "relu",
        w_std: float | str = math.sqrt(2.0),
        b_std: float = 0.5,
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
        depth = check_integer(self.depth, "depth", 0)
        resolve(self.activation)
        hidden = (Dense(hidden_w_std(self), self.b_std), Activation(self.activation)) * depth
        return Serial(*hidden, Dense(self.readout_w_std, self.readout_b_std))
