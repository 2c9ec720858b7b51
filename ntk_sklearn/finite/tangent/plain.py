"""Fused functions of torch in elementary steps, which have derivatives of all orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class ElementarySteps(TorchFunctionMode):
    """While active, normalizations and gates are computed in elementary steps.

    Forward mode inside forward mode takes the statistics of fused normalizations for constants:
    second derivatives of `layer_norm` are off by tens of per cent without an error (seen in torch
    2.13; first derivatives are right), and `glu` has none.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """What `func` computes."""
        plain = _PLAIN.get(func)
        if plain is None:
            return func(*args, **(kwargs or {}))
        return plain(*args, **(kwargs or {}))


def _layer_norm(
    input: Tensor,  # noqa: A002  names of torch's arguments
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    normal = _normalized(input, list(range(-len(normalized_shape), 0)), eps)
    return _affine(normal, weight, bias)


def _instance_norm(
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    shape = (-1, *(1,) * (input.ndim - 2))
    if use_input_stats:
        normal = _normalized(input, list(range(2, input.ndim)), eps)
    else:
        assert running_mean is not None
        assert running_var is not None
        scale = (running_var + eps).rsqrt()
        normal = (input - running_mean.reshape(shape)) * scale.reshape(shape)
    per_channel = (None if t is None else t.reshape(shape) for t in (weight, bias))
    return _affine(normal, *per_channel)


def _glu(input: Tensor, dim: int = -1) -> Tensor:  # noqa: A002
    left, right = input.chunk(2, dim)
    return left * torch.sigmoid(right)


def _normalized(x: Tensor, axes: list[int], eps: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred * (centred.square().mean(axes, keepdim=True) + eps).rsqrt()


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


_PLAIN: dict[Any, Callable[..., Tensor]] = {
    F.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    F.instance_norm: _instance_norm,
    F.glu: _glu,
}
