"""Plain torch modules written from trees of layers: the other direction of lifting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    Serial,
    Shape,
    Sum,
    SumPool,
    infer_shape,
)
from ntk_sklearn.duals import GELU, Abs, Cos, Erf, LeakyReLU, ReLU, Sin, resolve
from ntk_sklearn.finite.widths import lets_through

CHANNELS = 7  # of every affine layer that does not end a branch of a concatenation


class Lambda(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Joined(nn.Module):
    def __init__(self, branches: list[nn.Module], add: bool) -> None:
        super().__init__()
        self.branches, self.add = nn.ModuleList(branches), add

    def forward(self, x: Tensor) -> Tensor:
        found = [branch(x) for branch in self.branches]
        return reduce(torch.add, found) if self.add else torch.cat(found, 1)


ACTIVATIONS = {
    ReLU(): nn.ReLU,
    LeakyReLU(0.2): lambda: nn.LeakyReLU(0.2),
    Abs(): lambda: Lambda(torch.abs),
    Erf(): lambda: Lambda(torch.special.erf),
    GELU(): nn.GELU,
    Sin(): lambda: Lambda(lambda x: x.sin()),
    Cos(): lambda: Lambda(torch.cos),
}


class Written(NamedTuple):
    """A module, the tree that it is, which torch may not allow to be the one asked for."""

    module: nn.Module
    tree: Layer
    shape: Shape  # behind it


class Writer:
    """Writes trees, and keeps the scales that parameters stand for."""

    def __init__(self) -> None:
        self.scales: dict[Tensor, float] = {}

    def write(self, layer: Layer, shape: Shape, out: int = CHANNELS) -> Written:
        if isinstance(layer, Serial):
            return self._series(layer, shape, out)
        if isinstance(layer, (Sum, Concat)):
            return self._joined(layer, shape, out)
        if isinstance(layer, (Dense, Conv)):
            return self._affine(layer, shape, out)
        module, tree = _plain(layer, len(shape.spatial))
        return Written(module, tree, infer_shape(tree, shape))

    def _series(self, layer: Serial, shape: Shape, out: int) -> Written:
        modules, trees = [], []
        for k, child in enumerate(layer.layers):
            last = all(map(lets_through, layer.layers[k + 1 :]))
            module, tree, shape = self.write(child, shape, out if last else CHANNELS)
            modules.append(module)
            trees.append(tree)
        return Written(nn.Sequential(*modules), Serial(*trees), shape)

    def _joined(self, layer: Sum | Concat, shape: Shape, out: int) -> Written:
        add = isinstance(layer, Sum)
        through = [lets_through(branch) for branch in layer.branches]
        outs = [out if add else k + 2 for k in range(len(through))]
        if any(through):
            outs = [shape.channels if add or t else o for t, o in zip(through, outs, strict=True)]
        found = [self.write(b, shape, o) for b, o in zip(layer.branches, outs, strict=True)]
        trees, ends = [w.tree for w in found], [w.shape for w in found]
        tree = Sum(*trees) if add else Concat(*trees, shares=[e.channels for e in ends])
        if len(trees) == 1:  # nothing is joined
            tree = trees[0]
        channels = ends[0].channels if add else sum(e.channels for e in ends)
        end = Shape(channels, infer_shape(tree, shape).spatial)
        return Written(Joined([w.module for w in found], add), tree, end)

    def _affine(self, layer: Dense | Conv, shape: Shape, out: int) -> Written:
        trained = layer.lr_multiplier > 0, (layer.bias_ntk or layer.lr_multiplier) > 0
        bias = layer.b_std > 0
        if isinstance(layer, Dense):
            module, tree = nn.Linear(shape.channels, out, bias), layer
        else:
            module, tree = _conv(layer, shape, out, bias)
        self.scales[module.weight] = layer.w_std
        module.weight.requires_grad_(trained[0])
        if bias:
            self.scales[module.bias] = layer.b_std
            module.bias.requires_grad_(trained[1])
        differ = bias and trained[0] != trained[1]
        own = float(trained[1]) * layer.b_std**2 if differ else None
        tree = replace(tree, lr_multiplier=float(trained[0]), bias_ntk=own)
        return Written(module, tree, Shape(out, infer_shape(tree, shape).spatial))


def _conv(layer: Conv, shape: Shape, out: int, bias: bool) -> tuple[nn.Module, Conv]:
    """Strides and unequal amounts have explicit padding in torch, the same on both sides."""
    mode, padding, tree = "zeros", layer.padding, layer
    if not isinstance(padding, str) or (layer.strides != 1 and padding != "valid"):
        padding = 1
        tree = replace(layer, padding=(1, 1))
    elif padding == "circular" and layer.filter == 1:  # nothing to wrap
        padding, tree = 0, replace(layer, padding="valid")
    elif padding == "circular":
        mode = "circular"
        odd = layer.dilation * (layer.filter - 1) % 2
        padding = "same" if odd else layer.dilation * (layer.filter - 1) // 2
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(shape.spatial) - 1]
    sizes = (layer.filter, layer.strides, padding, layer.dilation)
    return kind(shape.channels, out, *sizes, bias=bias, padding_mode=mode), tree


def _plain(layer: Layer, rank: int) -> tuple[nn.Module, Layer]:
    if isinstance(layer, Activation):
        dual = resolve(layer.function)
        return (ACTIVATIONS[dual](), layer) if dual in ACTIVATIONS else (nn.ReLU(), Activation())
    if isinstance(layer, (AvgPool, SumPool)):
        amount = 0 if layer.padding == "valid" or layer.window == 1 else 1
        kind = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[rank - 1]
        padding = (amount, amount) if amount else "valid"
        return kind(layer.window, layer.strides, amount), AvgPool(
            layer.window, layer.strides, padding
        )
    if isinstance(layer, Flatten):
        return nn.Flatten(), layer
    if isinstance(layer, Identity):
        return nn.Identity(), layer
    axes = tuple(range(2, 2 + rank))
    if isinstance(layer, GlobalAvgPool):
        return Lambda(lambda x: x.mean(axes)), layer
    return Lambda(lambda x: torch.sum(x, dim=axes)), layer


def as_torch(tree: Layer, shape: Shape) -> tuple[nn.Module, dict[str, float], Layer]:
    """A module, the scales of its parameters by name, and the tree that it is."""
    writer = Writer()
    module, written, _ = writer.write(tree, shape)
    return module, {n: writer.scales[p] for n, p in module.named_parameters()}, written


def normal_form(tree: Layer) -> Layer:
    """Series and sums without nesting, no identity within series, activations as objects."""
    if isinstance(tree, Serial):
        layers = [normal_form(child) for child in tree.layers]
        flat = [a for b in layers for a in (b.layers if isinstance(b, Serial) else (b,))]
        kept = [layer for layer in flat if not isinstance(layer, Identity)]
        return Serial(*kept) if len(kept) > 1 else (kept or [Identity()])[0]
    if isinstance(tree, Sum):
        branches = [normal_form(branch) for branch in tree.branches]
        return Sum(*(a for b in branches for a in (b.branches if isinstance(b, Sum) else (b,))))
    if isinstance(tree, Concat):
        return Concat(*map(normal_form, tree.branches), shares=tree.shares)
    return Activation(resolve(tree.function)) if isinstance(tree, Activation) else tree
