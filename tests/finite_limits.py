"""Kernels of random networks of two widths, and of infinite width."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ntk_sklearn.architecture import Layer, Positions, demanded_positions
from ntk_sklearn.finite import Networks
from ntk_sklearn.finite.empirical import gram
from ntk_sklearn.finite.signals import record
from ntk_sklearn.recursion import pair_state, propagate

WIDTHS = (32, 256)


class Sample(NamedTuple):
    """Mean over the draws of the stacked (nngp, ntk) and its standard error."""

    mean: Tensor
    error: Tensor


def sample(tree: Layer, x: Tensor, width: int, n_networks: int) -> Sample:
    found = []
    torch.manual_seed(width)  # of the masks of dropout
    for module in Networks(tree, x.shape[1:], width, n_networks, random_state=width):
        signals = record(module, x, ntk=True)
        found.append(torch.stack([gram(signals, "nngp"), gram(signals, "ntk")]))
    draws = torch.stack(found)
    return Sample(draws.mean(0), draws.std(0) / n_networks**0.5)


def limit(tree: Layer, x: Tensor) -> Tensor:
    rank = x.ndim - 2
    positions = demanded_positions(tree) if rank else Positions.NONE
    state = propagate(tree, pair_state(x, x, rank, positions, True, True))
    assert state.ntk is not None
    return torch.stack([state.nngp, state.ntk])


def extrapolated(narrow: Sample, wide: Sample) -> Sample:
    """The value at infinite width of the line in 1 / width."""
    a, b = (n / (WIDTHS[1] - WIDTHS[0]) for n in WIDTHS)
    error = ((a * narrow.error) ** 2 + (b * wide.error) ** 2).sqrt()
    return Sample(b * wide.mean - a * narrow.mean, error)


def distances(tree: Layer, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """How far random networks are from the recursion: (nngp, ntk) in errors, and in entries."""
    x = inputs(shape)
    claimed = limit(tree, x)
    found = extrapolated(*(sample(tree, x, width, n_networks=100) for width in WIDTHS))
    off = (found.mean - claimed).abs()
    return (off / found.error).amax((1, 2)), off.amax((1, 2)) / claimed.amax((1, 2))


def inputs(shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, *shape, generator=generator, dtype=torch.float64)
