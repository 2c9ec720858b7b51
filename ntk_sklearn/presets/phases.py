"""What depth makes of a network of equal layers: fixed points, phases, limits of the kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..duals import resolve
from .layer_map import LayerMap

# |chi_1 - 1| up to which a network counts as critical: its correlation depth is then a million.
CRITICAL = 1e-6
# The variance that stands for 0, and for infinity, where the map is that of the limit.
TINY = 1e-20


@dataclass(frozen=True)
class Phase:
    r"""Where variances, correlations and tangent kernels of deep equal layers tend to.

    Attributes
    ----------
    name : {"ordered", "critical", "chaotic", "unbounded"}
        chi_1 < 1, = 1 (up to 1e-6) or > 1 at a finite variance q. Unbounded: the variance grows
        without limit, as for relu with ``w_std**2 > 2``, or ``w_std**2 = 2`` and biases.
    q : float
        The variance of the pre-activations: q = V(q).
    c : float
        Their correlation for two different inputs: c = C(c), the attracting one. NaN where it
        depends on the inputs: where q = 0 and the activation is smooth, and for linear networks.
    chi_1, chi_c : float
        Slopes of C at correlation 1 and at c, at the variance q: chi = w_std^2 E[phi'(u) phi'(v)].
        Where q is 0, or infinite for a homogeneous activation such as relu, chi_c is the slope of
        the normalized map in that limit; other unbounded networks have NaN in all that follows q.
    ntk_correlation : float
        Limit of the normalized tangent kernel of two different inputs: 1 in the ordered phase, 0 in
        the chaotic one; at criticality 1/3 for smooth activations and 1/4 for those with a kink.
        Where q is 0 or infinite it is that of the normalized map, 1/4 for relu at every `w_std`.
    """

    name: str
    q: float
    c: float
    chi_1: float
    chi_c: float
    ntk_correlation: float

    @property
    def correlation_depth(self) -> float:
        """Layers in which a correlation's distance from c falls by e: -1 / log chi_c."""
        return _depth(self.chi_c)

    @property
    def gradient_depth(self) -> float:
        """Layers in which squared gradients fall (ordered) or grow (chaotic) by e: |1/log chi_1|.

        With backpropagation, from the output towards the input.
        """
        return _depth(self.chi_1)

    @property
    def nngp_limit(self) -> tuple[float, float]:
        """NNGP of the pre-activations, of an input with itself and of two: (q, c q)."""
        return self.q, _times(self.c, self.q)

    @property
    def ntk_limit(self) -> tuple[float, float]:
        r"""NTK of the pre-activations, of an input with itself and of two different ones.

        ``q / (1 - chi_1)`` for both in the ordered phase; infinite and ``c q / (1 - chi_c)`` in the
        chaotic one, where the first grows like chi_1^l; both infinite at criticality, where they
        grow like l q, with the ratio `ntk_correlation`. NaN where it depends on more: at
        criticality with q = 0.
        """
        different = _times(self.c, self.q)
        if self.q == 0.0 and self.name == "critical":
            return math.nan, math.nan
        if self.name == "ordered":
            return self.q / (1.0 - self.chi_1), different / (1.0 - self.chi_1)
        if self.name == "chaotic":
            return math.inf, different / (1.0 - self.chi_c)
        return math.inf, _times(self.c, math.inf)


