"""Kernels by loops over pairs and pixels, from the formulas of the papers that defined them."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

# Covariances of two images: (row, column, row', column') -> value.
Field = dict[tuple[int, int, int, int], float]
_SHIFTS = list(product((-1, 0, 1), repeat=2))


def relu_moments(q: float, vx: float, vz: float) -> tuple[float, float]:
    """E[relu relu] and E[relu' relu'] from the angle (Cho and Saul 2009)."""
    norm = math.sqrt(vx * vz)
    angle = math.acos(min(1.0, max(-1.0, q / norm)))
    value = norm * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)
    return value, (math.pi - angle) / (2 * math.pi)


def arora(x: np.ndarray, z: np.ndarray, depth: int) -> tuple[float, float]:
    """Σ^(L) and Θ^(L) for ReLU, L = depth (Arora et al. 2019, eqs. 6 to 9)."""
    sigma, vx, vz = float(x @ z), float(x @ x), float(z @ z)
    theta = sigma
    for _ in range(depth):
        value, slope = relu_moments(sigma, vx, vz)
        sigma = 2 * value  # 2 E[relu(u)^2] is the variance of u: vx and vz stay
        theta = theta * 2 * slope + sigma
    return sigma, theta


def arc_cosine(x: np.ndarray, z: np.ndarray, degree: int, depth: int) -> float:
    """The arc-cosine kernel of degree 0 or 1, composed with itself (Cho and Saul 2009)."""
    q, vx, vz = float(x @ z), float(x @ x), float(z @ z)
    for _ in range(depth):
        value, slope = relu_moments(q, vx, vz)
        q, vx, vz = (2 * slope, 1.0, 1.0) if degree == 0 else (2 * value, vx, vz)
    return q


def cntk(x: np.ndarray, z: np.ndarray, depth: int, pooled: bool, gamma: float = 0.0) -> float:
    """The convolutional NTK of two images (channels, rows, columns), ReLU and 3 x 3 filters.

    Arora et al. 2019, section 4: `depth` - 1 convolutions and a dense layer; `pooled` leaves the
    first and the last layer untrained. `gamma` is the bias of Li et al. 2019.
    """
    pairs = ((x, z), (x, x), (z, z))
    fields = [_convolved(_products(a, b), gamma) for a, b in pairs]
    theta = {p: 0.0 if pooled else v for p, v in fields[0].items()}
    for layer in range(1, depth):
        fields, slopes = _activated(*fields)
        theta = {p: slopes[p] * t for p, t in theta.items()}
        if layer < depth - 1 or not pooled:
            theta = {p: t + fields[0][p] for p, t in theta.items()}
        if layer < depth - 1:
            fields = [_convolved(field, gamma) for field in fields]
            theta = _convolved(theta, gamma)
    if pooled:
        return sum(theta.values()) / len(theta)
    return _trace(theta)


def enhanced_cntk(x: np.ndarray, z: np.ndarray, depth: int, c: int, gamma: float) -> float:
    """`depth` convolutions, averages over shifts of both images by up to c (Li et al. 2019)."""
    pairs = ((x, z), (x, x), (z, z))
    fields = [_convolved(_products(a, b), gamma) for a, b in pairs]
    theta = fields[0]
    for layer in range(depth):
        if layer:
            fields = [_convolved(field, gamma) for field in fields]
            theta = _convolved(theta, gamma)
        fields, slopes = _activated(*fields)
        theta = {p: slopes[p] * t + fields[0][p] for p, t in theta.items()}
    shifts = list(product(range(-c, c + 1), repeat=4))
    return sum(
        _trace({(i, j, k, m): theta.get((i + a, j + b, k + d, m + e), 0.0) for i, j, k, m in theta})
        for a, b, d, e in shifts
    ) / len(shifts)


def _trace(field: Field) -> float:
    return sum(value for (i, j, k, m), value in field.items() if (i, j) == (k, m))


def _products(x: np.ndarray, z: np.ndarray) -> Field:
    rows, columns = range(x.shape[1]), range(x.shape[2])
    places = product(rows, columns, rows, columns)
    return {(i, j, k, m): float(x[:, i, j] @ z[:, k, m]) for i, j, k, m in places}


def _convolved(field: Field, gamma: float) -> Field:
    """Sums over simultaneous shifts of both positions, zero outside, plus the bias."""
    return {
        (i, j, k, m): gamma**2
        + sum(field.get((i + a, j + b, k + a, m + b), 0.0) for a, b in _SHIFTS)
        for i, j, k, m in field
    }


def _activated(cross: Field, left: Field, right: Field) -> tuple[list[Field], Field]:
    """2/9 of the moments of all three covariances, and of the cross covariance's derivative."""
    values, slopes = [], []
    for field, a, b in ((cross, left, right), (left, left, left), (right, right, right)):
        moments = {
            (i, j, k, m): relu_moments(v, a[i, j, i, j], b[k, m, k, m])
            for (i, j, k, m), v in field.items()
        }
        values.append({p: 2 / 9 * value for p, (value, _) in moments.items()})
        slopes.append({p: 2 / 9 * slope for p, (_, slope) in moments.items()})
    return values, slopes[0]


