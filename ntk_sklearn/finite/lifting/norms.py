"""torch's normalizations over the channels of one input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...architecture import LayerNorm
from .affine import check_channels
from .learned import learned
from .rules import Read, Site, read


@read.register
def _(module: nn.LayerNorm, site: Site) -> Read:
    axes = _axes(tuple(module.normalized_shape), site)
    return _normalized(module, axes, module.eps, site)


@read.register
def _(module: nn.RMSNorm, site: Site) -> Read:
    # without the mean, which is 0 in the limit
    dtype = torch.get_default_dtype() if module.weight is None else module.weight.dtype
    eps = torch.finfo(dtype).eps if module.eps is None else module.eps
    return _normalized(module, _axes(tuple(module.normalized_shape), site), eps, site)


@read.register
def _(module: nn.GroupNorm, site: Site) -> Read:
    check_channels(module.num_channels, site.wire.channels, site, "channels")
    if module.num_groups == module.num_channels and module.num_groups > 1:
        raise site.refuse(
            "a group per channel normalizes over finitely many positions; take fewer groups, "
            "whose channels can grow in number: nn.GroupNorm(1, channels)"
        )
    return _normalized(module, "all", module.eps, site)


def _axes(shape: tuple[int, ...], site: Site) -> str:
    """The axes of a layer that normalizes over the last axes of torch's layout."""
    rank = site.wire.rank
    if rank is None or site.wire.units:
        raise site.refuse(
            "it is not known what it normalizes; put nn.Linear or a convolution before it"
        )
    if len(shape) != rank + 1:
        raise site.refuse(
            f"it normalizes over the last {len(shape)} axes of (channels, *spatial), which has "
            f"{rank + 1}; nn.GroupNorm(1, channels) normalizes over all of them"
        )
    known = (site.wire.channels, *(site.wire.sizes or ()))
    if site.wire.sizes is not None and site.wire.channels is not None and known != shape:
        raise site.refuse(f"it normalizes over {shape}, but its input has {known}")
    return "channels" if rank == 0 else "all"


def _normalized(module: Any, axes: str, eps: float, site: Site) -> Read:
    layer = LayerNorm(axes, eps=float(eps))
    weight, shift = module.weight, getattr(module, "bias", None)
    _check_values(weight, 1.0, "weight", site)
    _check_values(shift, 0.0, "bias", site)
    trained = [p is not None and p.requires_grad for p in (weight, shift)]
    if not any(trained):
        return (layer,), site.wire
    if any(p is not None and p.ndim > 1 for p in (weight, shift)):
        raise site.refuse(
            "a learned scale and shift per position has no layer; take elementwise_affine=False, "
            "or nn.GroupNorm(1, channels), which has one per channel"
        )
    return (layer, learned(site, *trained)), site.wire


def _check_values(values: Tensor | None, start: float, name: str, site: Site) -> None:
    if values is None or values.is_meta or bool((values == start).all()):
        return
    raise site.refuse(
        f"its {name} is not {start:g} as at initialization; call reset_parameters(), or take "
        "elementwise_affine=False (affine=False)"
    )
