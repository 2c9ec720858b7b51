"""Predictions for every row from all other rows, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dtrtri

from ..solvers import Factorization
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
    c_g`, where nothing cancels. A row that equals no other has the residual c / [A^-1] and the
    variance 1 / [A^-1] (Rasmussen and Williams 2006, eqs. 5.10 to 5.12), with or without noise.

    Parameters
    ----------
    y : ndarray, (n, k)
    noise : ndarray, (n,)
        For a ridge, ridge / weight.
    groups : Groups
    coefficients : ndarray, (n_groups, k)
    inverse_diagonal : ndarray, (n_groups,)
        Diagonal of A^-1; see `inverse_diagonal`.

    Raises
    ------
    ValueError
        If rows that equal others have no noise: the formula is 0 / 0.
    """
    g = groups.of_row
    alone = groups.total(np.ones(len(g)))[g] == 1
    if not (noise[~alone] > 0).all():
        raise ValueError(
            "leave-one-out in closed form needs a positive ridge or noise where rows are equal"
        )
    precision = np.divide(1.0, noise, out=np.ones(len(g)), where=noise > 0)
    merged = 1.0 / groups.total(precision)[g]
    own, share = inverse_diagonal[g], merged * precision
    kept = (1.0 - share) + share * merged * own
    average = groups.mean(y, precision)[g]
    residual = (y - average + merged[:, np.newaxis] * coefficients[g]) / kept[:, np.newaxis]
    residual = np.where(alone[:, np.newaxis], coefficients[g] / own[:, np.newaxis], residual)
    variance = np.where(alone, 1.0 / own, noise / kept)
    spread = variance[:, np.newaxis]
    log_density = -0.5 * (residual**2 / spread + np.log(2.0 * np.pi * spread))
    return LeaveOneOut(y - residual, variance, log_density)


def inverse_diagonal(factorization: Factorization) -> np.ndarray:
    """The diagonal (n,) of A^-1, whose entries are squared columns of L^-1."""
    half, _ = dtrtri(factorization.lower, lower=1)
    found: np.ndarray = np.einsum("ij,ij->j", half, half)
    return found