def phase(activation: Any, w_std: float, b_std: float = 0.0, *, start: float = 1.0) -> Phase:
    r"""The phase of a deep network of equal layers.

    Of fully connected layers :math:`z^{l+1} = \frac{w}{\sqrt n} W \phi(z^l) + b \beta` of infinite
    width, or of convolutions with circular padding, whose pre-activations have the same limits at
    every position; with other padding the border differs.

    Parameters
    ----------
    activation : str or DualActivation
    w_std, b_std : float
        Scales of the hidden layers.
    start : float, default=1.0
        Variance of the first pre-activations. It decides where there are several fixed points, and
        is q itself where every variance is one (relu with ``w_std=sqrt(2), b_std=0``).

    Returns
    -------
    Phase

    Raises
    ------
    ValueError
        For scales that are negative or not finite; for steps such as "sign", whose gradient is 0;
        if the variance alternates between two values.

    References
    ----------
    Poole et al., "Exponential expressivity in deep neural networks through transient chaos", 2016;
    Schoenholz et al., "Deep information propagation", ICLR 2017; Xiao et al., "Dynamical isometry
    and a mean field theory of CNNs", ICML 2018, for convolutions; Hayou et al., "Mean-field
    behaviour of neural tangent kernel for deep neural networks", 2019; Xiao et al., "Disentangling
    trainability and generalization in deep neural networks", ICML 2020, for the tangent kernel.

    Examples
    --------
    >>> from ntk_sklearn.networks import phase
    >>> found = phase("erf", w_std=3.0, b_std=0.1)
    >>> found.name, round(found.chi_1, 3), round(found.c, 4)
    ('chaotic', 2.144, 0.0065)
    """
    check_number(w_std, "w_std", positive=True)
    check_number(b_std, "b_std")
    check_number(start, "start", positive=True)
    layer = LayerMap(smooth_enough(activation), float(w_std), float(b_std))
    q = layer.fixed_variance(float(start))
    if q == np.inf and not layer.homogeneous:
        return Phase("unbounded", q, math.nan, math.nan, math.nan, math.nan)
    if q == np.inf:  # the bias does not count
        layer = LayerMap(layer.dual, layer.w_std, 0.0)
    at = 1.0 if q == np.inf else q or (1.0 if layer.homogeneous else TINY)
    chi_1 = float(layer.chi(at))
    slope = _slope(layer, at, 0.0)
    name = "unbounded" if q == np.inf else _name(chi_1)
    if _keeps_correlations(layer, at):
        return Phase(name, q, math.nan, chi_1, slope, math.nan)
    gap = layer.fixed_gap(at) if slope > 1.0 + CRITICAL else 0.0
    return Phase(name, q, 1.0 - gap, chi_1, _slope(layer, at, gap), _ntk_correlation(layer, at))


def smooth_enough(activation: Any) -> Any:
    """The dual activation, if gradients pass through it.

    Raises
    ------
    ValueError
        For steps.
    """
    dual = resolve(activation)
    if not dual.absolutely_continuous:
        raise ValueError(
            f"{dual!r} is a step, through which no gradient passes: chi_1 does not exist"
        )
    return dual


def _name(chi_1: float) -> str:
    if abs(chi_1 - 1.0) <= CRITICAL:
        return "critical"
    return "ordered" if chi_1 < 1.0 else "chaotic"


def _slope(layer: LayerMap, q: float, gap: float) -> float:
    """C'(1 - gap)."""
    return float(layer.chi(q, gap)) * q / float(layer.variance(q))


def _keeps_correlations(layer: LayerMap, q: float) -> bool:
    """Whether C(c) = c for all c."""
    gaps = np.array([0.3, 0.5, 0.9])
    moved = layer.covariance(q, gaps)[0] / layer.variance(q)
    return bool(np.allclose(moved, 1.0 - gaps, rtol=0.0, atol=1e-10))


def _ntk_correlation(layer: LayerMap, q: float) -> float:
    """1 and 0 off criticality; there p / (1 + 2 p) for 1 - C(1 - x) = x - k x^(1 + p).

    Then x_l tends to (p k l)^(-1/p), so that chi is 1 - (1 + p) / (p l), and the sum over layers
    of products of these grows like l p / (1 + 2 p).
    """
    slope = _slope(layer, q, 0.0)
    if abs(slope - 1.0) > CRITICAL:
        return 1.0 if slope < 1.0 else 0.0
    gaps = np.array([1e-7, 1e-5])
    falls = layer.chi(q) - layer.chi(q, gaps)
    p = round(2.0 * math.log(falls[1] / falls[0]) / math.log(gaps[1] / gaps[0])) / 2.0
    return p / (1.0 + 2.0 * p)


def _depth(chi: float) -> float:
    if math.isnan(chi):
        return math.nan
    if abs(chi - 1.0) <= CRITICAL:
        return math.inf
    return abs(1.0 / math.log(chi)) if chi > 0.0 else 0.0


def _times(a: float, b: float) -> float:
    """a b, with 0 * infinity = 0."""
    return 0.0 if 0.0 in (a, b) else a * b


def check_number(value: Any, name: str, positive: bool = False) -> None:
    """Refuse what is not a finite number >= 0, or > 0."""
    number = not isinstance(value, bool) and isinstance(value, (int, float, np.number))
    if not number:
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not (np.isfinite(value) and value >= 0 and (value > 0 or not positive)):
        kind = "positive" if positive else "not negative"
        raise ValueError(f"{name} must be finite and {kind}, got {value!r}")
