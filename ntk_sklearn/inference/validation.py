"""Predictions for rows left out of training, from the kernel matrix of all rows.

Folds take their parts of it; leave-one-out has a closed form. One eigendecomposition serves all
ridges and times. Ridges are relative to the mean diagonal of the kernel of the training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .leave_one_out import leave_one_out
from .merging import Groups, equal_rows
from .ridge import mean_diagonal
from .training import Learned, TrainingModes, training_modes

# Outputs (m, k) for rows left out, and () -> variances (m,) of the observations, noise included.
LeftOut = tuple[np.ndarray, Callable[[], np.ndarray]]


@dataclass(frozen=True)
class Fold:
    """Training rows and rows left out, as rows of a kernel matrix.

    Attributes
    ----------
    groups : Groups
        Training rows that are the same row of the matrix.
    train : ndarray, (n_groups,)
    test : ndarray, (m,)
    """

    groups: Groups
    train: np.ndarray
    test: np.ndarray


def make_fold(place: np.ndarray, train: np.ndarray, test: np.ndarray) -> Fold:
    """The fold of rows `train` and `test`, where row i is row place[i] of the kernel matrix."""
    groups = equal_rows(place[train][:, np.newaxis])
    return Fold(groups, place[train][groups.first], place[test])


@dataclass(frozen=True)
class FoldModes:
    """Training on a fold, decomposed: any ridge and any time.

    Attributes
    ----------
    modes : TrainingModes
    unit : float
        Weighted mean of the kernel's diagonal over the training rows.
    targets : ndarray, (n_groups, k)
        In the modes.
    cross : ndarray, (m, n_groups)
        Kernel of rows left out and modes.
    prior : ndarray, (m,)
        k(x, x) of the rows left out.
    """

    modes: TrainingModes
    unit: float
    targets: np.ndarray
    cross: np.ndarray
    prior: np.ndarray

    def left_out(self, alpha: float, learned: Learned) -> LeftOut:
        """Outputs (m, k) of the network trained on the fold, at the rows left out."""
        filtered = self.modes.filtered(learned, alpha * self.unit)
        return (self.cross * filtered) @ self.targets, lambda: self.variance(alpha)

    def variance(self, alpha: float) -> np.ndarray:
        """Posterior variance (m,) of new observations, with the ridge as their noise."""
        ridge = alpha * self.unit
        explained = self.cross**2 @ (1.0 / (self.modes.system.values + ridge))
        found: np.ndarray = np.maximum(self.prior - explained, 0.0) + ridge
        return found


def fold_modes(K: np.ndarray, fold: Fold, targets: np.ndarray, weight: np.ndarray) -> FoldModes:
    """Decompose the part of the kernel matrix K that belongs to the training rows of a fold.

    Parameters
    ----------
    K : ndarray, (N, N)
    fold : Fold
    targets, weight : ndarray, (n, k) and (n,)
        Of the training rows; weights are positive.
    """
    total = fold.groups.total(weight)
    theta = K[np.ix_(fold.train, fold.train)]
    modes = training_modes(theta, total)
    vectors = modes.root_weight[:, np.newaxis] * modes.system.vectors
    return FoldModes(
        modes,
        mean_diagonal(theta, total),
        vectors.T @ fold.groups.mean(targets, weight),
        K[np.ix_(fold.test, fold.train)] @ vectors,
        np.diag(K)[fold.test],
    )


@dataclass(frozen=True)
class LeaveOneOutModes:
    """All rows, each to be predicted from the others by training to convergence; any ridge > 0.

    Attributes
    ----------
    modes : TrainingModes
        Of merged rows.
    unit : float
        Weighted mean of the kernel's diagonal.
    groups : Groups
    targets, weight : ndarray, (n, k) and (n,)
        Of the rows as given.
    """

    modes: TrainingModes
    unit: float
    groups: Groups
    targets: np.ndarray
    weight: np.ndarray

    def left_out(self, alpha: float, _: Learned) -> LeftOut:
        """Outputs (n, k) for each row of the network trained on the others; see `leave_one_out`.

        With V diag(v) V^T = W^1/2 K W^1/2, (K + ridge W^-1)^-1 is W^1/2 V (v + ridge)^-1 V^T W^1/2.
        """
        inverse = 1.0 / (self.modes.system.values + alpha * self.unit)
        root = self.modes.root_weight[:, np.newaxis]
        means = self.groups.mean(self.targets, self.weight)
        coefficients = root * self.modes.system.apply(inverse, root * means)
        diagonal = (root * self.modes.system.vectors) ** 2 @ inverse
        noise = alpha * self.unit / self.weight
        found = leave_one_out(self.targets, noise, self.groups, coefficients, diagonal)
        # of an observation of weight 1, as in folds: the score weighs it
        unweighted = found.variance - noise + alpha * self.unit
        return found.mean, lambda: unweighted


def leave_one_out_modes(
    K: np.ndarray, groups: Groups, targets: np.ndarray, weight: np.ndarray
) -> LeaveOneOutModes:
    """Decompose the kernel matrix (n_groups, n_groups) of merged rows."""
    total = groups.total(weight)
    return LeaveOneOutModes(
        training_modes(K, total), mean_diagonal(K, total), groups, targets, weight
    )
