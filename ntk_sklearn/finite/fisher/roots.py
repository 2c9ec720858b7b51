r"""Factors R of the output curvature of each row, S = R R^T.

``R = S^(1/2) Q`` with ``Q Q^T = I`` on the range of S: kernels ``R^T J J^T R`` have the spectrum of
``S^(1/2) J J^T S^(1/2)``, less zeros where R has fewer columns than rows. For the softmax, with
:math:`q = \sqrt p`,

.. math:: S = \operatorname{diag} p - p p^T = \operatorname{diag}(q) (I - q q^T)
          \operatorname{diag}(q),

and the columns of Q are those of the reflection that takes q to the axis of its largest entry,
without that axis: one product of length k where an eigendecomposition of S would take k^3. All
digits stay however small p is: the largest entry comes into no difference of numbers near 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from .losses import (
    BinaryCrossEntropy,
    ConvexLoss,
    Loss,
    SoftmaxCrossEntropy,
    SquaredLoss,
    output_hessian,
    output_variance,
)


@dataclass(frozen=True)
class DiagonalRoot:
    """R = diag(values), (n, k)."""

    values: Tensor

    @property
    def rank(self) -> int:
        """Columns of R, as in the other roots."""
        return self.values.shape[1]

    def apply(self, s: Tensor) -> Tensor:
        """R s (..., n, k) of (..., n, rank)."""
        return self.values * s

    def adjoint(self, u: Tensor) -> Tensor:
        """R^T u (..., n, rank) of (..., n, k)."""
        return self.values * u

    def solve(self, gradient: Tensor) -> Tensor:
        """R^+ g (n, rank) of gradients (n, k) of the loss in the outputs."""
        return torch.where(self.values > 0, gradient / self.values, 0.0)

    def take(self, rows: Any) -> DiagonalRoot:
        """Some rows."""
        return DiagonalRoot(self.values[rows])


@dataclass(frozen=True)
class SoftmaxRoot:
    """R = diag(q) Q, (k, k - 1) in each row, for the square roots of probabilities.

    Attributes
    ----------
    q : Tensor, (n, k)
        The square roots, with the largest of each row in the last place.
    largest : Tensor, (n, 1)
        Where it was before it and the last one changed places.
    """

    q: Tensor
    largest: Tensor

    @staticmethod
    def of(q: Tensor) -> SoftmaxRoot:
        """The root for square roots q (n, k) of probabilities in their own order."""
        largest = q.argmax(1, keepdim=True)
        return SoftmaxRoot(_exchanged(q, largest), largest)

    @property
    def rank(self) -> int:
        """Columns of R."""
        return self.q.shape[1] - 1

    @property
    def sign(self) -> Tensor:
        """-1 where places were exchanged, (n, 1): two classes have one R then, (1, -1)."""
        return torch.where(self.largest < self.rank, -1.0, 1.0).to(self.q)

    def apply(self, s: Tensor) -> Tensor:
        """R s (..., n, k) of (..., n, k - 1)."""
        moved = self.q * self._reflect(torch.nn.functional.pad(self.sign * s, (0, 1)))
        return _exchanged(moved, self.largest)

    def adjoint(self, u: Tensor) -> Tensor:
        """R^T u (..., n, k - 1) of (..., n, k)."""
        return self.sign * self._reflect(self.q * _exchanged(u, self.largest))[..., :-1]

    def solve(self, gradient: Tensor) -> Tensor:
        """R^+ g (n, k - 1) of gradients p - y, which sum to zero."""
        # diag(q)^-1 g is orthogonal to q, so that Q^T loses nothing of it
        moved = _exchanged(gradient, self.largest)
        scaled = torch.where(self.q > 0, moved / self.q, 0.0)
        return self.sign * self._reflect(scaled)[..., :-1]

    def take(self, rows: Any) -> SoftmaxRoot:
        """Some rows."""
        return SoftmaxRoot(self.q[rows], self.largest[rows])

    def _reflect(self, x: Tensor) -> Tensor:
        """(I - 2 v v^T / |v|^2) x for v = q + (0, ..., 0, 1), which has |v|^2 = 2 v_k."""
        along = (x * self.q).sum(-1, keepdim=True) + x[..., -1:]
        scaled = along / (1 + self.q[:, -1:])
        reflected = x - scaled * self.q
        return torch.cat([reflected[..., :-1], reflected[..., -1:] - scaled], -1)


def _exchanged(x: Tensor, place: Tensor) -> Tensor:
    """x (..., n, k) with the entries at `place` (n, 1) and at the end of each row exchanged."""
    at = place.expand(*x.shape[:-1], 1)
    return x.scatter(-1, at, x[..., -1:]).index_copy(
        x.ndim - 1, x.new_tensor([x.shape[-1] - 1], dtype=torch.long), x.gather(-1, at)
    )


@dataclass(frozen=True)
class DenseRoot:
    """R given row by row, (n, k, rank)."""

    matrices: Tensor

    @property
    def rank(self) -> int:
        """Columns of R."""
        return self.matrices.shape[2]

    def apply(self, s: Tensor) -> Tensor:
        """R s (..., n, k) of (..., n, rank)."""
        return torch.einsum("nkr,...nr->...nk", self.matrices, s)

    def adjoint(self, u: Tensor) -> Tensor:
        """R^T u (..., n, rank) of (..., n, k)."""
        return torch.einsum("nkr,...nk->...nr", self.matrices, u)

    def solve(self, gradient: Tensor) -> Tensor:
        """R^+ g (n, rank) of gradients (n, k), with singular values below the cut-off as zeros."""
        # between the rounding of zeros (eps) and the least value that symmetric_root keeps
        rtol = torch.finfo(gradient.dtype).eps ** 0.75
        pinv = torch.linalg.pinv(self.matrices, rtol=rtol)
        return torch.einsum("nrk,nk->nr", pinv, gradient)

    def take(self, rows: Any) -> DenseRoot:
        """Some rows."""
        return DenseRoot(self.matrices[rows])


Root = DiagonalRoot | SoftmaxRoot | DenseRoot


@singledispatch
def curvature_root(loss: Loss, outputs: Tensor, targets: Tensor | None) -> Root:
    """R with R R^T = `output_hessian`."""
    return DiagonalRoot(output_variance(loss, outputs))  # refuses what is no loss


@curvature_root.register(SquaredLoss)
@curvature_root.register(BinaryCrossEntropy)
def _(loss: Any, outputs: Tensor, targets: Tensor | None) -> Root:
    return DiagonalRoot(output_variance(loss, outputs).sqrt())


@curvature_root.register
def _(loss: SoftmaxCrossEntropy, outputs: Tensor, targets: Tensor | None) -> Root:
    if outputs.shape[1] < 2:
        raise ValueError(
            "SoftmaxCrossEntropy needs two or more outputs, the module has one: use "
            "BinaryCrossEntropy"
        )
    return SoftmaxRoot.of(torch.exp(torch.log_softmax(outputs, 1) / 2))


@curvature_root.register
def _(loss: ConvexLoss, outputs: Tensor, targets: Tensor | None) -> Root:
    return DenseRoot(symmetric_root(output_hessian(loss, outputs, targets)))


def symmetric_root(S: Tensor) -> Tensor:
    """S^(1/2) of symmetric positive semidefinite matrices (n, k, k).

    Eigenvalues below k eps of a matrix's largest are zeros.

    Raises
    ------
    ValueError
        For infinite entries, or eigenvalues that are negative beyond rounding.
    """
    if not bool(torch.isfinite(S).all()):
        raise ValueError("the loss has infinite or undefined second derivatives at the outputs")
    values, vectors = torch.linalg.eigh((S + S.mT) / 2)
    eps = torch.finfo(S.dtype).eps
    scale = values.abs().amax(1, keepdim=True)
    # second derivatives are sums of terms that may cancel: their rounding is that of larger terms
    negative = values[:, 0] < -(eps**0.5) * scale[:, 0]
    if bool(negative.any()):
        row = int(negative.nonzero()[0])
        raise ValueError(
            f"the loss is not convex in the outputs of row {row}: its Hessian has the eigenvalue "
            f"{float(values[row, 0]):.3g}"
        )
    roots = torch.where(values > S.shape[1] * eps * scale, values, 0.0).sqrt()
    return (vectors * roots[:, None, :]) @ vectors.mT
