"""Which dual activations the fused engine knows: their formulas, parameters and tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from torch import Tensor

from ...duals import GELU, RBF, ABReLU, DualActivation, Erf, Exp, Gaussian, Linear, Sign, Sin
from ...duals.pair import safe_divide, safe_sqrt
from . import carried, formulas
from .interpolated import spectrum
from .normalization import Masking, Normalization, Rescaling
from .program import NotFusedError
from .series import is_series, n_terms, series_table

Parameters = tuple[float, float, float, float]


@dataclass(frozen=True)
class Lowered:
    """A dual activation as numbers: an index into `FORMULAS`, and the formula's parameters."""

    kind: int
    parameters: Parameters


@dataclass(frozen=True)
class _Kind:
    """What the engine knows about one class of duals."""

    dual: type[DualActivation]
    formula: Callable[..., Any]
    parameters: Callable[[Any], Parameters]
    table: Callable[[Any, Tensor], tuple[Tensor, Tensor]]
    carried: Callable[..., Any] | None = None
    flat_table: Callable[[Any, Tensor], tuple[Tensor, ...]] | None = None


def _roots(dual: Any, v: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviations and their reciprocals, 0 where the variance is 0."""
    root = safe_sqrt(v)
    return root, safe_divide(root.new_ones(()), root)


def _signs(dual: Any, v: Tensor) -> tuple[Tensor, Tensor]:
    return (v > 0).to(v), _roots(dual, v)[1]


def _saturated(rate: Callable[[Any], float]) -> Callable[[Any, Tensor], tuple[Tensor, Tensor]]:
    """1 / sqrt(1 + rate v) and standard deviations."""
    return lambda dual, v: ((1.0 + rate(dual) * v).rsqrt(), safe_sqrt(v))


def _erf_table(dual: Erf, v: Tensor) -> tuple[Tensor, ...]:
    return carried.erf_table(2.0 * dual.rate**2, v)


def _halves(dual: Any, v: Tensor) -> tuple[Tensor, Tensor]:
    return 0.5 * v, v


def _abrelu(dual: ABReLU) -> Parameters:
    even, odd = (dual.a + dual.b) ** 2 / 4.0, (dual.a - dual.b) ** 2 / 4.0
    square = dual.a**2 + dual.b**2
    return 2.0 * odd / math.pi, even, -odd, 2.0 * dual.a * dual.b / square if square else 1.0


def _erf(dual: Erf) -> Parameters:
    height, rate2 = 2.0 / math.pi * dual.amplitude**2, dual.rate**2
    return 2.0 * rate2, height, 2.0 * rate2 * height, 0.0


def _gaussian(dual: Gaussian) -> Parameters:
    height = dual.amplitude**2
    return 2.0 * dual.rate, height, 2.0 * dual.rate * height, 0.0


def _exp(dual: Exp) -> Parameters:
    return dual.rate**2, dual.amplitude**2, 0.0, 0.0


def _sin(dual: Sin) -> Parameters:
    turn = math.cos(2.0 * dual.phase)
    return dual.rate**2, 0.5 * dual.amplitude**2, 1.0 - turn, 1.0 + turn


def _masking(dual: Masking) -> Parameters:
    kept = 1.0 - dual.p
    return (1.0 - kept) * (1.0 + kept), kept**2, 1.0 / kept, 0.0


def _normalization(dual: Normalization, v: Tensor) -> tuple[Tensor, Tensor]:
    """Factors, and reciprocals of standard deviations for angles that are not known yet."""
    return dual.factor(v), _roots(dual, v)[1]


def _rescaling(dual: Rescaling, v: Tensor) -> tuple[Tensor, Tensor]:
    """Factors; angles are not needed, since it acts on images only."""
    factor = dual.factor(v)
    return factor, factor


def _none(dual: DualActivation) -> Parameters:
    return 0.0, 0.0, 0.0, 0.0


_KINDS = (
    _Kind(ABReLU, formulas.abrelu, _abrelu, _roots, carried.abrelu),
    _Kind(Linear, formulas.linear, _none, _roots, carried.linear),
    _Kind(
        Erf,
        formulas.erf,
        _erf,
        _saturated(lambda dual: 2.0 * dual.rate**2),
        carried.erf,
        _erf_table,
    ),
    _Kind(GELU, formulas.gelu, _none, _saturated(lambda dual: 1.0)),
    _Kind(Sin, formulas.sin, _sin, _roots, carried.sin),
    _Kind(RBF, formulas.rbf, lambda dual: (dual.gamma, 0.0, 0.0, 0.0), _roots, carried.rbf),
    _Kind(Exp, formulas.exponential, _exp, _halves),
    _Kind(Gaussian, formulas.gaussian, _gaussian, _saturated(lambda dual: 2.0 * dual.rate)),
    _Kind(Sign, formulas.sign, _none, _signs, carried.sign),
    _Kind(Normalization, formulas.normalized, _none, _normalization, carried.normalized),
    _Kind(Masking, formulas.linear, _masking, _roots, carried.masked),
    _Kind(Rescaling, formulas.normalized, _none, _rescaling),
)
MASKING = next(number for number, kind in enumerate(_KINDS) if kind.dual is Masking)
FORMULAS: tuple[Callable[..., Any], ...] = tuple(kind.formula for kind in _KINDS)
# The same with angles that are carried, whether they are carried beyond the activation, and whether
# the formula with angles has five tables (`flat_table`) instead of two.
CARRIED: tuple[Callable[..., Any], ...] = tuple(
    kind.carried or carried.forgetting(kind.formula) for kind in _KINDS
)
CARRIES: tuple[bool, ...] = tuple(
    kind.dual in (ABReLU, Linear, Erf, Normalization, Masking) for kind in _KINDS
)
# What is summed up: `series` in layers without positions, `interpolated` in images.
SERIES = len(_KINDS)
WIDE: tuple[bool, ...] = tuple(kind.flat_table is not None for kind in _KINDS)


def _index(dual: DualActivation) -> int | None:
    """The kind of exactly this class: a subclass may mean another function."""
    return next((i for i, kind in enumerate(_KINDS) if type(dual) is kind.dual), None)


def lower(dual: DualActivation) -> Lowered:
    """The dual for the fused engine.

    Raises
    ------
    NotFusedError
        For users' own classes, series, and duals with tensors among their fields.
    """
    kind = _index(dual)
    numbers = () if type(dual) is Rescaling else vars(dual).values()
    if kind is None or not all(isinstance(value, Real) for value in numbers):
        raise NotFusedError(f"the activation {dual!r}")
    a, b, c, d = _KINDS[kind].parameters(dual)
    return Lowered(kind, (float(a), float(b), float(c), float(d)))


def lower_flat(dual: DualActivation) -> Lowered:
    """The same in layers without positions, where series are summed up, too.

    Raises
    ------
    NotFusedError
    """
    return (
        Lowered(SERIES, (float(n_terms(dual)), 0.0, 0.0, 0.0)) if is_series(dual) else lower(dual)
    )


def lower_image(dual: DualActivation, n_numbers: int) -> Lowered:
    """The same in images, where each position of a series has `n_numbers` numbers.

    Raises
    ------
    NotFusedError
    """
    if not is_series(dual):
        return lower(dual)
    kept = spectrum(dual)
    return Lowered(SERIES, (float(n_numbers), float(kept.first), float(kept.step), 0.0))


def carries(lowered: Lowered) -> bool:
    """Whether angles are carried beyond the activation."""
    return lowered.kind != SERIES and CARRIES[lowered.kind]


def table(dual: DualActivation, variance: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers u and w of every variance, for the formula of a dual that `lower_image` accepts.

    Raises
    ------
    TypeError
        If the dual has no fused form.
    """
    return _roots(dual, variance) if is_series(dual) else _known(dual).table(dual, variance)


def flat_table(dual: DualActivation, variance: Tensor) -> tuple[Tensor, ...]:
    """The same for layers without positions: two numbers, five (`WIDE`), or those of a series.

    Raises
    ------
    TypeError
        If the dual has no fused form.
    """
    if is_series(dual):
        return series_table(dual, variance)
    kind = _known(dual)
    return (kind.flat_table or kind.table)(dual, variance)


def _known(dual: DualActivation) -> _Kind:
    kind = _index(dual)
    if kind is None:
        raise TypeError(f"{type(dual).__name__} has no fused form")
    return _KINDS[kind]
