"""What gradient-based training does in function space, on squared loss.

An infinitely wide network moves linearly in its tangent features. From the initial function f_0
on, with the training kernel Theta, weights W and a ridge rho on the distance travelled,

    f_t(x) = f_0(x) + Theta(x, X) c_t,   c_t = W^1/2 V g_t(v) V^T W^1/2 (y - f_0(X)),

where V diag(v) V^T = W^1/2 Theta W^1/2 and g_t(v) = learned_t(v + rho) / (v + rho) with one of the
functions of `filters`. The loss is 1/2 sum_i w_i |f(x_i) - y_i|^2; a mean over samples and outputs
divides the time by `mean_loss_scale`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..solvers import Eigensystem, eigendecompose

Learned = Callable[[np.ndarray], np.ndarray]

# An eigenvalue so small that what is learned of its mode is proportional to it at any finite time.
_SMALL = 1e-200


def filtered(values: np.ndarray, learned: Learned, ridge: float = 0.0) -> np.ndarray:
    """learned(v + ridge) / (v + ridge) of every mode with eigenvalue v.

    Of modes that the kernel does not have, without a ridge: the limit for small v, the time itself;
    but 0 at convergence, where they are left out.
    """
    present = values + ridge > 0
    shifted = np.where(present, values + ridge, _SMALL)
    found = learned(shifted)
    converged = ~present & (found >= 1.0)
    return np.where(converged, 0.0, found / shifted)


def remaining(values: np.ndarray, learned: Learned, ridge: float = 0.0) -> np.ndarray:
    """1 - v learned(v + ridge) / (v + ridge): what is left of the residual in every mode."""
    left: np.ndarray = 1.0 - values * filtered(values, learned, ridge)
    return left


@dataclass(frozen=True)
class TrainingModes:
    """The eigenmodes that training learns one by one; they serve every ridge and every time.

    Attributes
    ----------
    system : Eigensystem
        Of W^1/2 Theta W^1/2.
    root_weight : ndarray, (n,)
    """

    system: Eigensystem
    root_weight: np.ndarray

    def coefficients(
        self, residual: np.ndarray, learned: Learned, ridge: float = 0.0
    ) -> np.ndarray:
        """Dual coefficients c (n, k) for initial residuals y - f_0(X), (n, k)."""
        root = self.root_weight[:, np.newaxis]
        return root * self.system.apply(self.filtered(learned, ridge), root * residual)

    def filtered(self, learned: Learned, ridge: float = 0.0) -> np.ndarray:
        """learned(v + ridge) / (v + ridge) of every mode; see the function of that name."""
        return filtered(self.system.values, learned, ridge)

    def smoother(self, cross: np.ndarray, learned: Learned, ridge: float = 0.0) -> np.ndarray:
        """A (m, n) with f(x) = f_0(x) + A (y - f_0(X)), from the kernel (m, n) of new rows."""
        vectors = self.root_weight[:, np.newaxis] * self.system.vectors
        found: np.ndarray = ((cross @ vectors) * self.filtered(learned, ridge)) @ vectors.T
        return found

    def loss(self, residual: np.ndarray, learned: Learned, ridge: float = 0.0) -> float:
        """Training loss 1/2 sum_i w_i |f(x_i) - y_i|^2, solving nothing."""
        left = remaining(self.system.values, learned, ridge)
        return 0.5 * float(((left[:, np.newaxis] * self.projections(residual)) ** 2).sum())

    def projections(self, residual: np.ndarray) -> np.ndarray:
        """V^T W^1/2 r, the coefficients (n, k) of residuals (n, k) in the eigenmodes."""
        found: np.ndarray = self.system.vectors.T @ (self.root_weight[:, np.newaxis] * residual)
        return found

    @property
    def kernel(self) -> np.ndarray:
        """Theta (n, n), put together again."""
        vectors = self.system.vectors / self.root_weight[:, np.newaxis]
        found: np.ndarray = (vectors * self.system.values) @ vectors.T
        return found

    @property
    def critical_learning_rate(self) -> float:
        """2 / (v_min + v_max), in units of the summed loss (Lee et al. 2019, theorem 2.1)."""
        return 2.0 / (float(self.system.values[0]) + self.system.largest)


def training_modes(theta: np.ndarray, weight: np.ndarray | None = None) -> TrainingModes:
    """The modes of a training kernel (n, n) with weights (n,) of the samples."""
    root = np.ones(len(theta)) if weight is None else np.sqrt(weight)
    return TrainingModes(eigendecompose(root[:, np.newaxis] * theta * root), root)


def mean_loss_scale(weight: np.ndarray, n_outputs: int) -> float:
    """What a time for a mean over samples and outputs is divided by."""
    return float(np.sum(weight)) * n_outputs
