"""torch modules with rows, and their Jacobians by a loop over outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Residual(nn.Module):
    """Convolutions with everything that they have, BatchNorm, in-place activations."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")
        self.norm, self.act = nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.grouped = nn.Conv2d(4, 4, 3, padding="same", dilation=2, groups=2)
        self.strided = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), bias=False)
        self.readout = nn.Linear(6, 3)
        nn.init.normal_(self.norm.running_mean)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.norm(self.first(x)))
        h = h + self.grouped(torch.tanh(h))
        return self.readout(self.act(self.strided(h)).mean((2, 3)))


class Tied(nn.Module):
    """A layer that is called twice, and its weight in a second layer and in a function."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(4, 4), nn.Linear(4, 4, bias=False), nn.Linear(4, 2)
        self.b.weight = self.a.weight
        self.scale = nn.Parameter(torch.tensor(1.3))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.a(torch.tanh(self.b(torch.tanh(self.a(x))))))
        return self.out(self.scale * h)


class TiedReadout(nn.Module):
    """An embedding whose weight is the readout's, as in language models."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.hidden, self.out = nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 7)
        self.out.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(torch.tanh(self.hidden(self.embed(tokens))).mean(1))


class SharedFilter(nn.Module):
    """One convolution at two resolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv1d(3, 3, 3, padding=1), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        fine = torch.tanh(self.conv(x))
        return self.out(torch.tanh(self.conv(F.avg_pool1d(fine, 2))).mean(2))


class OtherAxes(nn.Module):
    """Attention with positions in front, and linear layers on rows and positions as one axis."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.TransformerEncoderLayer(4, 2, 8)
        self.within, self.across, self.out = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.attention(self.within(x).transpose(0, 1))
        by_row = self.within(h.transpose(0, 1).reshape(-1, 4))
        by_position = self.across(h.reshape(-1, 4)).view(*h.shape[:2], 3)
        return self.out(by_row.view(*x.shape)[..., :3] * by_position.transpose(0, 1)).flatten(1)


class Functional(nn.Module):
    """Weights that are computed, and a bias that is used elsewhere, too."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.layer = nn.Parameter(torch.randn(5, 3)), nn.Linear(5, 2)
        self.register_buffer("mask", torch.tensor([1.0, 0.0, 2.0, 1.0, 0.5]))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(F.linear(x, self.w * self.mask[:, None]))
        return self.layer(h) * torch.exp(self.layer.bias)


class TwoInputs(nn.Module):
    """Two inputs, one of them an integer; one output without an axis."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.left = nn.Embedding(3, 4), nn.Linear(3, 4)
        self.norm, self.out = nn.LayerNorm(4), nn.Linear(4, 1)

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        return self.out(self.norm(self.left(x) + self.table(kind))).squeeze(1)


class Volume(nn.Module):
    """Three spatial dimensions, and GroupNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv3d(1, 4, 2), nn.GroupNorm(2, 4)
        self.out = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.norm(self.conv(x))).mean((2, 3, 4)))


def _dense() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, 4), nn.Unflatten(1, (2, 2))
    )


def _frozen() -> nn.Module:
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    module[2].requires_grad_(False)
    module[4].weight.requires_grad_(False)
    return module


def _recurrent() -> nn.Module:
    return Last(nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2))


class Last(nn.Module):
    """The last state of a recurrent layer, which torch does not vectorize."""

    def __init__(self, recurrent: nn.Module, out: nn.Module) -> None:
        super().__init__()
        self.recurrent, self.out = recurrent, out

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.recurrent(x)[0][:, -1])


MODULES: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "dense": (_dense, [(3,)]),
    "frozen": (_frozen, [(3,)]),
    "residual": (Residual, [(3, 6, 5)]),
    "volume": (Volume, [(1, 3, 3, 3)]),
    "shared filter": (SharedFilter, [(3, 6)]),
    "tied": (Tied, [(4,)]),
    "tied readout": (TiedReadout, [("tokens", 7, 3)]),
    "other axes": (OtherAxes, [(3, 4)]),
    "functional": (Functional, [(3,)]),
    "two inputs": (TwoInputs, [(3,), ("tokens", 3)]),
    "recurrent": (_recurrent, [(4, 3)]),
}


def module(name: str) -> nn.Module:
    """In float64, in evaluation mode."""
    torch.manual_seed(0)
    return MODULES[name][0]().double().eval()


def rows(name: str, n: int, seed: int = 0) -> Any:
    """Inputs of n rows."""
    generator = torch.Generator().manual_seed(seed)
    found = tuple(_input(shape, n, generator) for shape in MODULES[name][1])
    return found if len(found) > 1 else found[0]


def _input(shape: tuple[Any, ...], n: int, generator: torch.Generator) -> Tensor:
    if shape[0] == "tokens":
        return torch.randint(0, shape[1], (n, *shape[2:]), generator=generator)
    return torch.randn(n, *shape, generator=generator, dtype=torch.float64)


def explicit(built: nn.Module, x: Any) -> Tensor:
    """The Jacobian (n, k, p) in what requires a gradient, output by output."""
    outputs = built(*x if isinstance(x, tuple) else (x,))
    outputs = outputs.reshape(len(outputs), -1)
    trained = [p for p in built.parameters() if p.requires_grad]
    by_output = [
        torch.cat([g.flatten() for g in torch.autograd.grad(o, trained, retain_graph=True)])
        for o in outputs.flatten()
    ]
    return torch.stack(by_output).unflatten(0, outputs.shape)


def kernel(built: nn.Module, x: Any, z: Any) -> Tensor:
    """All products of outputs, (n, k, m, k)."""
    return torch.einsum("nkp,mlp->nkml", explicit(built, x), explicit(built, z))
