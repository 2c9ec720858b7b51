"""Small torch modules, and their linearizations computed in parameter space by torch.func alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, jacrev


def dense(n_outputs: int = 1, n_features: int = 3, width: int = 6, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(n_features, width), nn.Tanh(), nn.Linear(width, n_outputs)
    ).double()


def convolutional(n_outputs: int = 2, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(12, n_outputs)
    ).double()


def outputs(module: nn.Module, rows: np.ndarray) -> np.ndarray:
    """f_0 (n, k)."""
    with torch.no_grad():
        return module(torch.from_numpy(rows)).numpy()


def jacobian(module: nn.Module, rows: np.ndarray) -> np.ndarray:
    """J (n, k, n_parameters)."""
    x = torch.from_numpy(rows)
    values = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    found = jacrev(lambda v: functional_call(module, v, (x,)))(values)
    return torch.cat([found[name].flatten(2) for name in values], dim=2).numpy()


def blocks(module: nn.Module, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The tangent kernel (n, k, m, k)."""
    return np.einsum("nap,mbp->namb", jacobian(module, rows), jacobian(module, columns))
