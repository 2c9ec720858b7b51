"""What training has learned of every eigenmode of the kernel, as functions of the eigenvalue.

On squared loss 1/2 sum_i w_i (f(x_i) - y_i)^2 the modes of W^1/2 Theta W^1/2 are learned
independently of each other. Each function returns the fraction that is learned of a mode with
eigenvalue v (the ridge included); 0 at the beginning, 1 at convergence.
"""

from __future__ import annotations

import numpy as np


def gradient_flow(values: np.ndarray, t: float) -> np.ndarray:
    """1 - exp(-v t), for t in [0, inf] (Lee et al. 2019, eq. 9)."""
    if np.isinf(t):
        return (values > 0).astype(np.float64)
    return -np.expm1(-values * t)


def gradient_descent(values: np.ndarray, steps: float, learning_rate: float) -> np.ndarray:
    """1 - (1 - learning_rate v)^steps; converges for learning rates below 2 / max(v)."""
    if np.isinf(steps):
        return gradient_flow(values, steps)
    rate = learning_rate * values
    # through logarithms where steps are small: (1 - r)^k would lose what they change
    small = -np.expm1(steps * np.log1p(-np.minimum(rate, 0.5)))
    learned: np.ndarray = np.where(rate < 0.5, small, 1.0 - (1.0 - rate) ** steps)
    return learned


def heavy_ball(
    values: np.ndarray, steps: float, learning_rate: float, momentum: float
) -> np.ndarray:
    """Steps of gradient descent with heavy-ball momentum, as ``torch.optim.SGD`` takes them.

    The residual of a mode follows r_k+1 = (1 + momentum - learning_rate v) r_k - momentum r_k-1
    from r_0 = 1, r_1 = 1 - learning_rate v; converges for learning rates below
    2 (1 + momentum) / max(v).
    """
    if np.isinf(steps) or momentum == 0.0:
        return gradient_descent(values, steps, learning_rate)
    # (g, d, 1) to the next one, where g = 1 - r is learned and d = g_k - g_k-1: of r itself, 1 - r
    # would lose the digits of modes that are hardly learned
    step = np.zeros((len(values), 3, 3))
    rate = learning_rate * values
    step[:, 0, 0], step[:, 1, 0] = 1.0 - rate, -rate
    step[:, :2, 1], step[:, :2, 2], step[:, 2, 2] = momentum, rate[:, np.newaxis], 1.0
    learned: np.ndarray = np.linalg.matrix_power(step, int(steps))[:, 0, 2]
    return learned


def momentum_flow(
    values: np.ndarray, t: float, momentum: float, learning_rate: float
) -> np.ndarray:
    """Heavy-ball momentum in continuous time (Lee et al. 2019, supplement S3 and S4).

    The residual of a mode is a damped oscillator, r'' = b r' - v r with r(0) = 1, r'(0) = 0 and
    b = (momentum - 1) / sqrt(learning_rate); k steps of descent take the time
    sqrt(learning_rate) k, and `t` is k.
    """
    if np.isinf(t):
        return gradient_flow(values, t)
    damping = (momentum - 1.0) / np.sqrt(learning_rate)
    root = np.sqrt((damping**2 - 4.0 * values).astype(np.complex128))
    slow, fast = (damping + root) / 2.0, (damping - root) / 2.0
    time = np.sqrt(learning_rate) * t
    apart = np.abs(root) > 1e-6 * abs(damping)
    split = np.where(apart, root, 1.0)
    residual = (slow * np.exp(fast * time) - fast * np.exp(slow * time)) / split
    together = np.exp(slow * time) * (1.0 - slow * time)  # both rates coincide: critical damping
    learned: np.ndarray = 1.0 - np.where(apart, residual, together).real
    return learned
