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
from .filters import gradient_flow

Learned = Callable[[np.ndarray], np.ndarray]


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
        return root * self.system.apply(self._filter(learned, ridge), root * residual)

    def _filter(self, learned: Learned, ridge: float) -> np.ndarray:
        """learned(v + ridge) / (v + ridge), and 0 for modes the kernel does not have."""
        values = self.system.values
        shifted = values + ridge
        present = values > 0
        safe = np.where(present, shifted, 1.0)
        return np.where(present, learned(safe) / safe, 0.0)

    def loss(self, residual: np.ndarray, learned: Learned) -> float:
        """Training loss 1/2 sum_i w_i |f(x_i) - y_i|^2 without a ridge, solving nothing."""
        parts = self.system.vectors.T @ (self.root_weight[:, np.newaxis] * residual)
        left = np.where(self.system.values > 0, 1.0 - learned(self.system.values), 1.0)
        return 0.5 * float(((left[:, np.newaxis] * parts) ** 2).sum())

    @property
    def critical_learning_rate(self) -> float:
        """2 / v_max, in units of the summed loss: above it gradient descent diverges."""
        return 2.0 / self.system.largest


def training_modes(theta: np.ndarray, weight: np.ndarray | None = None) -> TrainingModes:
    """The modes of a training kernel (n, n) with weights (n,) of the samples."""
    root = np.ones(len(theta)) if weight is None else np.sqrt(weight)
    return TrainingModes(eigendecompose(root[:, np.newaxis] * theta * root), root)


def mean_loss_scale(weight: np.ndarray, n_outputs: int) -> float:
    """What a time for a mean over samples and outputs is divided by."""
    return float(np.sum(weight)) * n_outputs


def max_learning_rate(
    modes: TrainingModes, n_outputs: int = 1, momentum: float = 0.0, loss_scale: str = "sum"
) -> float:
    """The largest stable learning rate of descent with momentum, 2 (1 + momentum) / v_max.

    For ``loss_scale="mean"`` it is larger by the number of samples times outputs.
    """
    rate = (1.0 + momentum) * modes.critical_learning_rate
    return rate * mean_loss_scale(modes.root_weight**2, n_outputs) if loss_scale == "mean" else rate


def ensemble_covariance(
    modes: TrainingModes,
    learned: Learned,
    ridge: float,
    theta_cross: np.ndarray,
    nngp_train: np.ndarray,
    nngp_cross: np.ndarray,
    nngp_new: np.ndarray,
) -> np.ndarray:
    """Covariance of trained networks over their initializations (Lee et al. 2019, eq. 16).

    With A = Theta(x, X) C_t it is K(x, x') + A K(X, X) A^T - (A K(X, x') + transpose), K being the
    NNGP covariance of the initial functions.

    Parameters
    ----------
    modes, learned, ridge
        As for the mean.
    theta_cross, nngp_cross : ndarray, (m, n)
        New against training rows.
    nngp_train, nngp_new : ndarray, (n, n) and (m, m)
    """
    A = theta_cross @ modes.coefficients(np.eye(len(nngp_train)), learned, ridge)
    mixed = A @ nngp_cross.T
    found: np.ndarray = nngp_new + A @ nngp_train @ A.T - (mixed + mixed.T)
    return found


def readout_covariance(
    modes: TrainingModes, t: float, nngp_cross: np.ndarray, nngp_new: np.ndarray, ridge: float = 0.0
) -> np.ndarray:
    """Covariance when only the readout is trained: the kernel of training is the NNGP itself.

    Without a ridge it is K(x, x') - K(x, X) K^-1 (1 - exp(-2 K t)) K(X, x'): the exponent has a
    factor 2, since 1 - (1 - e)^2 of the initial variance e = 1 - exp(-K t) is explained. (The
    printed formula of Lee et al. 2019, S23, lacks it.)
    """
    n = len(modes.root_weight)
    explained = modes.coefficients(np.eye(n), lambda v: gradient_flow(v, 2.0 * t), ridge)
    found: np.ndarray = nngp_new - nngp_cross @ explained @ nngp_cross.T
    return found
