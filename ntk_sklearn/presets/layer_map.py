"""One layer of a deep network of equal layers, as a map of variances and correlations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq

from ..duals import DualActivation, GaussianPair

# Steps followed before a fixed point is looked for, in whose direction the last one points.
_STEPS = 16
# The search: orders of magnitude upwards and downwards, points per order, and how far V(q) / q may
# be from 1 by rounding alone.
_UP, _DOWN, _PER_ORDER, _ROUNDING = 12, 14, 16, 32 * np.finfo(float).eps
# Panels of ratio 3 towards correlation 1, where chi may have a root's singularity; 16 nodes each.
_EDGES = np.concatenate([[0.0], 3.0 ** np.arange(-13, 1)])
_LOW, _WIDTH = _EDGES[:-1, None], np.diff(_EDGES)[:, None]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_NODES, _WEIGHTS = (_LOW + _WIDTH * (_NODES + 1) / 2).ravel(), (_WIDTH * _WEIGHTS / 2).ravel()


@dataclass(frozen=True)
class LayerMap:
    r"""``z -> w_std / sqrt(n) W phi(z) + b_std b`` on pairs of Gaussians of one variance q.

    .. math:: V(q) = w^2 T(q, q, q) + b^2, \qquad \chi(c) = w^2 \dot T(c q, q, q),

    and correlations move by C(c) = (w^2 T(c q, q, q) + b^2) / V(q), with slope chi(c) q / V(q)
    (Poole et al. 2016; Schoenholz et al. 2017, section 3).
    """

    dual: DualActivation
    w_std: float
    b_std: float

    def variance(self, q: Any) -> Any:
        """V(q), like q."""
        with torch.no_grad():
            return self.w_std**2 * self.dual.variance(_tensor(q)).numpy() + self.b_std**2

    def covariance(self, q: Any, gap: Any) -> tuple[Any, Any]:
        """(C(c) V(q), chi(c)) for c = 1 - gap, accurate at small gaps."""
        q, gap = torch.broadcast_tensors(_tensor(q), _tensor(gap))
        with torch.no_grad():
            pair = GaussianPair(q * (1.0 - gap), q, q, gap * (2.0 - gap))
            value, slope = (x.numpy() for x in self.dual.covariance(pair))
        return self.w_std**2 * value + self.b_std**2, self.w_std**2 * slope

    def chi(self, q: Any, gap: Any = 0.0) -> Any:
        """chi(1 - gap)."""
        return self.covariance(q, gap)[1]

    @cached_property
    def homogeneous(self) -> bool:
        """Whether phi(s x) = s phi(x) for s > 0, on variances: T(q) = q T(1)."""
        found = self.dual.variance(torch.tensor([1e-3, 1.0, 1e3], dtype=torch.float64)).numpy()
        return bool(np.allclose(found, found[1] * np.array([1e-3, 1.0, 1e3]), rtol=1e-12, atol=0))

    def fixed_variance(self, start: float) -> float:
        """The variance that deep layers tend to from `start`; inf if they grow without bound.

        Raises
        ------
        ValueError
            If they alternate between two values.
        """
        q = start
        for _ in range(_STEPS):
            last, q = q, float(self.variance(q))
            if not q < start * 10.0**_UP:
                return np.inf
            if abs(q - last) <= _ROUNDING * last:
                return last
        side = float(self._side(q))
        ends = self._bracket(q, side) if side else None
        if ends is None:
            return np.inf if side > 0.0 else q if side == 0.0 else 0.0
        return self._stable(np.exp(brentq(self._log_ratio, *np.log(ends), xtol=1e-15)))

    def _bracket(self, q: float, side: float) -> tuple[float, float] | None:
        """The nearest variances upwards or downwards between which V(q) - q changes its sign."""
        before, factor = q, 10.0**side
        # one order of magnitude at a time: extremes only where nothing is found before
        for k in range(_UP if side > 0 else _DOWN):
            points = q * factor ** np.linspace(k, k + 1, _PER_ORDER)
            for point, found in zip(points.tolist(), self._side(points), strict=True):
                if found == -side:
                    return before, point
                before = point if found == side else before
        return None

    def _log_ratio(self, log_q: float) -> float:
        return float(self.variance(np.exp(log_q)) / np.exp(log_q)) - 1.0

    def _side(self, q: Any) -> Any:
        """Sign of V(q) - q, 0 up to rounding."""
        with np.errstate(all="ignore"):  # expectations may overflow: not finite, and no root
            ratio = self.variance(q) / q - 1.0
        return np.where(np.abs(ratio) <= _ROUNDING, 0.0, np.sign(ratio))

    def variance_slope(self, q: float) -> float:
        """V'(q), by a central difference."""
        above, below = self.variance(q * 1.0001), self.variance(q * 0.9999)
        return float(above - below) / (0.0002 * q)

    def _stable(self, root: Any) -> float:
        q = float(root)
        if self.variance_slope(q) < -1.0:
            raise ValueError(
                f"the variance has no limit with depth for {self.dual!r}, w_std={self.w_std}, "
                f"b_std={self.b_std}: it alternates around {q:.4g} from layer to layer"
            )
        return q

    def fixed_gap(self, q: float) -> float:
        """1 - c of the correlation c < 1 that deep layers tend to where C'(1) > 1.

        C is convex on [0, 1], so there is one; the mean of C' over [c, 1] is 1 there, which is
        solved for instead of C(c) = c since it keeps its digits near 1.
        """
        scale = q / float(self.variance(q))

        def excess(log_gap: float) -> float:
            return float(scale * self.chi(q, np.exp(log_gap) * _NODES) @ _WEIGHTS) - 1.0

        if excess(0.0) >= -1e-12:  # C(0) = 0
            return 1.0
        smallest = np.log(1e-15)
        if excess(smallest) <= 0.0:
            return 0.0
        return float(np.exp(brentq(excess, smallest, 0.0, xtol=1e-14)))


def _tensor(x: Any) -> torch.Tensor:
    return torch.as_tensor(x, dtype=torch.float64)
