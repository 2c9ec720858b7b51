r"""What outputs see of the errors that training leaves: the observability Gramian of e' = -K e.

Training on squared loss is a linear system. The error e = f - y of the training rows follows
e' = -K e, or e_k+1 = (1 - learning_rate K) e_k, and outputs C e are watched. What is seen in all is
a quadratic form of the error at the beginning, the cost identity

.. math:: \int_0^T |C e(t)|^2\, dt = e_0^T W_T\, e_0, \qquad
          W_T = \int_0^T e^{-K^T t}\, C^T C\, e^{-K t}\, dt

(Antoulas 2005, chapter 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigh, eigvals

from .checks import as_columns
from .decay import Descent, Flow


def observability_gramian(
    K: Any, C: Any = None, horizon: float = math.inf, learning_rate: float | None = None
) -> np.ndarray:
    r"""The Gramian W of errors e' = -K e seen through outputs C e.

    In continuous time the solution of :math:`K^T W + W K = C^T C`; for a symmetric K with
    eigenvectors V and eigenvalues v,

    .. math:: (V^T W V)_{ij} = (V^T C^T C V)_{ij}\, \frac{1 - e^{-(v_i + v_j) T}}{v_i + v_j},

    and with steps :math:`\sum_{k<N} ((1 - \eta v_i)(1 - \eta v_j))^k` in place of the fraction.
    Only for C = 1, a symmetric positive definite K and an infinite horizon is that
    :math:`(2 K)^{-1}`, with steps :math:`(2 \eta K - \eta^2 K^2)^{-1}`.

    Parameters
    ----------
    K : array-like, (n, n)
        The training kernel. With sample weights w and a ridge, ``Theta * w + ridge * eye(n)``: the
        distance to the function that training ends in decays by it. It need not be symmetric.
    C : array-like, (p, n), or None
        What is observed, one row per output: rows of the identity for some of the samples,
        ``Theta(x, X) Theta(X, X)^-1`` for the part of the errors at new rows that training moves.
        None is the identity.
    horizon : float, default=inf
        The time; with a `learning_rate` the number of errors e_0, ..., e_horizon-1 that count.
    learning_rate : float or None, default=None
        None is gradient flow, a number is gradient descent in steps of this size.

    Returns
    -------
    ndarray, (n, n)
        Symmetric positive semidefinite, in units of C^2 times the time (or 1, for steps).

    Raises
    ------
    ValueError
        If the horizon is infinite and an observed mode never decays (of a K that is not symmetric,
        any mode): K is singular or not stable, or the learning rate is 2 / (largest eigenvalue) or
        more, 2 re(v) / |v|^2 of a complex eigenvalue v. If K or C is not finite or of
        another shape.
    """
    K, C, decay = _checked(K, C, horizon, learning_rate)
    if not _symmetric(K):
        return _general(K, C, decay)
    modes = _modes(K, C, decay)
    rates, V = modes.rates, modes.vectors
    if C is None:
        return _symmetrized((V * decay.accumulated(rates, rates)) @ V.T)
    inner = (modes.seen.T @ modes.seen) * decay.accumulated(rates[:, np.newaxis], rates)
    return _symmetrized(V @ inner @ V.T)


@dataclass(frozen=True)
class ObservedModes:
    """How much is seen of each eigenmode of a symmetric K.

    Where eigenvalues are equal and not all is observed, the modes depend on the basis that was
    chosen among them; the sum of their energies does not.

    Attributes
    ----------
    values : ndarray, (n,)
        Eigenvalues, ascending.
    vectors : ndarray, (n, n)
        Modes v_i in columns.
    energies : ndarray, (n,)
        v_i^T W v_i, what is seen of a mode that begins with the size 1; |C v_i|^2 / (2 values) for
        an infinite horizon.
    """

    values: np.ndarray
    vectors: np.ndarray
    energies: np.ndarray

    @property
    def ranking(self) -> np.ndarray:
        """Indices of the modes, those first of which most is seen."""
        return np.argsort(-self.energies, kind="stable")

    def costs(self, error: Any) -> np.ndarray:
        """c_i^2 v_i^T W v_i (n,) of an initial error (n,) or (n, k), with c_i = v_i^T e.

        They sum to the cost e^T W e for C = 1. For another C the modes interfere: add
        2 c_i c_j v_i^T W v_j for all pairs.

        Raises
        ------
        ValueError
            For errors that are not finite, or of another number.
        """
        parts = self.vectors.T @ as_columns(error, len(self.values), "error")
        found: np.ndarray = self.energies * (parts**2).sum(axis=1)
        return found


def observed_modes(
    K: Any, C: Any = None, horizon: float = math.inf, learning_rate: float | None = None
) -> ObservedModes:
    """Eigenmodes of a symmetric K with what is seen of each; see `observability_gramian`.

    For C = 1 the slowest mode is the one that is seen most.

    Parameters
    ----------
    K : array (n, n)
        Symmetric.
    C, horizon, learning_rate
        As of `observability_gramian`.

    Returns
    -------
    ObservedModes
        Eigenvalues, ascending, eigenvectors in columns, and the cost of a unit of each.

    Raises
    ------
    ValueError
        As `observability_gramian`, and if K is not symmetric.
    """
    K, C, decay = _checked(K, C, horizon, learning_rate)
    if not _symmetric(K):
        raise ValueError("K must be symmetric to have orthogonal modes: use observability_gramian")
    modes = _modes(K, C, decay)
    size = np.ones(len(K)) if C is None else (modes.seen**2).sum(axis=0)
    energies = size * decay.accumulated(modes.rates, modes.rates)
    return ObservedModes(modes.values, modes.vectors, energies)


class _Modes(NamedTuple):
    """Eigenvalues and vectors of K, C times these, and the rates at which they decay.

    Modes that do not decay, and are not observed, have the part 0 and any rate that does.
    """

    values: np.ndarray
    vectors: np.ndarray
    seen: np.ndarray
    rates: np.ndarray


def _modes(K: np.ndarray, C: np.ndarray | None, decay: Flow | Descent) -> _Modes:
    values, vectors = eigh(K)
    values = _rounded(values)
    seen = vectors if C is None else C @ vectors
    if math.isfinite(decay.horizon):
        return _Modes(values, vectors, seen, values)
    lasting, size = decay.lasts(values), np.linalg.norm(seen, axis=0)
    rounding = 10.0 * len(K) * np.finfo(np.float64).eps * np.linalg.norm(size)
    _refuse(lasting & (size > rounding), values, decay)
    rates = np.where(lasting, decay.some_rate, values)
    return _Modes(values, vectors, np.where(lasting, 0.0, seen), rates)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Eigenvalues, exactly 0 where they are nothing but rounding."""
    cutoff = len(values) * np.finfo(np.float64).eps * np.abs(values).max()
    return np.where(np.abs(values) > cutoff, values, 0.0)


