"""How errors decay in training, and what is accumulated of them: flow and steps alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import expm, solve_continuous_lyapunov, solve_discrete_lyapunov


@dataclass(frozen=True)
class Flow:
    """e' = -K e for the time `horizon`, which may be infinite."""

    horizon: float

    def lasts(self, values: np.ndarray) -> np.ndarray:
        """Which eigenvalues belong to modes that never decay; complex ones, too."""
        found: np.ndarray = np.real(values) <= 0
        return found

    @property
    def some_rate(self) -> float:
        """A rate that decays."""
        return 1.0

    def remedy(self, values: np.ndarray) -> str:
        """What to do about them, for all eigenvalues."""
        return "give a finite horizon, or add a ridge to K"

    def accumulated(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """int_0^horizon exp(-(x + y) t) dt."""
        rate = x + y
        if math.isinf(self.horizon):
            found: np.ndarray = 1.0 / rate
            return found
        safe = np.where(rate == 0, 1.0, rate)
        return np.where(rate == 0, self.horizon, -np.expm1(-rate * self.horizon) / safe)

    def solve(self, K: np.ndarray, Q: np.ndarray) -> np.ndarray:
        """int_0^horizon exp(-K^T t) Q exp(-K t) dt for any K, symmetric or not.

        Over a short time from the exponential of a block matrix (Van Loan 1978), and from there by
        doubling, W_2h = W_h + exp(-K^T h) W_h exp(-K h), where nothing grows that should decay.
        """
        if math.isinf(self.horizon):
            found: np.ndarray = solve_continuous_lyapunov(K.T, Q)
            return found
        n, size = len(K), float(np.linalg.norm(K, 1))
        some = size > 0 and self.horizon > 0
        doublings = max(0, math.ceil(math.log2(size) + math.log2(self.horizon))) if some else 0
        block = np.block([[K.T, Q], [np.zeros_like(K), -K]])
        blocks = expm(block * math.ldexp(self.horizon, -doublings))
        decay = blocks[n:, n:]
        return powers_summed(decay, decay.T @ blocks[:n, n:], 2**doublings)


@dataclass(frozen=True)
class Descent:
    """e_k+1 = (1 - learning_rate K) e_k for `horizon` steps k = 0, ..., horizon - 1."""

    horizon: float
    learning_rate: float

    def lasts(self, values: np.ndarray) -> np.ndarray:
        """Which eigenvalues belong to modes that never decay; complex ones, too."""
        steps = self.learning_rate * values  # |1 - z| >= 1, where 1 - z would round
        found: np.ndarray = np.abs(steps) ** 2 >= 2.0 * np.real(steps)
        return found

    @property
    def some_rate(self) -> float:
        """A rate that decays."""
        return 1.0 / self.learning_rate

    def remedy(self, values: np.ndarray) -> str:
        """What to do about them, for all eigenvalues: |1 - rate v| < 1 bounds the rate."""
        if (np.real(values) <= 0).any():
            return "give a finite horizon, or add a ridge to K"
        bound = np.min(2.0 * np.real(values) / np.abs(values) ** 2)
        rotating = bool((np.imag(values) != 0).any())
        of = "2 re(v) / |v|^2 of all eigenvalues v" if rotating else "2 / (largest eigenvalue)"
        return (
            f"learning_rate={self.learning_rate:g} must be below {of} = {bound:.6g}; or give a "
            "finite horizon"
        )

    def accumulated(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """sum_k ((1 - learning_rate x) (1 - learning_rate y))^k."""
        x, y = self.learning_rate * x, self.learning_rate * y
        gone, left = x + y - x * y, (1.0 - x) * (1.0 - y)
        if math.isinf(self.horizon):
            found: np.ndarray = 1.0 / gone
            return found
        # 1 - left^N through logarithms where left is near 1: the power would lose what is gone
        little = -np.expm1(self.horizon * np.log1p(-np.minimum(gone, 0.5)))
        summed = np.where(gone < 0.5, little, 1.0 - left**self.horizon)
        return np.where(gone == 0, self.horizon, summed / np.where(gone == 0, 1.0, gone))

    def solve(self, K: np.ndarray, Q: np.ndarray) -> np.ndarray:
        """sum_k (A^T)^k Q A^k with A = 1 - learning_rate K, for any K."""
        A = np.eye(len(K)) - self.learning_rate * K
        if math.isinf(self.horizon):
            found: np.ndarray = solve_discrete_lyapunov(A.T, Q)
            return found
        return powers_summed(A, Q, int(self.horizon))


def powers_summed(A: np.ndarray, Q: np.ndarray, n: int) -> np.ndarray:
    """sum_{k<n} (A^T)^k Q A^k by doubling, in about 2 log2(n) steps."""
    found, power = np.zeros_like(Q), np.eye(len(A))
    for bit in f"{n:b}":  # from the sum of m terms and A^m to those of 2 m, or 2 m + 1
        found, power = found + power.T @ found @ power, power @ power
        if bit == "1":
            found, power = Q + A.T @ found @ A, power @ A
    return found
