"""The initial function of one random network, at any inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..architecture import Layer, Shape
from .network import to_module

# Channels of hidden layers: the covariance of the outputs is that of the infinite width on
# average over seeds, and deviates for one of them by about 1 / sqrt(width).
INITIAL_WIDTH = 1024
# Rows at a time: a hidden layer of 32 x 32 pixels takes 8 MB for each of them.
_BATCH = 64


def initial_outputs(
    network: Layer,
    input_shape: Shape | Sequence[int],
    rows: np.ndarray,
    n_outputs: int,
    random_state: int,
    width: int = INITIAL_WIDTH,
) -> np.ndarray:
    """Outputs (m, n_outputs) of an untrained network, which the integer determines.

    The same function in every call: the value at a row does not depend on the other rows.
    """
    module = to_module(network, input_shape, width, n_outputs, random_state)
    with torch.no_grad():
        parts = torch.from_numpy(np.array(rows, dtype=np.float64)).split(_BATCH)
        outputs = torch.cat([module(part) for part in parts])
    found: np.ndarray = outputs.numpy()
    return found
