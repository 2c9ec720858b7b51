"""Largest eigenpairs of A^T A and A A^T by Lanczos; eigenvectors taken from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh

from .operators import Dual, Normal, SymmetricOperator, to_numpy, to_rows


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues that F = A^T A and its dual A A^T share, with the eigenvectors of both.

    Attributes
    ----------
    values : ndarray, (k,)
        Descending.
    parameters : ndarray, (n_parameters, k)
        Unit eigenvectors v of F, in the order of ``ModuleFunction.flatten``.
    dual : ndarray, (n * rank, k)
        Unit eigenvectors u of the dual, with ``A v = sqrt(value) u``.
    residuals : ndarray, (k,)
        The larger of |F v - value v| and |A A^T u - value u|, over the largest eigenvalue.
    """

    values: np.ndarray
    parameters: np.ndarray
    dual: np.ndarray
    residuals: np.ndarray


def to_parameters(dual: Dual, u: np.ndarray, values: np.ndarray) -> np.ndarray:
    """v = A^T u / sqrt(value), of unit length."""
    moved = to_numpy(dual.factor.adjoint(to_rows(u, dual.factor))).T
    return _unit(moved, np.reshape(u, (len(u), -1)), values, "dual").reshape(-1, *u.shape[1:])


def to_dual(normal: Normal, v: np.ndarray, values: np.ndarray) -> np.ndarray:
    """u = A v / sqrt(value), of unit length."""
    moved = to_numpy(normal.factor.forward(to_rows(v, normal.factor))).T
    return _unit(moved, np.reshape(v, (len(v), -1)), values, "matrix").reshape(-1, *v.shape[1:])


def _unit(moved: np.ndarray, before: np.ndarray, values: np.ndarray, of: str) -> np.ndarray:
    """Columns of unit length, if their squared lengths are the eigenvalues that were named."""
    lengths = np.linalg.norm(moved, axis=0)
    found = (lengths / np.linalg.norm(before, axis=0)) ** 2
    told = np.broadcast_to(np.asarray(values, dtype=np.float64), found.shape)
    wrong = ~((told > 0) & (np.abs(found - told) <= 1e-3 * told))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(
            f"vector {i} is no eigenvector of the {of} with an eigenvalue that is not zero: "
            f"{told[i]:.3g} was given, its Rayleigh quotient is {found[i]:.3g}. Eigenvectors of "
            "zero, up to rounding, have no counterpart on the other side"
        )
    return moved / lengths


def top_eigenpairs(normal: Normal, dual: Dual, k: int, random_state: int = 0) -> Eigenpairs:
    """The k largest eigenpairs, from whichever operator is smaller."""
    small: SymmetricOperator = dual if dual.shape[0] <= normal.shape[0] else normal
    if not isinstance(k, Integral) or not 1 <= k <= small.shape[0]:
        raise ValueError(f"k must be 1 to {small.shape[0]}, the smaller side, got {k!r}")
    values, vectors = _largest(small, int(k), np.random.default_rng(random_state))
    _check_rank(values, small.shape[0])
    if small is dual:
        u, v = vectors, to_parameters(dual, vectors, values)
    else:
        u, v = to_dual(normal, vectors, values), vectors
    ends = [(normal, v), (dual, u)]
    off = [np.linalg.norm(side.matmat(w) - w * values, axis=0) for side, w in ends]
    residuals = np.maximum(*off) / values[0]
    _check_residuals(residuals)
    return Eigenpairs(values, v, u, residuals)


def _check_rank(values: np.ndarray, size: int) -> None:
    cutoff = size * np.finfo(values.dtype).eps * values[0]
    rank = int(np.count_nonzero(values > max(cutoff, 0)))
    if rank < len(values):
        raise ValueError(
            f"k = {len(values)} is more than there are eigenvalues that are not zero, and those of "
            f"zero have no common eigenvectors: ask for k = {rank} at most"
        )


def _check_residuals(residuals: np.ndarray) -> None:
    # Lanczos to machine precision ends some orders of magnitude below
    if not residuals.max() <= np.finfo(residuals.dtype).eps ** 0.5:
        raise ArithmeticError(
            f"the eigenvectors leave a residual of {residuals.max():.3g} of the largest "
            "eigenvalue: compute in float64, dtype=torch.float64"
        )


def _largest(
    operator: SymmetricOperator, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The k largest eigenvalues, descending, and their vectors.

    From one starting vector, Lanczos finds further copies of a multiple eigenvalue by rounding
    only: what may be missing is looked for in the complement until nothing larger is there.
    """
    n = operator.shape[0]
    if 2 * k >= n:
        values, vectors = eigh(operator.dense())
        return values[::-1][:k], vectors[:, ::-1][:, :k]
    values, vectors = eigsh(operator, k, which="LA", v0=rng.standard_normal(n))
    rounding = n * np.finfo(values.dtype).eps * values.max()
    while values.min() > rounding:  # else there are zeros, among which nothing is larger
        rest = _deflated(operator, values, vectors)
        start = rng.standard_normal(n)
        (bound,) = eigsh(rest, 1, which="LA", v0=start, tol=1e-4, return_eigenvectors=False)
        if bound <= max(values.min() * (1 + 1e-6), rounding):
            break
        value, vector = eigsh(rest, 1, which="LA", v0=start)
        lowest = int(values.argmin())
        values[lowest], vectors[:, lowest] = value[0], vector[:, 0]
    order = np.argsort(values)[::-1]
    return values[order], vectors[:, order]


def _deflated(
    operator: SymmetricOperator, values: np.ndarray, vectors: np.ndarray
) -> LinearOperator:
    def product(x: np.ndarray) -> np.ndarray:
        found: np.ndarray = operator.matvec(x) - vectors @ (values * (vectors.T @ x))
        return found

    return LinearOperator(operator.shape, matvec=product, dtype=operator.dtype)
