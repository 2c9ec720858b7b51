"""Initial scales of torch's affine layers, and what the parametrization makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from math import inf, prod, sqrt
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from .rules import Site
from .tracing import ROOT

_KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
# Standard errors that a draw may be off: exceeded in 2 of 10^9 draws.
_ERRORS = 6.0
# The probability of that, for all draws to stay below what they do.
_UNLIKELY = 1e-9
# Rounding of half precision.
_ROUNDING = 1e-2


def affine_parameters(module: Any, site: Site) -> dict[str, Any]:
    """w_std, b_std, lr_multiplier and bias_ntk of a dense layer or a convolution.

    Raises
    ------
    ValueError
        If the scales are not to be had in the way asked for.
    """
    weight, bias = module.weight, module.bias
    fan_in = prod(weight.shape[1:])
    w_std = _scale(module, "weight", fan_in, site)
    b_std = 0.0 if bias is None else _scale(module, "bias", fan_in, site)
    trained = bias is not None and bias.requires_grad
    if site.reading.parametrization == "ntk":
        rates = _own_rates(weight.requires_grad, trained, b_std)
    else:
        rates = _standard_rates(weight.requires_grad, trained, w_std, b_std, fan_in, site)
    return {"w_std": w_std, "b_std": b_std, **rates}


def _own_rates(weight: bool, bias: bool, b_std: float) -> dict[str, Any]:
    if weight == bias or b_std == 0:
        return {"lr_multiplier": float(weight)}
    return {"lr_multiplier": float(weight), "bias_ntk": b_std**2 if bias else 0.0}


def _standard_rates(
    weight: bool, bias: bool, w_std: float, b_std: float, fan_in: int, site: Site
) -> dict[str, Any]:
    """Lee et al. 2019, eq. S37: weights count fan_in / w_std^2 times, biases 1 / b_std^2 times."""
    if weight and w_std == 0:
        raise site.refuse(
            "weights that start at zero and are trained are no layer of a tree in the standard "
            "parametrization; start them at a small scale, freeze them, or take "
            'parametrization="ntk"'
        )
    rates: dict[str, Any] = {"lr_multiplier": fan_in / w_std**2 if weight else 0.0}
    if bias or (weight and b_std > 0):
        rates["bias_ntk"] = float(bias)
    return rates


def _scale(module: nn.Module, name: str, fan_in: int, site: Site) -> float:
    """The standard deviation of weights times sqrt(fan_in), or that of biases."""
    values: Tensor = getattr(module, name)
    unit = sqrt(fan_in) if name == "weight" else 1.0
    how = site.reading.scales
    given = None if isinstance(how, str) else find(how, parameter(site, name))
    if given is not None:
        return given
    where = f"{site.path}: the {'weights' if name == 'weight' else 'biases'}"
    if how == "measured":
        return unit * _measured(values, where)
    _check_default(module, values, 1 / sqrt(fan_in), where)
    return sqrt(1 / 3) if name == "weight" else sqrt(1 / (3 * fan_in))


def parameter(site: Site, name: str) -> str:
    """What the whole module calls a parameter of the module at the site."""
    return name if site.path == ROOT else f"{site.path}.{name}"


def find(scales: Mapping[str, float], name: str) -> float | None:
    """The scale of a parameter by its name, or by the first pattern that fits it."""
    if name in scales:
        return float(scales[name])
    return next((float(v) for k, v in scales.items() if fnmatchcase(name, k)), None)


def check_scales(scales: Any, module: nn.Module) -> None:
    """Raise unless `scales` is a known word, or a mapping from parameters to numbers."""
    if isinstance(scales, str) and scales in ("default", "measured"):
        return
    if not isinstance(scales, Mapping):
        raise ValueError(
            'scales must be "default", "measured" or a mapping from names of parameters (or '
            f"patterns of names) to numbers, got {scales!r}"
        )
    names = [name for name, _ in module.named_parameters()]
    for key, value in scales.items():
        if isinstance(value, bool) or not (isinstance(value, Real) and 0 <= float(value) < inf):
            raise ValueError(f"scales[{key!r}] must be a finite number >= 0, got {value!r}")
        if not any(name == key or fnmatchcase(name, key) for name in names):
            raise ValueError(f"scales: no parameter is named {key!r}; there are {names}")


def _check_default(module: nn.Module, values: Tensor, bound: float, where: str) -> None:
    """Raise unless the values may be a draw from torch's U(-bound, bound)."""
    remedy = 'pass scales="measured", or scales={"name of the parameter": its scale, ...}'
    kind: Any = next(kind for kind in _KINDS if isinstance(module, kind))
    if getattr(type(module), "reset_parameters", None) is not kind.reset_parameters:
        raise ValueError(f"{where} have an initialization of their own; {remedy}")
    if values.is_meta:
        return
    low, high, mean, square = _moments(values, where)
    expected = bound**2 / 3
    error = sqrt(4 / 5 / values.numel()) * expected  # of the mean square of a uniform draw
    reach = max(-low, high) / bound
    off = (
        reach > 1 + _ROUNDING
        or min(reach + _ROUNDING, 1.0) ** values.numel() < _UNLIKELY  # all of them far inside
        or abs(square - expected) > _ERRORS * error + _ROUNDING * expected
        or abs(mean) > _ERRORS * sqrt(expected / values.numel())
        or (values.numel() > 1 and low == high)
        or low == high == 0
    )
    if off:
        raise ValueError(
            f"{where} are no draw from torch's default initialization, uniform within "
            f"{bound:.3g}: they lie in [{low:.3g}, {high:.3g}] with mean {mean:.3g} and root mean "
            f"square {sqrt(square):.3g} (expected {sqrt(expected):.3g}); {remedy}"
        )


def _measured(values: Tensor, where: str) -> float:
    """The root mean square of values that may be a draw from a centred distribution."""
    if values.is_meta:
        raise ValueError(f"{where} are on the meta device, where nothing can be measured")
    low, high, mean, square = _moments(values, where)
    centred = abs(mean) <= _ERRORS * sqrt(square / values.numel())
    constant = values.numel() > 1 and low == high != 0
    if not centred or constant:
        raise ValueError(
            f"{where} are no draw from a centred distribution: mean {mean:.3g}, root mean square "
            f"{sqrt(square):.3g}; initialize them around zero, or pass their scale: scales={{...}}"
        )
    return sqrt(square)


def _moments(values: Tensor, where: str) -> tuple[float, float, float, float]:
    """(min, max, mean, mean square) in float64, without a copy."""
    flat = values.detach()
    if not torch.isfinite(flat).all():
        raise ValueError(f"{where} are not finite")
    low, high = (float(v) for v in torch.aminmax(flat))
    mean = float(flat.sum(dtype=torch.float64)) / flat.numel()
    norm = float(torch.linalg.vector_norm(flat, dtype=torch.float64))
    return low, high, mean, norm**2 / flat.numel()
