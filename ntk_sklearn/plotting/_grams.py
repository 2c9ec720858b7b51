"""Grams of what Displays are given: kernels with rows, matrices, fitted estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
from gpytorch.kernels import Kernel
from torch import nn

from .._validation import detached
from ..architecture import Layer
from ..finite import Linearized
from ..kernels import NTK, Expression
from ..presets import Preset
from ._arrays import as_numbers


def gram(kernel: Any, X: Any = None) -> np.ndarray:
    """The Gram (n, n) of a kernel at X, or the matrix that is given in its place.

    Parameters
    ----------
    kernel : callable, network or array-like (n, n)
        Of scikit-learn or GPyTorch, or any function of X. A network, a torch module included,
        stands for its NTK.
    X : array-like or None
        None if `kernel` is a matrix.

    Raises
    ------
    TypeError
        For a kernel without X, or a matrix with it.
    ValueError
        If the matrix is not square, finite and symmetric.
    """
    kernel = NTK(kernel) if _is_network(kernel) else kernel
    if callable(kernel) and not isinstance(kernel, type):
        if X is None:
            raise TypeError("a kernel needs X, the rows at which it is evaluated")
        K = kernel(X)
        K = K.to_dense() if hasattr(K, "to_dense") else K
    elif X is not None:
        raise TypeError(f"kernel must be callable to be evaluated at X, got {type(kernel)}")
    else:
        K = kernel
    return check_gram(K)


def _is_network(kernel: Any) -> bool:
    """Whether it is a network; kernels of GPyTorch are modules, too."""
    if isinstance(kernel, nn.Module):
        return not isinstance(kernel, Kernel)
    return isinstance(kernel, (Layer, Preset, Expression, Linearized))


def check_gram(K: Any) -> np.ndarray:
    """A square, finite, symmetric matrix in float64."""
    found = as_numbers(detached(K, "kernel"), "the kernel matrix", 2)
    if found.shape[0] != found.shape[1]:
        raise ValueError(f"the kernel matrix must be square, got the shape {found.shape}")
    if not np.allclose(found, found.T, rtol=1e-4, atol=1e-6 * np.abs(found).max()):
        raise ValueError("the kernel matrix must be symmetric")
    return found


def normalized(K: np.ndarray) -> np.ndarray:
    """K[i, j] / sqrt(K[i, i] K[j, j])."""
    diagonal = np.diag(K)
    if not (diagonal > 0).all():
        raise ValueError("normalize=True needs a kernel matrix with a positive diagonal")
    root = np.sqrt(diagonal)
    found: np.ndarray = K / root[:, np.newaxis] / root
    return found


def training_gram(estimator: Any, X: Any = None) -> np.ndarray:
    """The Gram of a fitted estimator's kernel at X, or at the rows that it was fitted to.

    Of an `NNGPRegressor` the kernel that an optimizer has scaled. Gaussian processes of
    scikit-learn have a `kernel_` and rows, too.

    Raises
    ------
    TypeError
        For an estimator that is not fitted or keeps no kernel.
    """
    kernel = getattr(estimator, "kernel_", None)
    rows = getattr(estimator, "X_fit_", getattr(estimator, "X_train_", None))
    if not callable(kernel) or rows is None:
        raise TypeError(
            "from_estimator needs a fitted estimator with a kernel_ and its training rows, got "
            f"{estimator!r}; of a pipeline pass the last step, of others the matrix to from_kernel"
        )
    if np.ndim(rows) != 2:
        raise TypeError(
            "an estimator with network='precomputed' keeps no matrix: pass that to from_kernel"
        )
    rows = np.asarray(rows if X is None else X)
    scaled = rows.reshape(len(rows), -1) * getattr(estimator, "input_scale_", 1.0)
    return check_gram(kernel(scaled)) * getattr(estimator, "output_scale_", 1.0)
