"""The log marginal likelihood of a Gaussian process, and its derivatives.

In torch: the matrix may be on any device, and the factorization is there, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.linalg import LinAlgError
from torch import Tensor

from .merging import Groups


@dataclass(frozen=True)
class MergedTargets:
    r"""Noisy targets of rows of which some are equal, by sufficient statistics.

    Attributes
    ----------
    mean : ndarray, (n_groups, k)
        Targets of each group of equal rows, averaged with weights 1 / noise.
    noise : ndarray, (n_groups,)
        Variance of that average, 1 / R_g = sum_i 1 / r_i over the group.
    spread : ndarray, (k,)
        sum_i (y_i - mean_g)^2 / r_i.
    log_volume : float
        sum_i log r_i - sum_g log R_g.
    n_removed : int
        Rows less groups.
    """

    mean: np.ndarray
    noise: np.ndarray
    spread: np.ndarray
    log_volume: float
    n_removed: int

    def times(self, factor: float) -> MergedTargets:
        """The same targets with all noise multiplied by a factor."""
        return replace(
            self,
            noise=factor * self.noise,
            spread=self.spread / factor,
            log_volume=self.log_volume + self.n_removed * math.log(factor),
        )

    def log_within(self) -> np.ndarray:
        """Log density (k,) of the rows around the means.

        What the log evidence of the means lacks of that of all rows: -1/2 sum_i (y_i - ybar_g)^2 /
        r_i - 1/2 (n - n_groups) log 2 pi - 1/2 (sum_i log r_i - sum_g log R_g).
        """
        constant = self.n_removed * math.log(2.0 * math.pi) + self.log_volume
        found: np.ndarray = -0.5 * (self.spread + constant)
        return found


def merge_targets(
    y: np.ndarray, noise: np.ndarray, groups: Groups, weight: np.ndarray | None = None
) -> MergedTargets:
    """Merge targets (n, k) with noise of variances (n,).

    Where a group has rows without noise, they alone count, averaged by `weight` (n,); how far they
    are apart has no density and is left out.
    """
    g, noisy = groups.of_row, noise > 0
    exact = groups.total(~noisy) > 0
    shares = np.ones(len(noise)) if weight is None else weight
    shares = np.where(noisy, 1.0 / np.where(noisy, noise, 1.0), shares)
    mean = groups.mean(y, np.where(noisy & exact[g], 0.0, shares))
    merged = np.where(exact, 0.0, 1.0 / groups.total(shares))
    deviation = (y - mean[g])[noisy]
    return MergedTargets(
        mean=mean,
        noise=merged,
        spread=(deviation**2 / noise[noisy, np.newaxis]).sum(axis=0),
        log_volume=float(np.log(noise[noisy]).sum() - np.log(merged[~exact]).sum()),
        n_removed=int(noisy.sum() - (~exact).sum()),
    )


def merged_log_evidence(
    y: np.ndarray, noise: np.ndarray, groups: Groups, log_evidence: np.ndarray
) -> np.ndarray:
    """The log evidence (k,) of all rows, from that of the merged ones.

    See `MergedTargets.log_within`.
    """
    found: np.ndarray = log_evidence + merge_targets(y, noise, groups).log_within()
    return found


@dataclass(frozen=True)
class EvidenceSlope:
    """The log evidence of all outputs together, and its derivatives.

    Attributes
    ----------
    value : float
    matrix : Tensor, (n, n)
        Derivative in every entry of K, as if they were independent.
    output_scale, noise : float
        Derivatives in the logarithms of the two factors.
    """

    value: float
    matrix: Tensor
    output_scale: float
    noise: float


def evidence_slope(
    K: Tensor, parts: Sequence[MergedTargets], output_scale: float = 1.0, factor: float = 1.0
) -> EvidenceSlope:
    r"""Log evidence of targets with covariance A = output_scale K + factor diag(noise).

    .. math:: \log p(y) = -\tfrac12 y^T A^{-1} y - \tfrac12 \log |A| - \tfrac n2 \log 2\pi, \qquad
        \frac{\partial \log p(y)}{\partial A} = \tfrac12 (\alpha \alpha^T - A^{-1}), \quad
        \alpha = A^{-1} y

    (Rasmussen and Williams 2006, eqs. 5.8 and 5.9), summed over the outputs, which share a
    factorization per part.

    Parameters
    ----------
    K : Tensor, (n, n)
        Covariance of the merged rows in float64, on any device.
    parts : sequence of MergedTargets
        Outputs of equal noise together.

    Raises
    ------
    LinAlgError
        If A is not positive definite to working precision.
    """
    value = noise_slope = 0.0
    matrix = torch.zeros_like(K)
    for part in (given.times(factor) for given in parts):
        y, noise = (torch.from_numpy(a).to(K) for a in (part.mean, part.noise))
        lower = _factor(output_scale * K, noise)
        alpha = torch.cholesky_solve(y, lower)
        n, k = y.shape
        constant = 2.0 * lower.diagonal().log().sum() + n * math.log(2.0 * math.pi)
        value += float(-0.5 * ((y * alpha).sum() + k * constant)) + part.log_within().sum()
        slope = torch.cholesky_inverse(lower).mul_(-0.5 * k).addmm_(alpha, alpha.mT, alpha=0.5)
        within = part.spread.sum() - k * part.n_removed
        noise_slope += float(slope.diagonal() @ noise) + 0.5 * within
        matrix += slope.mul_(output_scale)
    return EvidenceSlope(value, matrix, float(torch.sum(matrix * K)), noise_slope)


def _factor(A: Tensor, noise: Tensor) -> Tensor:
    """Cholesky factor of A + diag(noise), without jitter; A is overwritten."""
    A.diagonal().add_(noise)
    least = len(A) * torch.finfo(A.dtype).eps * A.diagonal()
    lower, failed = torch.linalg.cholesky_ex(A)
    if int(failed) or not bool((lower.diagonal() ** 2 >= least).all()):  # also if not finite
        raise LinAlgError("the covariance of the targets is not positive definite")
    return lower
