r"""Natural gradient and damped Gauss-Newton on squared loss: ``D = J^T J / n + damping I``.

J has rows of n samples (times k outputs), and undamped D is the Fisher matrix of Gaussian noise of
variance 1. Everything goes through the small side K = J J^T (n k, n k):

    D^-1 J^T = J^T (K / n + damping)^-1.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import torch
from torch import Tensor, nn

from ..tangent import EmpiricalNTK, Inputs, Jacobian, ModuleFunction, as_function

# Negative eigenvalues that single precision leaves, in units of the largest.
_NEGATIVE = 1e-5


def gauss_newton_kernel(
    kernel: np.ndarray,
    n_samples: int,
    damping: float = 0.0,
    *,
    rows: np.ndarray | None = None,
    columns: np.ndarray | None = None,
    between: np.ndarray | None = None,
) -> np.ndarray:
    r"""``J D^{-1} J^T`` with ``D = J^T J / n + damping I``, from the kernel alone.

    On the samples X that make D, of tangent kernel K = K(X, X),

    .. math:: K_D(X, X) = n K (K + n \delta I)^{-1}, \qquad
              K_D(A, X) = n K(A, X) (K + n \delta I)^{-1},

    so that a mode of K with eigenvalue lambda decays at the rate lambda / (lambda / n + delta).
    Undamped, D^-1 is the pseudo-inverse: ``K_D(X, X)`` is n times the projection on the range of K,
    which is n times the identity if J has full row rank: then all modes decay alike. Without
    full row rank the modes in the null space of K do not decay at all.

    Parameters
    ----------
    kernel : ndarray, (n k, n k)
        K(X, X), all outputs of all samples; of an infinitely wide network (n, n) does for all
        outputs.
    n_samples : int
        The n that D divides by.
    damping : float
        delta >= 0.
    rows : ndarray, (p, n k) or None
        K(A, X), for K_D(A, X).
    columns : ndarray, (q, n k) or None
        K(B, X); with it and K(A, B), K_D(A, B) is returned.
    between : ndarray, (p, q) or None
        K(A, B), needed with `columns` and damping.

    Returns
    -------
    ndarray
        (n k, n k), (p, n k) with `rows`, (p, q) with `rows` and `columns`.

    Raises
    ------
    ValueError
        If `damping` is negative or not finite, or `n_samples` no positive integer; if `kernel` is
        not finite, symmetric and positive semi-definite; if blocks are missing or do not fit.

    Notes
    -----
    With `rows` and `columns`, rounding of the blocks is divided by the damping: where
    ``K(A, B) - K(A, X) K^+ K(X, B)`` is nearly 0, what is left of it is rounding.

    References
    ----------
    Amari, "Natural gradient works efficiently in learning", 1998; Zhang, Martens and Grosse, "Fast
    convergence of natural gradient descent for overparameterized neural networks", 2019.
    """
    damping = _checked_damping(damping)
    kernel = _checked_kernel(kernel, n_samples)
    rows, columns, between = _checked_blocks(len(kernel), rows, columns, between)
    values, vectors = np.linalg.eigh(kernel)
    if values[0] < -_NEGATIVE * max(values[-1], 0.0):
        raise ValueError(
            f"kernel must be positive semi-definite, it has the eigenvalue {values[0]:.3g} beside "
            f"{values[-1]:.3g}"
        )
    kept = _kept(values)
    values, vectors = values[kept], vectors[:, kept]
    left = (kernel if rows is None else rows) @ vectors
    rate = 1.0 / (values / n_samples + damping)
    if columns is None:
        found: np.ndarray = (left * rate) @ vectors.T
        return found
    if rows is None or (damping > 0 and between is None):
        raise ValueError("columns need rows, and with damping the block between them")
    right = columns @ vectors
    if damping == 0:
        found = (left * (rate / values)) @ right.T
    else:
        assert between is not None
        found = (between - (left * (rate / n_samples)) @ right.T) / damping
    return found


@dataclass(frozen=True, eq=False)
class GaussNewtonPreconditioner:
    """``D = J^T J / n + damping I`` as a preconditioner, by products with J and J^T.

    Attributes
    ----------
    jacobian : Jacobian
        J (n k, n_parameters), of the samples that make D.
    values, vectors : Tensor
        Eigensystem of K = J J^T, of the eigenvalues that are not 0.
    damping : float
        Undamped, D^-1 is the pseudo-inverse.
    """

    jacobian: Jacobian
    values: Tensor
    vectors: Tensor
    damping: float

    @property
    def n_parameters(self) -> int:
        """Length of the vectors."""
        return self.jacobian.function.n_parameters

    def apply(self, v: Tensor) -> Tensor:
        """D^-1 v (..., n_parameters)."""
        return self._power(v, -1.0)

    def root(self, v: Tensor) -> Tensor:
        """D^-1/2 v."""
        return self._power(v, -0.5)

    def _power(self, v: Tensor, power: float) -> Tensor:
        outside = self.damping**power if self.damping else 0.0
        inside = (self.values / len(self.jacobian) + self.damping) ** power - outside
        flat = [self._filtered(w, inside / self.values) for w in v.reshape(-1, v.shape[-1])]
        return outside * v + torch.stack(flat).view_as(v)

    def _filtered(self, v: Tensor, factors: Tensor) -> Tensor:
        """J^T U diag(factors) U^T J v."""
        seen = self.jacobian.jvp(v)
        back = self.vectors @ (factors * (self.vectors.mT @ seen.flatten()))
        return self.jacobian.vjp(back.view_as(seen))


def gauss_newton(
    module: nn.Module | ModuleFunction, X: Inputs, damping: float = 0.0
) -> GaussNewtonPreconditioner:
    """The Gauss-Newton matrix of squared loss (the Fisher matrix) of some samples.

    Parameters
    ----------
    module : torch.nn.Module or ModuleFunction
    X : inputs
        The samples that make D; K of all of them is decomposed, in O((n k)^3).
    damping : float
        delta >= 0.

    Returns
    -------
    GaussNewtonPreconditioner

    Raises
    ------
    ValueError
        If `damping` is negative or not finite.
    """
    damping = _checked_damping(damping)
    function = as_function(module)
    K = EmpiricalNTK(function).blocks(X)
    values, vectors = torch.linalg.eigh(K.flatten(2).flatten(0, 1))
    kept = torch.from_numpy(_kept(values.cpu().numpy())).to(values.device)
    J = Jacobian(function, function.values, function.prepare(X))
    return GaussNewtonPreconditioner(J, values[kept], vectors[:, kept], damping)


def _checked_damping(damping: float) -> float:
    if not isinstance(damping, Real) or not 0 <= float(damping) < np.inf:
        raise ValueError(f"damping must be a finite number >= 0, got {damping!r}")
    return float(damping)


def _checked_kernel(kernel: np.ndarray, n_samples: int) -> np.ndarray:
    if isinstance(n_samples, bool) or not isinstance(n_samples, Integral) or n_samples < 1:
        raise ValueError(f"n_samples must be a positive integer, got {n_samples!r}")
    K = np.asarray(kernel)
    if K.ndim != 2 or K.shape[0] != K.shape[1] or not K.size:
        raise ValueError(
            f"kernel must be a square matrix, got shape {K.shape}: blocks (n, k, n, k) are "
            "flattened by .reshape(n * k, n * k)"
        )
    K = K if K.dtype.kind == "f" else K.astype(np.float64)
    if not np.abs(K - K.T).max() <= 1e-5 * np.abs(K).max():
        raise ValueError("kernel must be finite and symmetric")
    symmetric: np.ndarray = (K + K.T) / 2
    return symmetric


def _checked_blocks(size: int, *blocks: np.ndarray | None) -> list[np.ndarray | None]:
    """Rows, columns and between, where they are given, as matrices that fit."""
    found = [None if block is None else np.asarray(block) for block in blocks]
    rows, columns, between = found
    for block, name in ((rows, "rows"), (columns, "columns")):
        if block is not None and (block.ndim != 2 or block.shape[1] != size):
            raise ValueError(f"{name} must have shape (m, {size}), got {block.shape}")
    if between is None or rows is None or columns is None:
        return found
    if between.shape != (len(rows), len(columns)):
        raise ValueError(
            f"between must have shape {(len(rows), len(columns))}, got {between.shape}"
        )
    return found


def _kept(values: np.ndarray) -> np.ndarray:
    """Which eigenvalues of a positive semi-definite matrix are not 0 by rounding."""
    eps = np.finfo(values.dtype).eps
    found: np.ndarray = values > len(values) * eps * max(float(values[-1]), 0.0)
    return found
