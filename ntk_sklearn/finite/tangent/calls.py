"""Affine calls of a module: what reads a trained weight or bias, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Filter:
    """Windows of a convolution: numbers by axis, padding on both sides."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    groups: int

    def pad(self, x: Tensor) -> Tensor:
        """Zeros around x (..., *spatial)."""
        sides = [side for both in reversed(self.padding) for side in both]
        return F.pad(x, sides) if any(sides) else x

    def taps(self, padded: Tensor) -> tuple[Any, ...]:
        """By entry of the filter the index of what it reads."""
        axes = [
            [slice(a * apart, length - (size - 1 - a) * apart, stride) for a in range(size)]
            for length, size, stride, apart in zip(
                padded.shape[-len(self.size) :],
                self.size,
                self.stride,
                self.dilation,
                strict=True,
            )
        ]
        return tuple((..., *slices) for slices in product(*axes))


@dataclass(frozen=True)
class Layout:
    """How a call multiplies by its weight.

    Attributes
    ----------
    trailing : int
        How many axes at the end are channels; 0 if channels are the axis behind the first.
    filter : Filter or None
        Of a convolution.
    scales : bool
        Whether every channel has one weight, as in normalization.
    """

    trailing: int
    filter: Filter | None = None
    scales: bool = False

    def groups(self, channels: int) -> int:
        """Groups of channels that do not see each other's inputs."""
        if self.scales:
            return channels
        return self.filter.groups if self.filter else 1


@dataclass(frozen=True)
class Call:
    """A call that multiplies by a trained weight, or adds a trained bias, at every position.

    Attributes
    ----------
    weight, bias : str or None
        Names of what is trained.
    layout : Layout
    x, z : Tensor
        What the weight multiplies, and what the call returns: there derivatives are taken.
    """

    weight: str | None
    bias: str | None
    layout: Layout
    x: Tensor
    z: Tensor

    @property
    def kind(self) -> tuple[Any, ...]:
        """What does not depend on the rows."""
        return self.weight, self.bias, self.layout


class Recorder(TorchFunctionMode):
    """Watches every call of torch for the trained parameters among its arguments.

    Parameters
    ----------
    values : mapping
        The parameters that the module is called with, by name.

    Attributes
    ----------
    calls : list of Call
        In order. What they return starts a graph if there is none yet, and is copied: in-place
        operations change the copy.
    others : dict
        By parameters that other functions read, the name of such a function.
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._names = {id(value): name for name, value in values.items()}
        self.calls: list[Call] = []
        self.others: dict[str, str] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call, and note what it was."""
        kwargs = kwargs or {}
        used = [self._names[id(t)] for t in tensors((args, kwargs)) if id(t) in self._names]
        out = func(*args, **kwargs)
        if not used or not any(True for _ in tensors(out)):
            return out
        affine = _affine(func, args, kwargs)
        if affine is not None and self._note(affine, out, used):
            return out.clone()
        self.others |= dict.fromkeys(used, getattr(func, "__name__", str(func)))
        return out

    def _note(self, affine: _Affine, z: Tensor, used: list[str]) -> bool:
        weight, bias = (self._names.get(id(t)) for t in (affine.weight, affine.bias))
        if sorted(used) != sorted(name for name in (weight, bias) if name is not None):
            return False
        if not z.requires_grad:
            z.requires_grad_()
        self.calls.append(Call(weight, bias, affine.layout, affine.x.detach(), z))
        return True


@dataclass(frozen=True)
class _Affine:
    x: Tensor
    weight: Tensor | None
    bias: Tensor | None
    layout: Layout


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> _Affine | None:
    return _Affine(x, weight, bias, Layout(1)) if weight.ndim == 2 else None


def _layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> _Affine:
    scaled = F.layer_norm(x.detach(), normalized_shape, eps=eps)
    return _Affine(scaled, weight, bias, Layout(len(normalized_shape), scales=True))


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> _Affine | None:
    if training or x.ndim < 2:
        return None
    scaled = F.batch_norm(x.detach(), running_mean, running_var, eps=eps)
    return _Affine(scaled, weight, bias, Layout(0, scales=True))


def _group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> _Affine:
    scaled = F.group_norm(x.detach(), num_groups, eps=eps)
    return _Affine(scaled, weight, bias, Layout(0, scales=True))


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> _Affine | None:
    axes = weight.ndim - 2
    if x.ndim != weight.ndim:
        return None
    size, steps, apart = tuple(weight.shape[2:]), _each(stride, axes), _each(dilation, axes)
    around = _padding(padding, size, apart)
    layout = Layout(0, Filter(size, steps, apart, around, groups))
    return _Affine(x, weight, bias, layout)


def _affine(func: Any, args: Any, kwargs: Mapping[str, Any]) -> _Affine | None:
    if func not in _AFFINE:
        return None
    named = {"x" if name == "input" else name: value for name, value in kwargs.items()}
    return _AFFINE[func](*args, **named)


def _each(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    several = (value,) if isinstance(value, int) else tuple(value)
    return several * axes if len(several) == 1 else several


def _padding(
    value: Any, size: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    if value == "valid":
        return ((0, 0),) * len(size)
    if value == "same":  # the odd one comes behind
        both = [(n - 1) * d for n, d in zip(size, dilation, strict=True)]
        return tuple((n // 2, n - n // 2) for n in both)
    return tuple((n, n) for n in _each(value, len(size)))


_AFFINE: dict[Any, Callable[..., _Affine | None]] = {
    F.linear: _linear,
    F.layer_norm: _layer_norm,
    F.batch_norm: _batch_norm,
    F.group_norm: _group_norm,
    torch.conv1d: _conv,
    torch.conv2d: _conv,
    torch.conv3d: _conv,
}


def tensors(nested: Any) -> Iterator[Tensor]:
    """Tensors in nested tuples, lists and mappings."""
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, (tuple, list)):
        for part in nested:
            yield from tensors(part)
    elif isinstance(nested, Mapping):
        yield from tensors(tuple(nested.values()))