def _general(K: np.ndarray, C: np.ndarray | None, decay: Flow | Descent) -> np.ndarray:
    if math.isinf(decay.horizon):
        values = _rounded(eigvals(K))
        _refuse(decay.lasts(values), values, decay, "")
    Q = np.eye(len(K)) if C is None else C.T @ C
    return _symmetrized(decay.solve(K, Q))


def _refuse(
    lasting: np.ndarray, values: np.ndarray, decay: Flow | Descent, which: str = "observed "
) -> None:
    if lasting.any():
        raise ValueError(
            f"{int(lasting.sum())} {which}modes of K never decay, and the Gramian of an infinite "
            f"horizon is infinite: {decay.remedy(values)}"
        )


def _symmetric(K: np.ndarray) -> bool:
    """Whether K is symmetric up to rounding."""
    tolerance = len(K) * np.finfo(np.float64).eps * np.abs(K).max()
    return bool(np.abs(K - K.T).max() <= tolerance)


def _symmetrized(W: np.ndarray) -> np.ndarray:
    found: np.ndarray = (W + W.T) / 2.0
    return found


def _checked(
    K: Any, C: Any, horizon: Any, learning_rate: Any
) -> tuple[np.ndarray, np.ndarray | None, Flow | Descent]:
    K = np.asarray(K, dtype=np.float64)
    if K.ndim != 2 or K.shape[0] != K.shape[1] or not K.size or not np.isfinite(K).all():
        raise ValueError(f"K must be a finite square matrix, got one of shape {K.shape}")
    if C is not None:
        C = np.asarray(C, dtype=np.float64)
        if C.ndim != 2 or C.shape[1] != len(K) or not np.isfinite(C).all():
            raise ValueError(
                f"C must be a finite matrix (outputs, {len(K)}), one row per observed output, got "
                f"one of shape {C.shape}"
            )
    if isinstance(horizon, bool) or not isinstance(horizon, Real) or not float(horizon) >= 0:
        raise ValueError(f"horizon must be a number in [0, inf], got {horizon!r}")
    time = float(horizon)
    if learning_rate is None:
        return K, C, Flow(time)
    if isinstance(learning_rate, bool) or not isinstance(learning_rate, Real):
        raise TypeError(f"learning_rate must be None or a number > 0, got {learning_rate!r}")
    if not 0 < float(learning_rate) < np.inf:
        raise ValueError(f"learning_rate must be None or a number > 0, got {learning_rate!r}")
    if math.isfinite(time) and time != int(time):
        raise ValueError(f"with a learning_rate the horizon counts steps, got {horizon!r}")
    return K, C, Descent(time, float(learning_rate))
