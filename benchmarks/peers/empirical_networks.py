"""The modules whose empirical kernels are timed, and the same as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Network:
    """ReLU convolutions (3x3, zero padding), a mean over positions, dense layers, 10 outputs."""

    title: str
    shape: tuple[int, ...]
    channels: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    outputs: int = 10

    def describe(self) -> dict[str, Any]:
        """For the other process."""
        return {"channels": self.channels, "widths": self.widths, "outputs": self.outputs}


NETWORKS = {
    "dense-256": Network("dense, 3 x 256", (784,), widths=(256,) * 3),
    "dense-1024": Network("dense, 3 x 1024", (784,), widths=(1024,) * 3),
    "conv-16": Network("conv, 3 x 16, 16x16", (3, 16, 16), channels=(16,) * 3),
    "conv-32": Network("conv, 3 x 32, 32x32", (3, 32, 32), channels=(32,) * 3),
    "conv-64": Network("conv, 3 x 64, 16x16", (3, 16, 16), channels=(64,) * 3),
}


def module(network: Network, dtype: torch.dtype) -> nn.Sequential:
    """In PyTorch, biases included."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    fan_in = network.shape[0]
    for width in network.channels:
        layers += [nn.Conv2d(fan_in, width, 3, padding=1), nn.ReLU()]
        fan_in = width
    if network.channels:
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    for width in network.widths:
        layers += [nn.Linear(fan_in, width), nn.ReLU()]
        fan_in = width
    layers.append(nn.Linear(fan_in, network.outputs))
    return nn.Sequential(*layers).to(dtype)


def rows(network: Network, n: int, dtype: torch.dtype) -> Tensor:
    """Standard normal inputs."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, *network.shape, generator=generator, dtype=torch.float64).to(dtype)


def arrays(built: nn.Sequential, x: Tensor) -> dict[str, np.ndarray]:
    """Inputs and parameters as stax has them: channels last."""
    found = {"x": x.numpy()}
    for k, parameter in enumerate(built.parameters()):
        values = parameter.detach()
        if values.ndim > 1:  # (out, in, *filter) to (*filter, in, out)
            values = values.permute(*range(2, values.ndim), 1, 0)
        found[f"p{k}"] = values.contiguous().numpy()
    return found
