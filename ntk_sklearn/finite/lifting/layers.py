"""torch's modules without weights: pooling, flattening, dropout."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...architecture import (
    AvgPool,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Shape,
    infer_shape,
    windows,
)
from ..affine import Affine
from ..modules import FiniteNetwork, Part
from .affine import check_channels, explicit, one_or_all
from .rules import Read, Site, Wire, need_positions, read
from .scales import find, parameter


@read.register
def _(module: nn.Identity, site: Site) -> Read:
    return (), site.wire


@read.register
def _(module: nn.Dropout, site: Site) -> Read:
    if not module.training or module.p == 0:
        return (), site.wire
    if module.p == 1:
        raise site.refuse("dropout with p=1 leaves nothing; take p < 1")
    return (Dropout(float(module.p)),), site.wire


@read.register
def _(module: nn.Flatten, site: Site) -> Read:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise site.refuse(
            "only Flatten(1, -1) is a layer, which puts all axes of an input side by side"
        )
    wire = site.wire
    flat = Wire(wire.features, 0, None if wire.features is None else ())
    return (() if wire.rank == 0 else (Flatten(),)), flat


@read.register(nn.AvgPool1d)
@read.register(nn.AvgPool2d)
@read.register(nn.AvgPool3d)
def _(module: Any, site: Site) -> Read:
    site = need_positions(site, _rank(module), "average pooling")
    padding = explicit(module.padding)
    if getattr(module, "divisor_override", None) is not None:
        raise site.refuse(
            "divisor_override has no layer; leave it out (the next layer's w_std takes it)"
        )
    inside = padding != "valid" and not module.count_include_pad
    window, strides = one_or_all(module.kernel_size), one_or_all(module.stride)
    layer = AvgPool(window, strides, padding, normalize_edges=inside)
    end = site.behind(layer, site.wire.channels)
    if module.ceil_mode:
        _check_ceil(layer, site)
    return (layer,), end


def _check_ceil(layer: AvgPool, site: Site) -> None:
    if site.wire.sizes is None:
        raise site.refuse(
            "what ceil_mode=True does depends on the sizes of the image: pass input_shape"
        )
    for n, w in zip(site.wire.sizes, windows(layer, site.wire.sizes), strict=True):
        if (n + w.low + w.high - w.size) % w.stride:
            raise site.refuse("ceil_mode=True adds windows that reach beyond the image; take False")


@read.register(nn.AdaptiveAvgPool1d)
@read.register(nn.AdaptiveAvgPool2d)
@read.register(nn.AdaptiveAvgPool3d)
def _(module: Any, site: Site) -> Read:
    rank = _rank(module)
    size = module.output_size
    wanted: Any = (size,) * rank if isinstance(size, int) or size is None else tuple(size)
    if site.wire.units == rank and set(wanted) <= {1, None}:
        return (), site.wire
    site = need_positions(site, rank, "average pooling")
    sizes = site.wire.sizes
    if set(wanted) == {1}:
        return (GlobalAvgPool(),), Wire(site.wire.channels, 0, (), rank)
    if sizes is None:
        raise site.refuse(f"windows of pooling to {size} depend on the image: pass input_shape")
    wanted = [n if w is None else int(w) for w, n in zip(wanted, sizes, strict=True)]
    if any(n % w for w, n in zip(wanted, sizes, strict=True)):
        raise site.refuse(
            f"pooling {sizes} positions to {tuple(wanted)} takes windows of different sizes; take "
            "sizes that divide those of the image"
        )
    window = one_or_all([n // w for w, n in zip(wanted, sizes, strict=True)])
    layer = AvgPool(window)
    return (() if window == 1 else (layer,)), site.behind(layer, site.wire.channels)


def _rank(module: nn.Module) -> int:
    """Spatial axes, from the name of a type or of one that it is derived from."""
    return next(int(c.__name__[-2]) for c in type(module).__mro__ if c.__name__.endswith("d"))


@read.register
def _(module: FiniteNetwork, site: Site) -> Read:
    for part in module.modules():
        if isinstance(part, Affine):
            _check_trained(part, site)
    _check_unscaled(module, site)
    channels, *sizes = module.in_shape
    check_channels(channels, site.wire.channels, site, "channels")
    if site.wire.sizes not in (None, tuple(sizes)):
        raise site.refuse(
            f"it reads inputs with the spatial axes {tuple(sizes)}, but gets {site.wire.sizes}"
        )
    spatial = infer_shape(module.network, Shape(channels, tuple(sizes))).spatial
    return (module.network,), Wire(module.kept, len(spatial), spatial)


def _check_trained(part: Affine, site: Site) -> None:
    bias = part.bias is not None and part.bias.requires_grad
    expected = part.weight_ntk > 0, part.bias is not None and part.bias_ntk > 0
    if (part.weight.requires_grad, bias) != expected:
        raise site.refuse(
            "requires_grad of its parameters has been changed since it was made from a tree; "
            "freeze layers by lr_multiplier and bias_ntk in the tree instead"
        )


def _check_unscaled(module: FiniteNetwork, site: Site) -> None:
    how = site.reading.scales
    names = [parameter(site, name) for name, _ in module.named_parameters()]
    if how == "measured" or (
        not isinstance(how, str) and any(find(how, name) is not None for name in names)
    ):
        raise site.refuse(
            "its scales are those of the tree that it was made from; change w_std and b_std there, "
            "and pass scales={...} with names of the other modules' parameters alone"
        )


@read.register
def _(module: Part, site: Site) -> Read:
    raise site.refuse("it is a part of a FiniteNetwork, which is read as a whole only")
