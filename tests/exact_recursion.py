"""Dense networks in 50-digit arithmetic, from the textbook formulas, one pair of rows at a time.

Independent of the package but for the layer classes: correlations and arccos instead of carried
angles, which 50 digits can afford.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import mpmath as mp
import numpy as np

from ntk_sklearn.architecture import Activation, Concat, Dense, Identity, Layer, Serial, Sum
from ntk_sklearn.duals import ABReLU, Erf, Linear, resolve

mp.mp.dps = 50


@dataclass(frozen=True)
class Pair:
    """Covariance, the two variances and the tangent kernels of all three."""

    nngp: tuple[mp.mpf, mp.mpf, mp.mpf]
    ntk: tuple[mp.mpf, mp.mpf, mp.mpf]

    def map(self, f, g) -> Pair:
        ntk = tuple(g(t, k) for t, k in zip(self.ntk, self.nngp, strict=True))
        return Pair(tuple(map(f, self.nngp)), ntk)


def exact_kernels(network: Layer, X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """(4, n, m): nngp, ntk and the square roots of their diagonals' products, as mpf."""
    out = np.empty((4, len(X), len(Z)), dtype=object)
    rows = [[list(map(mp.mpf, map(float, row))) for row in A] for A in (X, Z)]
    for i, x in enumerate(rows[0]):
        for j, z in enumerate(rows[1]):
            end = _layer(network, _start(x, z))
            out[0, i, j], out[1, i, j] = end.nngp[0], end.ntk[0]
            out[2, i, j] = mp.sqrt(end.nngp[1] * end.nngp[2])
            out[3, i, j] = mp.sqrt(end.ntk[1] * end.ntk[2])
    return out


def errors(value: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """|value - exact| over sqrt(k(x, x) k(z, z)) where that is not 0, for the stack (nngp, ntk)."""
    return np.vectorize(lambda v, e, s: float(abs(mp.mpf(float(v)) - e) / (s or 1)))(
        np.asarray(value), exact[:2], exact[2:]
    )


def _start(x: list, z: list) -> Pair:
    n = len(x)
    products = (mp.fdot(x, z) / n, mp.fdot(x, x) / n, mp.fdot(z, z) / n)
    return Pair(products, (mp.mpf(0),) * 3)


def _layer(layer: Layer, pair: Pair) -> Pair:
    match layer:
        case Serial():
            for child in layer.layers:
                pair = _layer(child, pair)
            return pair
        case Identity():
            return pair
        case Dense():
            w2, b2 = mp.mpf(layer.w_std) ** 2, mp.mpf(layer.b_std) ** 2
            return pair.map(lambda k: w2 * k + b2, lambda t, k: w2 * (t + k) + b2)
        case Activation():
            return _activation(resolve(layer.function), pair)
        case Sum():
            return _mean([_layer(b, pair) for b in layer.branches], [1] * len(layer.branches))
        case Concat():
            shares = list(map(mp.mpf, layer.shares))
            return _mean([_layer(b, pair) for b in layer.branches], shares)
    raise NotImplementedError(layer)


def _mean(pairs: list[Pair], weights: list) -> Pair:
    def mix(name: str) -> tuple:
        return tuple(mp.fdot(weights, [getattr(p, name)[k] for p in pairs]) for k in range(3))

    return Pair(mix("nngp"), mix("ntk"))


def _activation(dual, pair: Pair) -> Pair:
    q, vx, vz = pair.nngp
    duals = [_dual(dual, *args) for args in ((q, vx, vz), (vx, vx, vx), (vz, vz, vz))]
    ntk = tuple(t * slope for t, (_, slope) in zip(pair.ntk, duals, strict=True))
    return Pair(tuple(value for value, _ in duals), ntk)


@cache
def _dual(dual, q, vx, vz) -> tuple[mp.mpf, mp.mpf]:
    match dual:
        case Linear():
            return q, mp.mpf(1)
        case ABReLU():
            a, b = mp.mpf(dual.a), mp.mpf(dual.b)
            root = mp.sqrt(vx * vz)
            cosine = max(mp.mpf(-1), min(mp.mpf(1), q / root)) if root else mp.mpf(0)
            kink, angle = (a - b) ** 2 / (2 * mp.pi), mp.acos(cosine)
            slope = (a * a + b * b) / 2 - kink * angle
            return kink * root * mp.sin(angle) + slope * q, slope
        case Erf():
            a2, r2 = mp.mpf(dual.amplitude) ** 2, mp.mpf(dual.rate) ** 2
            product = (1 + 2 * r2 * vx) * (1 + 2 * r2 * vz)
            value = 2 / mp.pi * mp.asin(2 * r2 * q / mp.sqrt(product))
            return a2 * value, a2 * r2 * 4 / mp.pi / mp.sqrt(product - 4 * r2**2 * q * q)
    raise NotImplementedError(dual)
