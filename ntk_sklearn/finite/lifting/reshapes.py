"""Calls that take away or merge the axes of a signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from ...architecture import GlobalAvgPool, GlobalSumPool, Layer
from .rules import Read, Site, Wire, read_checked


class Sizes:
    """The sizes of a signal, as a forward asks for them: of the batch, or None if not known."""

    BATCH = "batch"

    def __init__(self, wire: Wire) -> None:
        self.known = (self.BATCH, wire.channels, *(wire.sizes or ()), *(1,) * wire.units)

    def __getitem__(self, axis: Any) -> Any:
        """One of them."""
        return self.known[axis] if isinstance(axis, int) and 0 <= axis < len(self.known) else None


def _pooled(layer: Layer) -> Callable[[Site, tuple[Any, ...], dict[str, Any]], Read]:
    """A mean or sum over all spatial axes."""

    def pooled(site: Site, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Read:
        given = dict(zip(("dim", "keepdim"), args, strict=False)) | kwargs
        axes, wire = given.get("dim"), site.wire
        axes = (axes,) if isinstance(axes, int) else tuple(axes or ())
        if wire.rank is None and axes and not {0, 1} & set(axes):
            raise site.refuse(f"whether {axes} are all spatial axes is not known: pass input_shape")
        rank = wire.rank or 0
        found = sorted(a % (rank + 2) for a in axes if -rank - 2 <= a < rank + 2)
        if not rank or wire.units or found != list(range(2, rank + 2)):
            raise site.refuse(
                f"a mean or sum over the axes {axes} is no layer; over all spatial axes it is "
                "global pooling"
            )
        return (layer,), Wire(wire.channels, 0, (), rank if given.get("keepdim") else 0)

    return pooled


def _squeezed(site: Site, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Read:
    wire, axes = site.wire, kwargs.get("dim", args[0] if args else None)
    axes = (axes,) if isinstance(axes, int) else axes
    if axes is None:
        return (), replace(wire, units=0)
    found = {a % (2 + wire.units) for a in axes if -2 - wire.units <= a < 2 + wire.units}
    if len(found) != len(axes) or found & {0, 1}:
        raise site.refuse(f"the axes {axes} are not those that global pooling leaves behind")
    return (), replace(wire, units=wire.units - len(found))


def _reshaped(site: Site, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Read:
    """Everything side by side: view(n, -1)."""
    sizes = args[0] if len(args) == 1 and isinstance(args[0], tuple) else args
    features = site.wire.features
    if len(sizes) != 2 or sizes[0] not in (Sizes.BATCH, -1):
        raise site.refuse(
            "a signal is only flattened, by x.flatten(1) or x.view(len(x), -1); rows of X become "
            "images by image_shape=(channels, *spatial)"
        )
    if sizes != (Sizes.BATCH, -1) and (features is None or sizes[1] != features):
        raise site.refuse(
            f"whether {sizes[1]} numbers are one input is not known: pass input_shape, or write "
            "x.flatten(1)"
            if features is None
            else f"one input has {features} numbers, not {sizes[1]}: rows would be mixed"
        )
    return read_checked(nn.Flatten(), site)


RESHAPES = {
    "mean": _pooled(GlobalAvgPool()),
    "sum": _pooled(GlobalSumPool()),
    "squeeze": _squeezed,
    "view": _reshaped,
    "reshape": _reshaped,
}
