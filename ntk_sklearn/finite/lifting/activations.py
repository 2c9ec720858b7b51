"""torch's activations."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from math import isfinite
from typing import Any

from torch import nn

from ...architecture import Activation, Layer
from ...duals import LeakyReLU, available, resolve
from .rules import Read, Site, read

# Activations that are registered by their name in lower case, with torch's parameters: the field
# of the dual activation, and the value that the name stands for.
_NAMED: dict[type, dict[str, tuple[str, float]]] = {
    nn.ELU: {"alpha": ("alpha", 1.0)},
    nn.Hardsigmoid: {},
    nn.Hardswish: {},
    nn.Hardtanh: {"min_val": ("low", -1.0), "max_val": ("high", 1.0)},
    nn.LogSigmoid: {},
    nn.Mish: {},
    nn.ReLU: {},
    nn.ReLU6: {},
    nn.SELU: {},
    nn.Sigmoid: {},
    nn.SiLU: {},
    nn.Softplus: {"beta": ("beta", 1.0)},
    nn.Softsign: {},
    nn.Tanh: {},
    nn.Tanhshrink: {},
}

_BY_HAND = (
    "write the tree with Activation(Elementwise(function)), as docs/activations.md tells for any "
    "function"
)
# Softplus is computed as x where beta x is beyond it: 2e-9 / beta off.
_FAR = 20.0


def activation(name: str, site: Site, values: dict[str, float] | None = None) -> Layer:
    """The activation of a registered name, with some of its fields set."""
    if name not in available():
        raise site.refuse(
            f"the activation {name} has no rule here; there are {', '.join(available())}, and "
            "docs/activations.md tells how to register any function under this name"
        )
    if not values:
        return Activation(name)
    dual: Any = resolve(name)
    known = {f.name for f in fields(dual)} if is_dataclass(dual) else set()
    if not set(values) <= known:
        raise site.refuse(
            f"the activation {name} has a rule for torch's default parameters alone; {_BY_HAND}"
        )
    return Activation(replace(dual, **values))


def _named(module: Any, site: Site) -> Read:
    kind = next(kind for kind in type(module).__mro__ if kind in _NAMED)
    found = {field: (float(getattr(module, name)), default)
             for name, (field, default) in _NAMED[kind].items()}  # fmt: skip
    endless = [name for name in _NAMED[kind] if not isfinite(getattr(module, name))]
    if endless:
        raise site.refuse(
            f"its {' and '.join(endless)} must be finite; for Hardtanh(0, inf) take nn.ReLU()"
        )
    own = {field: value for field, (value, default) in found.items() if value != default}
    return (activation(kind.__name__.lower(), site, own),), site.wire


for _kind in _NAMED:
    read.register(_kind)(_named)


@read.register
def _(module: nn.Softplus, site: Site) -> Read:
    if not module.threshold >= _FAR:
        raise site.refuse(
            f"threshold={module.threshold:g} makes Softplus jump to x within its bend; leave it at "
            f"torch's default, {_FAR:g}"
        )
    return _named(module, site)


@read.register
def _(module: nn.LeakyReLU, site: Site) -> Read:
    return (Activation(LeakyReLU(float(module.negative_slope))),), site.wire


@read.register
def _(module: nn.GELU, site: Site) -> Read:
    if module.approximate != "none":
        raise site.refuse(
            "GELU(approximate='tanh') has no registered name; take the exact one, nn.GELU(), or "
            f"{_BY_HAND}"
        )
    return (activation("gelu", site),), site.wire
