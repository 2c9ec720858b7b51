"""The weight scale at the edge of chaos."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import brentq

from ..duals import DualActivation
from .layer_map import LayerMap
from .phases import TINY, check_number, phase, smooth_enough

# Where the fixed point is looked for: orders of magnitude of q - b_std^2.
_ORDERS = (-10, 8)
# chi_1 - 1 below this is rounding, or the limit q = 0.
_ROUNDING = 1e-9


def critical_w_std(activation: Any, b_std: float = 0.0) -> float:
    r"""The weight scale at which a deep network of equal layers is critical: chi_1 = 1.

    With a variance q = V(q) the weight scale is :math:`w^2 = (q - b^2) / T(q)`, so that
    :math:`\chi_1 = (q - b^2)\, \dot T(q) / T(q)` is one equation in q. Of its solutions the
    smallest counts that is reached from a variance of 1.

    Parameters
    ----------
    activation : str or DualActivation
    b_std : float, default=0.0
        Bias scale of the hidden layers.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Where there is none: for relu and other homogeneous activations with ``b_std > 0``, whose
        variance grows without limit at chi_1 = 1; for steps; where the only candidates are
        repelling fixed points, such as for gelu with small b_std.

    References
    ----------
    Schoenholz et al., "Deep information propagation", ICLR 2017; Hayou et al., "On the impact of
    the activation function on deep neural networks training", ICML 2019.

    Examples
    --------
    >>> from ntk_sklearn.networks import critical_w_std
    >>> round(critical_w_std("relu") ** 2, 12), round(critical_w_std("erf", 0.2), 4)
    (2.0, 1.1528)
    """
    check_number(b_std, "b_std")
    return _critical_w_std(smooth_enough(activation), float(b_std))


@lru_cache(maxsize=256)
def _critical_w_std(dual: DualActivation, b_std: float) -> float:
    layer = LayerMap(dual, 1.0, 0.0)
    if layer.homogeneous and b_std > 0.0:
        raise ValueError(
            f"there is no critical w_std for {dual!r} with b_std={b_std}: where chi_1 = 1, biases "
            "make the variance grow without limit from layer to layer; use b_std=0"
        )
    tried = ""
    for w_std in _candidates(layer, b_std):
        if _attracts(dual, w_std, b_std):
            return w_std
        tried = tried or f" (at w_std={w_std:.4g} its variance is repelling)"
    raise ValueError(
        f"there is no critical w_std for {dual!r} with b_std={b_std}: chi_1 = 1 at no variance "
        f"that deep layers tend to from 1{tried}; use another b_std, or give w_std a number"
    )


def _attracts(dual: DualActivation, w_std: float, b_std: float) -> bool:
    """Whether deep layers tend to the variance at which chi_1 = 1."""
    found, layer = phase(dual, w_std, b_std), LayerMap(dual, w_std, b_std)
    if found.name != "critical":
        return False
    return found.q == 0.0 or layer.variance_slope(found.q) < 1.0 + 1e-6


def _candidates(layer: LayerMap, b_std: float) -> Iterator[float]:
    """Weight scales at which chi_1 = 1 at a fixed point, attracting or not, by its variance."""
    if b_std == 0.0 and layer.homogeneous:  # every variance is fixed
        yield math.sqrt(1.0 / layer.variance(1.0))
        return

    def excess(log_above: Any) -> Any:
        """chi_1 - 1, for the weights that make q = b_std^2 + above a fixed point."""
        above = np.exp(log_above)
        with np.errstate(all="ignore"):  # expectations may overflow
            return above * layer.chi(b_std**2 + above) / layer.variance(b_std**2 + above) - 1.0

    def w_std(log_above: float) -> float:
        return math.sqrt(math.exp(log_above) / layer.variance(b_std**2 + math.exp(log_above)))

    tiny = math.log(TINY)
    if b_std == 0.0 and abs(excess(tiny)) < _ROUNDING:
        yield w_std(tiny)
    for low, high in _brackets(excess):
        yield w_std(brentq(excess, low, high, xtol=1e-14))


def _brackets(function: Callable[[np.ndarray], np.ndarray]) -> Iterator[tuple[float, float]]:
    """Intervals of the logarithm of q - b_std^2 in which a function changes its sign."""
    before, side = 0.0, 0.0
    for k in range(*_ORDERS):  # large variances only where small ones have no root
        grid = np.log(10.0) * np.linspace(k, k + 1, 17)
        for log_above, value in zip(grid, function(grid), strict=True):
            if not abs(value) > _ROUNDING:
                continue
            if side * value < 0.0:
                yield before, log_above
            before, side = log_above, np.sign(value)
