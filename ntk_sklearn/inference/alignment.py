"""How much of a kernel is in the direction of the targets."""

from __future__ import annotations

import numpy as np

from .checks import as_columns, as_gram


def kernel_alignment(first: np.ndarray, second: np.ndarray, centred: bool = True) -> float:
    """<K, L> / (|K| |L|) of two kernel matrices in the Frobenius product, between -1 and 1.

    Parameters
    ----------
    first, second : ndarray, (n, n)
    centred : bool, default=True
        Of H K H and H L H with H = 1 - 1/n, the kernels of features with mean 0 (Cortes, Mohri and
        Rostamizadeh 2012, definition 4); without it, as in Cristianini et al. 2001.

    Raises
    ------
    ValueError
        For matrices that are not square, symmetric and of one size, or are 0 (once centred).
    """
    K = _prepared(as_gram(first, "first"), centred)
    L = _prepared(as_gram(second, "second", len(K)), centred)
    return _cosine(float((K * L).sum()), float(np.linalg.norm(K)), float(np.linalg.norm(L)))


def target_alignment(kernel: np.ndarray, targets: np.ndarray, centred: bool = True) -> float:
    """The alignment of a kernel with y y^T, the kernel that is the targets themselves.

    <K, y y^T> / (|K| |y y^T|), in [0, 1]; 1 only if K is proportional to y y^T.

    Parameters
    ----------
    kernel : ndarray, (n, n)
    targets : ndarray, (n,) or (n, k)
        Of classes: +-1, or one column per class.
    centred : bool, default=True
        As in `kernel_alignment`: uncentred, a constant in the kernel hides everything else, and
        unequal classes count as alignment.

    Raises
    ------
    ValueError
        For a kernel that is not square and symmetric, targets that do not fit it, and constant
        kernels or targets.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([1.0, 1.0, -1.0, -1.0])
    >>> round(target_alignment(np.outer(y, y) + 5.0, y), 12)
    1.0
    """
    K = _prepared(as_gram(kernel, "kernel"), centred)
    y = as_columns(targets, len(K))
    y = _centred_targets(y) if centred else y
    product = float((y * (K @ y)).sum())
    return _cosine(product, float(np.linalg.norm(K)), float(np.linalg.norm(y.T @ y)))


def _prepared(K: np.ndarray, centred: bool) -> np.ndarray:
    if not centred:
        return K
    found: np.ndarray = K - K.mean(axis=0) - K.mean(axis=1)[:, np.newaxis] + K.mean()
    # what is left of a constant is rounding
    tiny = len(K) * np.finfo(np.float64).eps * np.abs(K).max()
    return np.where(np.abs(found).max() > tiny, found, 0.0)


def _centred_targets(y: np.ndarray) -> np.ndarray:
    found: np.ndarray = y - y.mean(axis=0)
    tiny = len(y) * np.finfo(np.float64).eps * np.abs(y).max(axis=0)
    return np.where(np.abs(found).max(axis=0) > tiny, found, 0.0)


def _cosine(product: float, first: float, second: float) -> float:
    if first == 0.0 or second == 0.0:
        raise ValueError("the alignment of a kernel or of targets that are constant is undefined")
    return product / (first * second)
