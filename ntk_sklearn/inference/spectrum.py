"""What the eigenvalues of a training kernel, and the targets in its modes, tell of learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .checks import as_columns, as_gram, as_weight, check_positive
from .schedule import Schedule
from .training import TrainingModes, remaining, training_modes

_FLOW = Schedule()


@dataclass(frozen=True)
class Spectrum:
    r"""Eigenvalues of W^1/2 K W^1/2 (n,), the largest first, and what of the targets is in them.

    Attributes
    ----------
    eigenvalues : ndarray, (n,)
        v_i, descending; those below rounding of the largest are exactly 0.
    coefficients : ndarray, (n, k), or None
        V^T W^1/2 y, the projections of the targets on the modes; the sign of a mode is arbitrary,
        and among equal eigenvalues its direction is, too.
    initial_power : ndarray, (n,), or None
        Expectation of the squared projections of random initial functions on the modes, summed
        over outputs.
    """

    eigenvalues: np.ndarray
    coefficients: np.ndarray | None = None
    initial_power: np.ndarray | None = None

    @property
    def power(self) -> np.ndarray:
        """Squared projections of the targets on the modes, summed over outputs (n,).

        Raises
        ------
        ValueError
            If the spectrum was taken without targets.
        """
        if self.coefficients is None:
            raise ValueError("the power of the targets needs targets: kernel_spectrum(K, targets)")
        found: np.ndarray = (self.coefficients**2).sum(axis=1)
        return found

    @property
    def cumulative_power(self) -> np.ndarray:
        """Share of the power of the targets in the first 1, 2, ... modes (n,).

        (The cumulative power distribution of Canatar et al. 2021.)

        Raises
        ------
        ValueError
            If the targets are 0.
        """
        if not self.power.any():
            raise ValueError("targets of 0 have no power, and no share of it is in any mode")
        found: np.ndarray = np.cumsum(self.power) / self.power.sum()
        return found

    @property
    def participation_ratio(self) -> float:
        """(sum v)^2 / sum v^2: n for equal eigenvalues, 1 if there is one."""
        values = self._scaled
        return float(values.sum() ** 2 / (values**2).sum())

    @property
    def effective_rank(self) -> float:
        """exp(-sum p log p) of p = v / sum v (Roy and Vetterli 2007)."""
        shares = self._scaled / self._scaled.sum()
        shares = shares[shares > 0]
        return float(np.exp(-(shares * np.log(shares)).sum()))

    @property
    def _scaled(self) -> np.ndarray:
        if not self.eigenvalues[0] > 0:
            raise ValueError("the kernel is 0: it has no eigenvalue above 0")
        return self.eigenvalues / self.eigenvalues[0]

    def effective_dimension(self, ridge: float) -> float:
        """sum v / (v + ridge), the trace of the smoother of kernel ridge regression.

        Without a ridge the number of eigenvalues above 0 (Zhang 2005; Caponnetto and De Vito 2007).

        Raises
        ------
        ValueError
            For a negative ridge.
        """
        present = self.eigenvalues[self.eigenvalues > 0]
        return float((present / (present + _checked(ridge))).sum())

    def learning_times(
        self, fraction: float = 0.5, schedule: Schedule = _FLOW, ridge: float = 0.0
    ) -> np.ndarray:
        r"""When a fraction of what is ever learned of each mode has been learned (n,).

        -log(1 - fraction) / (v + ridge) in gradient flow, for a half the half-life log 2 / v, for
        1 - 1/e the time 1 / v. In steps of size h, log(1 - fraction) / log|1 - h (v + ridge)|: not
        an integer, inf where they diverge, 0 where one step learns all. Modes that are never
        learned take inf.

        Parameters
        ----------
        fraction : float in (0, 1)
        schedule : Schedule, default=Schedule()
            Gradient flow on the summed loss, or steps without momentum.
        ridge : float, default=0
            In units of the kernel.

        Raises
        ------
        ValueError
            For another fraction, a negative ridge, and momentum, with which modes oscillate.
        """
        if not 0.0 < fraction < 1.0:
            raise ValueError(f"fraction must be between 0 and 1, got {fraction!r}")
        rates = np.where(self.eigenvalues > 0, self.eigenvalues + _checked(ridge), 0.0)
        decay = schedule.decay(rates)
        with np.errstate(divide="ignore"):
            return np.where(decay > 0, -np.log1p(-fraction) / decay, np.inf)

    def losses(
        self, times: Sequence[float], schedule: Schedule = _FLOW, ridge: float = 0.0
    ) -> np.ndarray:
        r"""Training losses 1/2 sum_i w_i \|f_t(x_i) - y_i\|^2 at times (n_times,), exactly.

        Sums over modes of power times the square of what is left of the mode; from f_0 = 0, or the
        expectation over random f_0 if `initial_power` is known.

        Parameters
        ----------
        times : sequence of float
            Times of the flow, or numbers of steps; inf is convergence.
        schedule : Schedule, default=Schedule()
        ridge : float, default=0
            In units of the kernel.

        Raises
        ------
        ValueError
            For negative times, numbers of steps that are not whole, and steps that diverge; if the
            spectrum was taken without targets.
        """
        _check_times(times, schedule.learning_rate is not None)
        schedule.check(float(self.eigenvalues[0]) + _checked(ridge))
        power = self.power if self.initial_power is None else self.power + self.initial_power
        left = [remaining(self.eigenvalues, schedule.learned(t), ridge) for t in times]
        return np.array([0.5 * float(rest**2 @ power) for rest in left])


def kernel_spectrum(
    kernel: np.ndarray,
    targets: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    initial_covariance: np.ndarray | None = None,
) -> Spectrum:
    """The spectrum of a training kernel (n, n).

    Parameters
    ----------
    kernel : ndarray, (n, n)
        Symmetric and positive semidefinite.
    targets : ndarray, (n,) or (n, k), optional
        Minus the initial function, if that is known and not 0.
    weight : ndarray, (n,), optional
        Positive weights of the samples: the modes are those of W^1/2 K W^1/2.
    initial_covariance : ndarray, (n, n), optional
        Of each output of random initial functions with mean 0: the NNGP of the rows.

    Raises
    ------
    ValueError
        For matrices that are not square, symmetric, positive semidefinite and of one size; targets
        and weights that do not fit them; weights that are not positive; an initial covariance
        without targets.

    Examples
    --------
    >>> import numpy as np
    >>> found = kernel_spectrum(np.diag([4.0, 1.0]), targets=np.array([1.0, 2.0]))
    >>> found.eigenvalues.tolist(), found.power.tolist(), found.effective_dimension(1.0)
    ([4.0, 1.0], [1.0, 4.0], 1.3)
    """
    kernel = as_gram(kernel, "kernel")
    weights = None if weight is None else as_weight(weight, len(kernel))
    modes = training_modes(kernel, weights)
    check_positive(modes.system.values, kernel * modes.root_weight**2, "kernel")
    columns = None if targets is None else as_columns(targets, len(kernel))
    if initial_covariance is None:
        return spectrum_of(modes, columns)
    if columns is None:
        raise ValueError("initial_covariance needs targets, whose outputs it counts")
    covariance = as_gram(initial_covariance, "initial_covariance", len(kernel))
    variances = np.linalg.eigvalsh(covariance)
    check_positive(variances[variances > 0], covariance, "initial_covariance")
    return spectrum_of(modes, columns, covariance)


def spectrum_of(
    modes: TrainingModes,
    targets: np.ndarray | None = None,
    initial_covariance: np.ndarray | None = None,
) -> Spectrum:
    """The same of modes that are known already, with targets (n, k)."""
    values = modes.system.values[::-1]
    if targets is None:
        return Spectrum(values)
    coefficients = modes.projections(targets)[::-1]
    if initial_covariance is None:
        return Spectrum(values, coefficients)
    vectors = modes.root_weight[:, np.newaxis] * modes.system.vectors
    spread = targets.shape[1] * (vectors * (initial_covariance @ vectors)).sum(axis=0)[::-1]
    return Spectrum(values, coefficients, spread)


def _check_times(times: Sequence[float], steps: bool) -> None:
    found = np.asarray(times, dtype=np.float64)
    if found.ndim != 1 or not (found >= 0).all():
        raise ValueError(f"times must be a sequence of numbers >= 0, got {times!r}")
    if steps and (found[np.isfinite(found)] % 1 != 0).any():
        raise ValueError(f"with a learning_rate times count steps and must be whole, got {times!r}")


def _checked(ridge: float) -> float:
    if not ridge >= 0:
        raise ValueError(f"ridge must be >= 0, in units of the kernel, got {ridge!r}")
    return ridge
