"""Torch optimizers in all their variants, and modules that they have trained for some steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "sgd decay": partial(SGD, weight_decay=0.1),
    "momentum": partial(SGD, momentum=0.9),
    "momentum dampening decay": partial(SGD, momentum=0.8, dampening=0.3, weight_decay=0.1),
    "nesterov": partial(SGD, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": Adam,
    "adam decay eps": partial(Adam, betas=(0.7, 0.9), eps=1e-3, weight_decay=0.1),
    "adam without momentum": partial(Adam, betas=(0.0, 0.99)),
    "amsgrad": partial(Adam, betas=(0.9, 0.5), amsgrad=True),
    "adamw": partial(AdamW, weight_decay=0.2),
    "adamw amsgrad": partial(AdamW, amsgrad=True, weight_decay=0.2),
    "rmsprop": RMSprop,
    "rmsprop centered momentum": partial(
        RMSprop, alpha=0.9, centered=True, momentum=0.8, weight_decay=0.1
    ),
    "rmsprop centered": partial(RMSprop, centered=True, eps=1e-4),
    "adagrad": partial(Adagrad, initial_accumulator_value=0.1),
    "adagrad decay": partial(Adagrad, lr_decay=0.3, weight_decay=0.1),
}

# Those whose m is not the gradient.
WITH_MOMENTUM = [
    "momentum", "momentum dampening decay", "nesterov", "adam", "adam decay eps", "amsgrad",
    "adamw", "adamw amsgrad", "rmsprop centered momentum",
]  # fmt: skip

GENERATOR = torch.Generator().manual_seed(7)
X = torch.randn(6, 3, generator=GENERATOR, dtype=torch.float64)
Y = torch.randn(6, 2, generator=GENERATOR, dtype=torch.float64)
NEW = torch.randn(5, 3, generator=GENERATOR, dtype=torch.float64)


def network(seed: int = 0, width: int = 8) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 2)).double()


def linear_model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Linear(3, 2).double()


def groups(module: nn.Sequential, rate: float) -> list[dict[str, object]]:
    """The first layer's parameters at another rate than the others'."""
    first, last = list(module[0].parameters()), list(module[2].parameters())
    return [{"params": first, "lr": 3.0 * rate}, {"params": last}]


def step(module: nn.Module, optimizer: Optimizer, y: Tensor = Y) -> Tensor:
    """One step of squared loss; returns the residual that it saw."""
    optimizer.zero_grad()
    residual = module(X) - y
    (0.5 * residual.square().sum()).backward()
    optimizer.step()
    return residual.detach()


def trained(kind: str, n_steps: int = 4, rate: float = 0.01) -> tuple[nn.Sequential, Optimizer]:
    """A network and its optimizer after some steps, with one group."""
    module = network()
    optimizer = OPTIMIZERS[kind](module.parameters(), lr=rate)
    for _ in range(n_steps):
        step(module, optimizer)
    return module, optimizer


def at_rate(module: nn.Module, optimizer: Optimizer, rate: float) -> tuple[nn.Module, Optimizer]:
    """Copies, whose next step has another learning rate."""
    module, optimizer = copy.deepcopy((module, optimizer))
    for group in optimizer.param_groups:
        group["lr"] = rate
    return module, optimizer