def standard(x: np.ndarray, z: np.ndarray, widths: list[int], w_std: float, b_std: float) -> float:
    """NTK with weights drawn from N(0, w^2 / fan_in) and biases from N(0, b^2), ReLU."""
    covs = [float(x @ z) / len(x), float(x @ x) / len(x), float(z @ z) / len(x)]
    theta = 0.0
    for layer, fan_in in enumerate([len(x), *widths]):
        if layer:
            value, slope = relu_moments(*covs)
            own = (relu_moments(v, v, v)[0] for v in covs[1:])
            covs, theta = [value, *own], theta * slope
        theta = fan_in * covs[0] + w_std**2 * theta + 1.0
        covs = [w_std**2 * v + b_std**2 for v in covs]
    return theta


def tirer(x: np.ndarray, z: np.ndarray, depth: int, alpha: float, w: float, v: float) -> float:
    """NTK of a residual ReLU network by the sum over layers (Tirer, Bruna, Giryes 2021)."""
    covs = [w**2 * float(a @ b) / len(x) for a, b in ((x, z), (x, x), (z, z))]
    K, S, slopes = [covs[0]], [], []
    for _ in range(depth):
        value, slope = relu_moments(*covs)
        S.append(v**2 * w**2 * value)
        slopes.append(v**2 * w**2 * slope)
        own = [v**2 * w**2 * relu_moments(q, q, q)[0] for q in covs[1:]]
        covs = [q + alpha**2 * s for q, s in zip(covs, [S[-1], *own], strict=True)]
        K.append(covs[0])
    backwards = [1.0]
    for slope in reversed(slopes):
        backwards.insert(0, backwards[0] * (1 + alpha**2 * slope))
    blocks = (p * (s + k * d) for p, s, k, d in zip(backwards[1:], S, K, slopes, strict=False))
    return K[-1] + backwards[0] * K[0] + alpha**2 * sum(blocks)


def huang(x: np.ndarray, z: np.ndarray, depth: int, alpha: float) -> float:
    """The same with the factor 2 of He, for unit rows and untrained ends (Huang et al. 2020)."""
    K, parts = float(x @ z), []
    variance = 1.0
    for _ in range(depth):
        value, slope = relu_moments(K, variance, variance)
        parts.append((2 * value + K * 2 * slope, 2 * slope))
        K, variance = K + alpha**2 * 2 * value, variance * (1 + alpha**2)
    total, backwards = 0.0, 1.0
    for own, slope in reversed(parts):
        total += backwards * own
        backwards *= 1 + alpha**2 * slope
    return alpha**2 * total
