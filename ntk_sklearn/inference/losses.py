"""Training on any differentiable loss: gradient flow in function space, by an ODE solver."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit, softmax

# (outputs (n, k), targets (n, k)) -> derivative of the summed loss in the outputs, (n, k)
LossGradient = Callable[[np.ndarray, np.ndarray], np.ndarray]


def squared(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Gradient of 1/2 |f - y|^2."""
    return outputs - targets


def softmax_cross_entropy(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Gradient of -sum_c y_c log softmax(f)_c, for targets that sum to 1."""
    found: np.ndarray = softmax(outputs, axis=1) - targets
    return found


def binary_cross_entropy(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Gradient of -y log s(f) - (1 - y) log(1 - s(f)) for targets in [0, 1], s the logistic."""
    found: np.ndarray = expit(outputs) - targets
    return found


def cross_entropy(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Gradient of the softmax's cross-entropy, or of the logistic one where there is one output."""
    single = outputs.shape[1] == 1
    return (binary_cross_entropy if single else softmax_cross_entropy)(outputs, targets)


def huber(delta: float = 1.0) -> LossGradient:
    """Gradient of Huber's loss: squared up to |f - y| = delta, linear beyond."""
    return partial(_huber, delta=delta)


def _huber(outputs: np.ndarray, targets: np.ndarray, delta: float) -> np.ndarray:
    return np.clip(outputs - targets, -delta, delta)


def train_on_loss(
    theta: np.ndarray,
    targets: np.ndarray,
    gradient: LossGradient,
    times: np.ndarray,
    initial: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    ridge: float = 0.0,
    rtol: float = 1e-9,
) -> np.ndarray:
    """Dual coefficients (n_times, n, k) of the network after gradient flow for given times.

    The flow f' = -Theta W grad L(f) stays in the span of the kernel's columns, so the coefficients
    c' = -W grad L(f_0 + Theta c) - ridge c are integrated; then f_t(x) = f_0(x) + Theta(x, X) c_t
    for training and new inputs alike.

    Parameters
    ----------
    theta : ndarray, (n, n)
        Tangent kernel of the training rows.
    targets : ndarray, (n, k)
    gradient : callable
        Of the loss summed over samples, such as `softmax_cross_entropy` or ``huber(1.0)``.
    times : ndarray, (n_times,)
        Finite, not negative, ascending.
    initial : ndarray, (n, k), optional
        Initial outputs f_0(X); zero by default.
    weight : ndarray, (n,), optional
    ridge : float, default=0
        Factor of 1/2 |theta - theta_0|^2, the distance travelled, in the loss.
    rtol : float, default=1e-9
        Relative tolerance of the solver (LSODA, which copes with stiff kernels).

    Raises
    ------
    ValueError
        For times that are not finite, negative or not ascending.
    RuntimeError
        If the solver gives up, with its reason.
    """
    times = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if not np.isfinite(times).all() or (times < 0).any() or (np.diff(times) < 0).any():
        raise ValueError(f"times must be finite, not negative and ascending, got {times}")
    shape = targets.shape
    start = np.zeros(shape) if initial is None else initial
    rate = np.ones(len(targets)) if weight is None else weight

    def velocity(_: float, c: np.ndarray) -> np.ndarray:
        slope = np.asarray(gradient(start + theta @ c.reshape(shape), targets))
        if slope.shape != shape:
            raise ValueError(f"loss must return a gradient of shape {shape}, got {slope.shape}")
        return -(rate[:, np.newaxis] * slope).ravel() - ridge * c

    if times[-1] == 0.0:
        return np.zeros((len(times), *shape))
    solution = solve_ivp(
        velocity,
        (0.0, float(times[-1])),
        np.zeros(targets.size),
        method="LSODA",
        t_eval=times,
        rtol=rtol,
        atol=rtol * 1e-3,
    )
    if not solution.success:
        raise RuntimeError(f"the training flow could not be integrated: {solution.message}")
    found: np.ndarray = solution.y.T.reshape(len(times), *shape)
    return found
