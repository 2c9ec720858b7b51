"""Expected errors of kernel ridge regression on new data, from the spectrum alone.

Of n samples, drawn independently from the measure whose eigenfunctions phi_i (orthonormal) and
eigenvalues lambda_i the kernel has, of a target sum_i v_i phi_i with independent noise of variance
s^2, and with a ridge delta: the solution kappa of

    n = sum_i lambda_i / (lambda_i + kappa) + delta / kappa

sets the learnabilities L_i = lambda_i / (lambda_i + kappa), and in expectation over samples

    test error  = E_0 (sum_i (1 - L_i)^2 v_i^2 + s^2),   E_0 = n / (n - sum_i L_i^2)
    train error = (delta / (n kappa))^2 * test error,

mean squared errors against noisy targets (Bordelon, Canatar and Pehlevan 2020; Canatar et al. 2021;
Simon et al. 2023). The limit of many samples and modes, for phi_i that behave as if they were
independent and Gaussian: right to a few per cent on spheres in dimension 6, while on the circle,
with little noise and ridge, real errors are larger by factors (docs/spectra.md has numbers).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from ..solvers import LEAST


@dataclass(frozen=True)
class LearningCurve:
    """Expected errors of kernel ridge regression for numbers n of training samples.

    Attributes
    ----------
    n_samples : ndarray, (n_sizes,)
    kappa : ndarray, (n_sizes,)
        The implicit ridge: modes with eigenvalues above it are learned.
    learnabilities : ndarray, (n_sizes, n_levels)
        L_i: the share of the coefficient of a mode that is in the mean prediction.
    overfitting : ndarray, (n_sizes,)
        E_0 >= 1, by which noise (and all that is not learned) is amplified.
    test : ndarray, (n_sizes,)
        Mean squared error against the target without noise.
    train : ndarray, (n_sizes,)
        Mean squared error at the training samples, against their noisy targets.
    noise : float
        Variance of the noise; `test` plus this is the error against noisy targets.
    """

    n_samples: np.ndarray
    kappa: np.ndarray
    learnabilities: np.ndarray
    overfitting: np.ndarray
    test: np.ndarray
    train: np.ndarray
    noise: float


def learning_curve(
    n_samples: ArrayLike,
    eigenvalues: ArrayLike,
    power: ArrayLike,
    multiplicities: ArrayLike | None = None,
    *,
    ridge: float = 0.0,
    noise: float = 0.0,
    tail: float = 0.0,
) -> LearningCurve:
    """Expected test and training errors of kernel ridge regression against n.

    Parameters
    ----------
    n_samples : array-like, (n_sizes,)
        Positive.
    eigenvalues : array-like, (n_levels,)
        Of the kernel's integral operator under the measure of the data, such as `resolved` of
        `SphereSpectrum`; of a sample of N rows, the eigenvalues of the Gram divided by N, which
        describes draws from these N.
    power : array-like, (n_levels,)
        Sums of v_i^2 over the modes of each level; their sum is the mean square of the target. Of a
        sample of N rows, `Spectrum.power` divided by N.
    multiplicities : array-like, (n_levels,), optional
        Modes of each level; 1 unless given.
    ridge : float, default=0
        delta, added to the diagonal of the Gram of the n samples.
    noise : float, default=0
        Variance of the noise of targets.
    tail : float, default=0
        Sum of all eigenvalues that are left out, as if each of them were far below kappa: they act
        like a ridge on the other modes, but fit the training targets. Power of the target in them
        belongs to a level with eigenvalue 0.

    Returns
    -------
    LearningCurve
        Without ridge and tail, for n at least the number of modes above 0, kappa is 0 and all of
        these are learned: the error of linear regression, infinite at n equal to their number
        (unless nothing of the targets is left over).

    Raises
    ------
    ValueError
        For numbers that are not finite or negative, and levels of different number.

    References
    ----------
    Simon, Dickens, Karkada and DeWeese, "The eigenlearning framework", 2023, section 4.

    Examples
    --------
    Ten equal eigenvalues, no ridge and no noise: n of ten directions are known.

    >>> found = learning_curve([5], [1.0], [1.0], multiplicities=[10])
    >>> round(float(found.learnabilities[0, 0]), 12), round(float(found.test[0]), 12)
    (0.5, 0.5)
    """
    sizes = _numbers(n_samples, "n_samples")
    values, parts = _numbers(eigenvalues, "eigenvalues"), _numbers(power, "power")
    given = np.ones(len(values)) if multiplicities is None else multiplicities
    counts = _numbers(given, "multiplicities")
    if not len(values) == len(parts) == len(counts):
        raise ValueError("eigenvalues, power and multiplicities must be of the same length")
    scalars = {"ridge": ridge, "noise": noise, "tail": tail}
    ridge, noise, tail = (_number(v, name) for name, v in scalars.items())
    if not len(sizes) or not (sizes > 0).all():
        raise ValueError(f"n_samples must be positive, got {n_samples!r}")
    kappa = np.array([implicit_ridge(n, values, counts, ridge + tail) for n in sizes])
    learned = np.array([_learnabilities(values, k) for k in kappa])
    free = np.maximum(sizes - learned**2 @ counts, 0.0)
    missed = (1.0 - learned) ** 2 @ parts + noise
    with np.errstate(divide="ignore", invalid="ignore"):
        overfitting = sizes / free
        noisy = np.where(missed > 0, overfitting * missed, 0.0)
        kept = np.where(kappa > 0, ridge / (sizes * kappa), _kept(sizes, values, counts))
    train = np.where(np.isinf(noisy), 0.0, kept**2 * np.where(np.isinf(noisy), 0.0, noisy))
    return LearningCurve(sizes, kappa, learned, overfitting, noisy - noise, train, noise)


def implicit_ridge(
    n: float, eigenvalues: np.ndarray, multiplicities: np.ndarray, ridge: float = 0.0
) -> float:
    """kappa >= 0 with n = sum m lambda / (lambda + kappa) + ridge / kappa.

    The right side falls in kappa; its root is bracketed by bounds and found by Brent's method in
    log kappa. 0 without a ridge if the modes above 0 are no more than n.
    """
    present = (eigenvalues > LEAST) & (multiplicities > 0)
    values, counts = eigenvalues[present], multiplicities[present]
    most = (float(counts @ values) + ridge) / n  # lambda / (lambda + kappa) < lambda / kappa
    spare = float(counts.sum()) - n
    if most == 0.0 or (ridge == 0.0 and spare <= 0):
        return 0.0
    # kappa / (lambda + kappa) < kappa / lambda; and a ridge alone leaves ridge / kappa = n
    least = max(ridge / n, spare / float((counts / values).sum()) if spare > 0 else 0.0)

    def excess(log_kappa: float) -> float:
        kappa = np.exp(log_kappa)
        return float(counts @ (values / (values + kappa))) + ridge / kappa - n

    low, high = np.log(least) - 1e-9, np.log(most) + 1e-9
    return float(np.exp(brentq(excess, low, high, xtol=1e-14, rtol=1e-14, maxiter=1000)))


def _learnabilities(values: np.ndarray, kappa: float) -> np.ndarray:
    if kappa == 0.0:
        return (values > LEAST).astype(np.float64)
    learned: np.ndarray = values / (values + kappa)
    return learned


def _kept(sizes: np.ndarray, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The limit of ridge / (n kappa) where both are 0: 1 - (number of modes) / n."""
    found: np.ndarray = np.maximum(1.0 - counts[values > LEAST].sum() / sizes, 0.0)
    return found


def _number(value: float, name: str) -> float:
    found = _numbers(value, name)
    if np.ndim(value):
        raise ValueError(f"{name} must be one number, got {value!r}")
    return float(found[0])


def _numbers(values: ArrayLike, name: str) -> np.ndarray:
    found = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if found.ndim != 1 or not found.size or not np.isfinite(found).all() or (found < 0).any():
        raise ValueError(f"{name} must be numbers, finite and not negative, got {values!r}")
    return found
