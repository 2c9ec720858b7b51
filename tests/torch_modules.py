"""torch modules as users write them, for tests of lifting: one case each way of writing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 6


class Case(NamedTuple):
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]  # of one input


class Calls(nn.Module):
    """Modules by name, and a forward that is given as a function of the module and its input."""

    def __init__(self, forward: Callable, **parts: nn.Module) -> None:
        super().__init__()
        self.calls = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.calls(self, x)


class Block(nn.Module):
    """A residual block with an activation between its weights."""

    def __init__(self, width: int = WIDTH, scale: float = 1.0) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(width, width), nn.Linear(width, width)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.b(torch.erf(self.a(torch.erf(x))))


def linear(into: int = WIDTH, out: int = WIDTH, bias: bool = True) -> nn.Linear:
    return nn.Linear(into, out, bias)


def conv(into: int = WIDTH, out: int = WIDTH, filter: int = 3, **kwargs) -> nn.Conv2d:
    return nn.Conv2d(into, out, filter, **kwargs)


def head(positions: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(WIDTH * positions, 2))


def chain(*modules: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*modules)


def _gated(net: nn.Module, x: Tensor) -> Tensor:
    return net.head(net.a(x) * net.b(x).relu())


def _strided(net: nn.Module, x: Tensor) -> Tensor:
    y = F.relu(net.stem(x))
    y = net.main(y) + net.skip(y)
    return net.head(F.relu(y).mean(dim=[-2, -1]))


def _side_by_side(net: nn.Module, x: Tensor) -> Tensor:
    return net.head(torch.cat([F.relu(net.a(x)), torch.cos(net.b(x)).clone()], dim=-3).flatten(1))


def _nested(net: nn.Module, x: Tensor) -> Tensor:
    x = net.a(x)
    y = net.b(F.relu(x))
    return net.head(torch.sin(x + y + net.c(F.relu(y))))


def _by_sizes(net: nn.Module, x: Tensor) -> Tensor:
    x = F.avg_pool2d(F.gelu(net.conv(x)), 2)
    return net.head(x.view(x.size(0), -1))


def _by_shape(net: nn.Module, x: Tensor) -> Tensor:
    x = F.avg_pool2d(net.conv(x).abs(), kernel_size=2, stride=1)
    return net.head(x.reshape(x.shape[0], -1))


def _by_number(net: nn.Module, x: Tensor) -> Tensor:
    return net.head(torch.flatten(net.conv(x) ** 2, 1).view(-1, WIDTH * 12))


def _squeezed(net: nn.Module, x: Tensor) -> Tensor:
    x = F.adaptive_avg_pool2d(F.leaky_relu(net.conv(x), 0.2), 1)
    return net.head(net.mix(x).squeeze(-1).squeeze(-1).relu_())


def _summed(net: nn.Module, x: Tensor) -> Tensor:
    return net.head(net.conv(x).relu().sum((2, 3)))


def _factors(net: nn.Module, x: Tensor) -> Tensor:
    x = (net.a(x) + net.b(x)) / math.sqrt(2)
    return 0.7 * net.head(torch.cat([x.relu(), F.relu(net.c(x)) * 2], 1)) * 3


def _added(net: nn.Module, x: Tensor) -> Tensor:
    x = net.a(x)
    return net.head(torch.erf(torch.add(x, net.b(x.clone().relu_()))))


CASES = {
    "linear": Case(lambda: linear(5, 2), (5,)),
    "nested": Case(
        chain(nn.Sequential(linear(5), nn.ReLU()), nn.Identity(),
              nn.Sequential(linear(), nn.GELU()),
              linear(WIDTH, 2, bias=False)),
        (5,),
    ),
    "leaky": Case(chain(linear(5), nn.LeakyReLU(0.3, inplace=True), linear(WIDTH, 2)), (5,)),
    "evaluated": Case(
        lambda: nn.Sequential(linear(5), nn.ReLU(), nn.Dropout(0.4), head()).eval(), (5,)
    ),
    "valid": Case(
        chain(conv(3, stride=2), nn.ReLU(), nn.Flatten(1), nn.Linear(WIDTH * 6, 2)), (3, 5, 8)
    ),
    "padded": Case(chain(conv(3, padding=1, stride=2), nn.ReLU(), head(12)), (3, 6, 8)),
    "per axis": Case(
        chain(nn.Conv2d(3, WIDTH, (3, 2), (1, 2), (2, 1), dilation=(2, 1)), nn.ReLU(), head(25)),
        (3, 5, 8),
    ),
    "dilated": Case(chain(conv(3, dilation=2, padding="same"), nn.ReLU(), head(40)), (3, 5, 8)),
    "even": Case(chain(conv(3, filter=4, padding="same"), nn.ReLU(), head(40)), (3, 5, 8)),
    "circular": Case(
        chain(conv(3, padding=1, padding_mode="circular"), nn.ReLU(),
              conv(filter=2, padding="same", padding_mode="circular"), nn.ReLU(), head(40)),
        (3, 5, 8),
    ),
    "circular strides": Case(
        chain(conv(3, padding=1, stride=2, padding_mode="circular"), nn.ReLU(), head(6)), (3, 3, 5)
    ),
    "one axis": Case(
        chain(nn.Conv1d(2, WIDTH, 3, 2, 2), nn.ReLU(), nn.AvgPool1d(2, 1), head(5)), (2, 9)
    ),
    "three axes": Case(
        chain(nn.Conv3d(2, WIDTH, 2), nn.ReLU(), nn.AdaptiveAvgPool3d(1), head()), (2, 3, 4, 3)
    ),
    "pools": Case(
        chain(conv(3), nn.ReLU(), nn.AvgPool2d(3, 2, 1), conv(filter=2), nn.ReLU(),
              nn.AdaptiveAvgPool2d((1, None)), head(3)),
        (3, 6, 9),
    ),
    "ceil": Case(
        chain(conv(3), nn.ReLU(), nn.AvgPool2d((2, 3), ceil_mode=True), head(4)), (3, 6, 8)
    ),
    "residual": Case(chain(linear(5), Block(), Block(scale=0.5), nn.ReLU(), head()), (5,)),
    "gated": Case(lambda: Calls(_gated, a=linear(5), b=linear(5), head=linear(WIDTH, 2)), (5,)),
    "strided": Case(
        lambda: Calls(
            _strided, stem=conv(3, padding=1), main=nn.Sequential(
                conv(stride=2, padding=1), nn.ReLU(), conv(padding=1)),
            skip=conv(filter=1, stride=2), head=linear(WIDTH, 2)),
        (3, 4, 5),
    ),
    "side by side": Case(
        lambda: Calls(_side_by_side, a=conv(3, 2, padding=1), b=conv(3, 4, padding=1),
                      head=nn.Linear(6 * 12, 2)),
        (3, 3, 4),
    ),
    "nested sums": Case(
        lambda: Calls(_nested, a=linear(5), b=linear(), c=linear(), head=linear(WIDTH, 2)), (5,)
    ),
    "by sizes": Case(lambda: Calls(_by_sizes, conv=conv(3), head=nn.Linear(12, 2)), (3, 4, 6)),
    "by shape": Case(lambda: Calls(_by_shape, conv=conv(3), head=nn.Linear(18, 2)), (3, 4, 6)),
    "by number": Case(lambda: Calls(_by_number, conv=conv(3), head=nn.Linear(72, 2)), (3, 5, 6)),
    "squeezed": Case(
        lambda: Calls(_squeezed, conv=conv(3), mix=conv(filter=1), head=linear(WIDTH, 2)), (3, 4, 4)
    ),
    "summed": Case(lambda: Calls(_summed, conv=conv(3), head=linear(WIDTH, 2)), (3, 4, 4)),
    "factors": Case(
        lambda: Calls(_factors, a=linear(5), b=linear(5), c=linear(), head=nn.Linear(12, 2)), (5,)
    ),
    "added": Case(lambda: Calls(_added, a=linear(5), b=linear(), head=linear(WIDTH, 2)), (5,)),
    "normalized": Case(
        chain(linear(5), nn.LayerNorm(WIDTH, elementwise_affine=False), nn.ReLU(),
              linear(WIDTH, 2)),
        (5,),
    ),
    "normalized images": Case(
        chain(conv(3), nn.GroupNorm(1, WIDTH, affine=False), nn.ReLU(), conv(),
              nn.LayerNorm((WIDTH, 2, 3), elementwise_affine=False), nn.ReLU(), head(6)),
        (3, 6, 7),
    ),
}  # fmt: skip
