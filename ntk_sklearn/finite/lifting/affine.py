"""torch's dense layers and convolutions."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...architecture import Conv, Dense
from .rules import Read, Site, Wire, need_positions, read
from .scales import affine_parameters


@read.register
def _(module: nn.Linear, site: Site) -> Read:
    wire = site.wire
    if wire.rank or wire.units:
        raise site.refuse(
            "a Linear acts on the last axis, but its input has spatial axes; put nn.Flatten() or "
            "global average pooling with nn.Flatten() before it"
        )
    check_channels(module.in_features, wire.features, site, "features")
    return (Dense(**affine_parameters(module, site)),), Wire(module.out_features, 0, ())


@read.register(nn.Conv1d)
@read.register(nn.Conv2d)
@read.register(nn.Conv3d)
def _(module: Any, site: Site) -> Read:
    check_channels(module.in_channels, site.wire.channels, site, "channels")
    _check_groups(module, site)
    rank = len(module.kernel_size)
    if site.wire.units == rank and set(module.kernel_size) == {1} and not any(amounts(module)):
        # one position: a dense layer on what global pooling left
        end = Wire(module.out_channels, 0, (), rank)
        return (Dense(**affine_parameters(module, site)),), end
    site = need_positions(site, rank, "a convolution")
    layer = Conv(
        one_or_all(module.kernel_size),
        strides=one_or_all(module.stride),
        dilation=one_or_all(module.dilation),
        padding=_padding(module, site),
        **affine_parameters(module, site),
    )
    return (layer,), site.behind(layer, module.out_channels)


def check_channels(wanted: int, found: int | None, site: Site, what: str) -> None:
    """Raise if the module would not run on its input."""
    if found is not None and found != wanted:
        raise site.refuse(f"it reads {wanted} {what}, but its input has {found}")


def _check_groups(module: Any, site: Site) -> None:
    if module.groups == 1:
        return
    why = (
        "a convolution with a filter per channel mixes no channels, so that its output is not "
        "Gaussian"
        if module.groups == module.in_channels
        else "a grouped convolution is not among the layers (behind weights, with a fixed number "
        "of groups, its limit is that of groups=1)"
    )
    raise site.refuse(f"{why}; the nearest alternative is groups=1")


def _padding(module: Any, site: Site) -> Any:
    if module.padding_mode not in ("zeros", "circular"):
        raise site.refuse(
            f"padding_mode={module.padding_mode!r} has no layer; take padding_mode='zeros' or "
            "'circular'"
        )
    circular = module.padding_mode == "circular"
    if module.padding == "same":  # stride 1; the odd one is at the end in torch, too
        return "circular" if circular else "same"
    if circular and any(amounts(module)):
        return _circular(module, site)
    return explicit(amounts(module))


def amounts(module: Any) -> tuple[int, ...]:
    """Explicit padding at both ends of every axis."""
    return () if isinstance(module.padding, str) else tuple(module.padding)


def one_or_all(values: Any) -> Any:
    """An int where all axes agree."""
    values = (values,) if isinstance(values, int) else tuple(values)
    return values[0] if len(set(values)) == 1 else values


def explicit(padding: Any) -> Any:
    """torch's amounts as pairs (low, high); "valid" where nothing is padded."""
    padding = (padding,) if isinstance(padding, int) else tuple(padding)
    return one_or_all([(p, p) for p in padding]) if any(padding) else "valid"


def _circular(module: Any, site: Site) -> str:
    """The layer's padding to as many positions as before, if that is torch's."""
    sizes = site.wire.sizes
    if sizes is None and set(module.stride) != {1}:
        raise site.refuse(
            "whether circular padding with strides is that of a layer depends on the sizes of the "
            "image: pass input_shape"
        )
    for axis, amount in enumerate(amounts(module)):
        reach = module.dilation[axis] * (module.kernel_size[axis] - 1) + 1
        stride, n = module.stride[axis], 0 if sizes is None else sizes[axis]
        total = max((-(-n // stride) - 1) * stride + reach - n, 0)
        if total != 2 * amount:
            raise site.refuse(
                f"circular padding by {amount} on both sides does not give ceil(n / stride) "
                f"positions; take padding='same' with stride 1 (a filter over {reach} positions "
                f"needs {total} in all)"
            )
    return "circular"
