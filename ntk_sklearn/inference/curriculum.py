"""Targets shown mode by mode, those first that are learned first.

On squared loss, without a ridge, the modes of W^1/2 Theta W^1/2 do not see each other: a mode that
is shown from the time s on is at the time t where it would be at t - s without a curriculum. So a
curriculum of modes only delays. At no time of gradient flow, and after no number of steps of
gradient descent without momentum, is the training loss smaller for it; at a finite time it is
another spectral filter, between gradient flow and a hard cut-off. (With a ridge that holds for the
flow. Steps of more than 1 / (v + ridge) swing about the end of a mode, which is not 0 then, and a
delay may be nearer to 0.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from .checks import as_gram, check_positive
from .schedule import Schedule
from .training import Learned, training_modes

# Modes whose eigenvalues agree to so many parts are one eigenspace, whose basis is arbitrary.
_EQUAL = 1e-6


@dataclass(frozen=True)
class ModeCurriculum:
    """Stages of training that show more and more eigenmodes of the targets.

    Modes come in the order of their learning times 1 / v, those with large eigenvalues first. What
    is hidden of the targets is replaced by the initial function, so that nothing moves there.

    Parameters
    ----------
    starts : sequence of float
        When each stage begins: ascending from 0, in units of `t` (steps, with a learning rate).
    shares : sequence of float
        The share of the modes that is shown from there on: ascending in [0, 1], 1 at the end. Modes
        that the kernel does not have (of eigenvalue 0) do not count and come last; modes with equal
        eigenvalues (to six digits) come together.

    Examples
    --------
    >>> ModeCurriculum(starts=(0, 1, 10), shares=(0.1, 0.5, 1))
    ModeCurriculum(starts=(0.0, 1.0, 10.0), shares=(0.1, 0.5, 1.0))
    """

    starts: Sequence[float]
    shares: Sequence[float]

    def __post_init__(self) -> None:
        for name in ("starts", "shares"):
            object.__setattr__(self, name, _ascending(getattr(self, name), name))
        if len(self.starts) != len(self.shares):
            raise ValueError(
                f"starts and shares belong together: there are {len(self.starts)} and "
                f"{len(self.shares)}"
            )
        if self.starts[0] != 0:
            raise ValueError(f"starts must begin with 0, got {self.starts}")
        if self.shares[0] < 0 or self.shares[-1] != 1:
            raise ValueError(f"shares must lie in [0, 1] and end with 1, got {self.shares}")

    def shown_from(self, values: np.ndarray) -> np.ndarray:
        """When the modes of eigenvalues (n,) are shown, (n,)."""
        found = np.full(len(values), self.starts[-1])
        for start, share in zip(self.starts[::-1], self.shares[::-1], strict=True):
            found[leading_modes(values, share)] = start
        return found

    def learned(self, values: np.ndarray, schedule: Schedule, t: float) -> Learned:
        """What `schedule` has learned at t of the modes with the kernel's eigenvalues (n,).

        A function of those with the ridge added, in the same order.
        """
        starts = self.shown_from(values)

        def of_modes(shifted: np.ndarray) -> np.ndarray:
            found = np.zeros(len(shifted))
            for start in np.unique(starts[starts < t]):
                shown = starts == start
                found[shown] = schedule.learned(t - start)(shifted[shown])
            return found

        return of_modes


def leading_modes(values: np.ndarray, share: float) -> np.ndarray:
    """Which of the eigenvalues (n,) are among the largest, a share of those that are not 0.

    Eigenvalues equal to the last one of these are, too; with a share of 1, all are.
    """
    if share >= 1:
        return np.ones(len(values), dtype=bool)
    present = np.sort(values[values > 0])[::-1]
    count = math.ceil(share * len(present) - 1e-9)  # 0.07 * 100 is 7.000000000000001
    if count == 0:
        return np.zeros(len(values), dtype=bool)
    last, rounding = present[count - 1], 10 * len(values) * np.finfo(np.float64).eps * present[0]
    found: np.ndarray = (values > 0) & (values >= last - max(_EQUAL * last, rounding))
    return found


def filtered_targets(K: Any, y: Any, share: float, weight: Any = None) -> np.ndarray:
    r"""Targets without the modes that are learned last: a projection on eigenvectors of the kernel.

    :math:`W^{-1/2} V_s V_s^T W^{1/2} y` with the leading eigenvectors :math:`V_s` of
    :math:`W^{1/2} K W^{1/2}`. For a torch module with outputs f_0 and the empirical kernel K,
    stages of ``f_0 + filtered_targets(K, y - f_0, share)`` are what `ModeCurriculum` is to an
    estimator; ``filtered_targets(K, y, share)`` also asks it to forget the hidden modes of f_0.

    Parameters
    ----------
    K : array-like, (n, n)
        Kernel of the training rows, symmetric positive semidefinite.
    y : array-like, (n,) or (n, k)
    share : float
        The share of the modes that is kept, in [0, 1]; counted as by `ModeCurriculum`.
    weight : array-like, (n,), default=None
        Positive sample weights.

    Returns
    -------
    ndarray, of the shape of y
    """
    share = check_share(share, "share")
    K, y, weight = check_problem(K, y, weight)
    modes = training_modes(K, weight)
    root = modes.root_weight[:, np.newaxis]
    kept = leading_modes(modes.system.values, share).astype(np.float64)
    check_positive(modes.system.values, K * modes.root_weight**2, "K")
    columns = y.reshape(len(y), -1)
    found: np.ndarray = modes.system.apply(kept, root * columns) / root
    return found.reshape(y.shape)


def check_problem(
    K: Any, y: Any, weight: Any = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A kernel (n, n), targets (n,) or (n, k) and weights (n,) as arrays that fit each other."""
    K, y = as_gram(K, "K"), np.asarray(y, dtype=np.float64)
    if y.ndim not in (1, 2) or len(y) != len(K) or not np.isfinite(y).all():
        raise ValueError(
            f"y must be finite targets ({len(K)},) or ({len(K)}, k), got ones of shape {y.shape}"
        )
    if weight is None:
        return K, y, None
    weight = np.asarray(weight, dtype=np.float64)
    if weight.shape != (len(K),) or not (np.isfinite(weight) & (weight > 0)).all():
        raise ValueError(f"weight must be {len(K)} positive numbers")
    return K, y, weight


def check_share(share: Any, name: str) -> float:
    """A number in [0, 1]."""
    if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= float(share) <= 1:
        raise ValueError(f"{name} must be a number in [0, 1], got {share!r}")
    return float(share)


def _ascending(given: Any, name: str) -> tuple[float, ...]:
    """Finite numbers, each larger than the one before."""
    try:
        found = tuple(float(value) for value in given)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a sequence of numbers, got {given!r}") from None
    steps = np.diff(found)
    if not found or not np.isfinite(found).all() or not (steps > 0).all():
        raise ValueError(f"{name} must be finite and ascending numbers, got {given!r}")
    return found
