"""Predictions for every row from all other rows, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .merging import Groups


@dataclass(frozen=True)
class LeaveOneOut:
    """What the other rows say of each row (Rasmussen and Williams 2006, section 5.4.2).

    Attributes
    ----------
    mean : ndarray, (n, k)
    variance : ndarray, (n,)
        Of the observation, its own noise included.
    log_density : ndarray, (n, k)
        log p(y_i | the other rows).
    """

    mean: np.ndarray
    variance: np.ndarray
    log_density: np.ndarray


def leave_one_out(
    y: np.ndarray,
    noise: np.ndarray,
    groups: Groups,
    coefficients: np.ndarray,
    inverse_diagonal: np.ndarray,
) -> LeaveOneOut:
    r"""Leave out one row as given, also where equal rows have been merged.

    With r_i the noise of a row, :math:`1 / R_g = \sum_{i \in g} 1 / r_i` that of its group, A = K +
    diag(R) and c = A^-1 ybar, leaving out row i leaves its group with the other rows. The residual
    is :math:`(y_i - f_g) / d_i` and the variance :math:`r_i / d_i` with
    :math:`d_i = 1 - (R_g / r_i)(1 - R_g [A^{-1}]_{gg})` and :math:`y_i - f_g = y_i - \bar y_g + R_g
    c_g`, where nothing cancels.

    Parameters
    ----------
    y : ndarray, (n, k)
    noise : ndarray, (n,)
        Positive; for a ridge, ridge / weight.
    groups : Groups
    coefficients : ndarray, (n_groups, k)
    inverse_diagonal : ndarray, (n_groups,)
        Diagonal of A^-1.

    Raises
    ------
    ValueError
        Without noise: the formula is 0 / 0.
    """
    if not (noise > 0).all():
        raise ValueError("leave-one-out in closed form needs a positive ridge or noise")
    g = groups.of_row
    merged = 1.0 / groups.total(1.0 / noise)[g]
    alone = groups.total(np.ones(len(g)))[g] == 1
    share = np.where(alone, 1.0, merged / noise)
    kept = (1.0 - share) + share * merged * inverse_diagonal[g]
    average = groups.mean(y, 1.0 / noise)[g]
    residual = (y - average + merged[:, np.newaxis] * coefficients[g]) / kept[:, np.newaxis]
    residual = np.where(
        alone[:, np.newaxis], coefficients[g] / inverse_diagonal[g, np.newaxis], residual
    )
    variance = noise / kept
    spread = variance[:, np.newaxis]
    log_density = -0.5 * (residual**2 / spread + np.log(2.0 * np.pi * spread))
    return LeaveOneOut(y - residual, variance, log_density)


def merged_log_evidence(
    y: np.ndarray, noise: np.ndarray, groups: Groups, log_evidence: np.ndarray
) -> np.ndarray:
    """The log evidence (k,) of all rows, from that of the merged ones.

    Adds the density of the rows around their weighted group means:
    -1/2 sum_i (y_i - ybar_g)^2 / r_i - 1/2 sum_g (n_g - 1) log 2 pi
    - 1/2 (sum_i log r_i - sum_g log R_g).
    """
    if groups.trivial:
        return log_evidence
    g = groups.of_row
    merged = 1.0 / groups.total(1.0 / noise)
    deviation = y - groups.mean(y, 1.0 / noise)[g]
    spread = (deviation**2 / noise[:, np.newaxis]).sum(axis=0)
    n_removed = len(g) - len(groups.first)
    constant = n_removed * np.log(2.0 * np.pi) + np.log(noise).sum() - np.log(merged).sum()
    found: np.ndarray = log_evidence - 0.5 * (spread + constant)
    return found
