"""Spectra of what Displays are given: kernel matrices with targets, fitted estimators."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inference import Groups, Spectrum, TrainingModes, kernel_spectrum, spectrum_of
from ..solvers import Eigensystem
from ._arrays import as_numbers
from ._grams import training_gram


def matrix_spectrum(K: np.ndarray, y: Any) -> Spectrum:
    """The spectrum of a matrix (n, n), with targets if there are any."""
    if y is None:
        return kernel_spectrum(K)
    targets = as_numbers(y, "y", 1 if np.ndim(y) == 1 else 2)
    if len(targets) != len(K):
        raise ValueError(f"y has {len(targets)} rows, the kernel matrix {len(K)}")
    return kernel_spectrum(K, targets)


def estimator_spectrum(estimator: Any) -> Spectrum:
    """What a fitted estimator learns, or its kernel alone; see `SpectrumDisplay.from_estimator`."""
    if hasattr(estimator, "initial_") and hasattr(estimator, "weight_"):
        return _trained(estimator)
    K = training_gram(estimator)
    if not hasattr(estimator, "group_"):
        return kernel_spectrum(K)
    first = np.unique(estimator.group_, return_index=True)[1]
    rows = Groups(first, estimator.group_)
    return kernel_spectrum(K, rows.mean(estimator.targets_, estimator.weight_))


def _trained(estimator: Any) -> Spectrum:
    """Of an NTK estimator; a fit for a finite time has decomposed its kernel already."""
    values = estimator.eigenvalues_
    K = np.empty(0) if values.size else training_gram(estimator)
    n = values.size or len(K)
    # of outputs that are trained together every row of the matrix is a row with an output
    residual = (estimator.targets_ - estimator.initial_).reshape(n, -1)
    weight = np.repeat(estimator.weight_, n // len(estimator.weight_))
    if not values.size:
        return kernel_spectrum(K, residual, weight)
    modes = TrainingModes(Eigensystem(values, estimator.eigenvectors_), np.sqrt(weight))
    return spectrum_of(modes, residual)
