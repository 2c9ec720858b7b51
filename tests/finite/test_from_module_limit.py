"""Covariance and tangent kernel of freshly initialized torch modules against the lifted tree's.

Means over draws deviate by ``c / width + O(width^-2)`` relative to the limit; two widths determine
c, and what is left at infinite width must be within four standard errors of 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import from_module

WIDTHS = (24, 96)


class Residual(nn.Module):
    """A pre-activation block with a scaled branch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(F.relu(self.a(F.relu(x)))) / math.sqrt(2)


class Images(nn.Module):
    """Strided stem, a residual block, pooling by a mean."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.block = Residual(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.block(self.stem(x))).mean((2, 3)))


class Gated(nn.Module):
    """A product of a branch with a gate, beside other channels."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.value, self.gate = nn.Linear(40, width), nn.Linear(40, width)
        self.side = nn.Linear(40, width // 2)
        self.head = nn.Linear(width + width // 2, outputs)

    def forward(self, x: Tensor) -> Tensor:
        gated = self.value(x) * torch.erf(self.gate(x))
        return 3 * self.head(torch.cat([gated, torch.relu(self.side(x))], dim=1))


class Crossed(nn.Module):
    """Concatenated branches that share a signal although they begin before it."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(40, width), nn.Linear(40, width)
        self.mix, self.head = nn.Linear(width, width), nn.Linear(2 * width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        signal = F.relu(self.a(x))
        gated = F.relu(self.mix(signal * self.b(x)))
        return self.head(torch.cat([signal, gated], 1))


def dense(width: int, outputs: int) -> nn.Module:
    layers = [nn.Linear(40, width), nn.ReLU(), nn.Linear(width, width + 8), nn.GELU()]
    return nn.Sequential(*layers, nn.Linear(width + 8, outputs))


def frozen(width: int, outputs: int) -> nn.Module:
    module = dense(width, outputs)
    module[0].requires_grad_(False)
    module[2].bias.requires_grad_(False)
    return module


def learned(width: int, outputs: int) -> nn.Module:
    """Learned scales and shifts in front of weights, which they are visible beside."""
    layers = [nn.Linear(40, width), nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU()]
    module = nn.Sequential(*layers, nn.Linear(width, outputs))
    for k in (0, 2, 4):
        module[k].requires_grad_(False)
    return module


def learned_before_relu(width: int, outputs: int) -> nn.Module:
    module = learned_images(width, outputs)
    module.insert(2, nn.LeakyReLU(0.2))
    return module


def learned_images(width: int, outputs: int) -> nn.Module:
    layers = [nn.Conv1d(8, width, 2), nn.GroupNorm(1, width), nn.AvgPool1d(2)]
    layers += [nn.Conv1d(width, width, 2), nn.ReLU(), nn.Flatten(), nn.Linear(width, outputs)]
    module = nn.Sequential(*layers)
    for k in (0, 3, 6):
        module[k].requires_grad_(False)
    return module


def grouped(width: int, outputs: int) -> nn.Module:
    layers = [
        nn.Conv1d(8, width, 4, dilation=2, padding="same"),
        nn.GroupNorm(2, width, affine=False),
    ]
    layers += [nn.ReLU(), nn.AvgPool1d(2), nn.Conv1d(width, width, 3, padding=1), nn.LeakyReLU(0.3)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(3 * width, outputs))


CASES = {
    "crossed": (Crossed, (40,)),
    "dense": (dense, (40,)),
    "frozen": (frozen, (40,)),
    "gated": (Gated, (40,)),
    "grouped": (grouped, (8, 6)),
    "images": (Images, (3, 4, 4)),
    "learned": (learned, (40,)),
    "learned before relu": (learned_before_relu, (8, 5)),
    "learned images": (learned_images, (8, 5)),
}


def empirical(module: nn.Module, x: Tensor) -> Tensor:
    """(mean over the outputs of their covariance, tangent kernel of the first)."""
    trained = {k: p.detach() for k, p in module.named_parameters() if p.requires_grad}

    def outputs(parameters: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        found = torch.func.functional_call(module, parameters, (x,))
        return found[:, 0], found

    jacobians, f = torch.func.jacrev(outputs, has_aux=True)(trained)
    flat = torch.cat([j.flatten(1) for j in jacobians.values()], 1)
    return torch.stack([f @ f.mT / f.shape[1], flat @ flat.mT])


def off(make: Callable, shape: tuple[int, ...], width: int, n_draws: int) -> tuple[Tensor, Tensor]:
    """Mean deviation from the lifted tree's kernels, relative to their size, and its error."""
    torch.manual_seed(width)
    x = torch.randn(4, *shape, dtype=torch.float64)
    module = make(width, 64).double()
    tree = from_module(module, shape)
    rows, image = x.flatten(1).numpy(), None if len(shape) == 1 else shape
    kernels = [kind(tree, image_shape=image, backend="reference")(rows) for kind in (NNGP, NTK)]
    limit = torch.stack([torch.from_numpy(k) for k in kernels])
    draws = []
    for _ in range(n_draws):
        for part in module.modules():
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()
        draws.append((empirical(module, x) - limit) / limit.amax((1, 2), keepdim=True))
    found = torch.stack(draws)
    return found.mean(0), found.std(0) / n_draws**0.5


@pytest.mark.parametrize("name", CASES)
def test_the_lifted_tree_has_the_kernels_of_the_module(name: str) -> None:
    make, shape = CASES[name]
    (narrow, e1), (wide, e2) = (off(make, shape, w, n_draws=100) for w in WIDTHS)
    a, b = (w / (WIDTHS[1] - WIDTHS[0]) for w in WIDTHS)
    end, error = b * wide - a * narrow, ((a * e1) ** 2 + (b * e2) ** 2).sqrt()
    assert (end.abs() <= 4 * error).all()
    assert (error <= 0.05).all()  # enough to see a term that is missing
