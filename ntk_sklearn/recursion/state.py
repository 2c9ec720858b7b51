"""The state that moves through the layers: covariances of all pairs in a tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..architecture import Positions
from ..duals import GaussianPair


@dataclass(frozen=True)
class KernelState:
    """Covariances of one tile, by one convention for Gram, cross block and diagonal.

    With P the position axes, () or S or S + S for the spatial sizes S of the layout `positions`:

    Attributes
    ----------
    nngp : Tensor, (n, m, *P)
        NNGP covariance of row and column inputs; (n, *P) in diagonal mode.
    ntk : Tensor or None
        Tangent kernel, like `nngp`; None where it is not wanted.
    cov_x, cov_z : Tensor, (n, 1, *P) and (1, m, *P)
        NNGP covariance of each row / column input with itself, between positions of one image.
        In diagonal mode both are `nngp` itself.
    rank : int
        Number of spatial axes; 0 for flat inputs.
    positions : Positions
        Pairs of positions that are kept.
    same : Tensor or None, (n, m)
        Mask of the pairs that are one and the same input; None off the diagonal.
    sine2 : Tensor or None
        Squared sine of the angle of every pair, carried where there are no positions.
    x, z : Tensor or None, (n, channels, *S) and (m, channels, *S)
        The inputs themselves, for what rows carry beside signals.
    """

    nngp: Tensor
    ntk: Tensor | None
    cov_x: Tensor
    cov_z: Tensor
    rank: int = 0
    positions: Positions = Positions.NONE
    same: Tensor | None = None
    sine2: Tensor | None = None
    x: Tensor | None = None
    z: Tensor | None = None

    @property
    def diagonal_mode(self) -> bool:
        """Whether every pair is an input with itself."""
        return self.cov_x is self.nngp

    def map(self, f: Callable[[Tensor], Tensor]) -> KernelState:
        """Apply a linear map of positions to all covariances; angles are forgotten."""
        cov_x = f(self.cov_x)
        nngp = cov_x if self.diagonal_mode else f(self.nngp)
        cov_z = cov_x if self.diagonal_mode else f(self.cov_z)
        ntk = None if self.ntk is None else f(self.ntk)
        return replace(self, nngp=nngp, ntk=ntk, cov_x=cov_x, cov_z=cov_z, sine2=None)

    def pinned(self) -> KernelState:
        """Copy the inputs' own covariances into the entries of `nngp` that are the same input.

        Equal arithmetic does not give equal bits (vectorized bodies and scalar tails differ), and
        a diagonal off by one rounding costs half of the digits of the next angle.
        """
        if self.same is None:
            return self
        return replace(self, nngp=self.where_same(self.cov_x, self.nngp))

    @property
    def n_position_axes(self) -> int:
        """How many axes stand for positions."""
        return self.rank * (2 if self.positions is Positions.ALL else 1)

    def where_same(self, own: Tensor, others: Tensor) -> Tensor:
        """`own` for pairs that are the same input, `others` elsewhere; for tiles with `same`."""
        assert self.same is not None, "asked before"
        mask = self.same.reshape(*self.same.shape, *(1,) * self.n_position_axes)
        return torch.where(mask, own, others)

    def pair(self) -> GaussianPair:
        """The Gaussian pairs of `nngp`, with variances ready to broadcast."""
        var_x, var_z = self.variance(self.cov_x), self.variance(self.cov_z)
        return GaussianPair(self.nngp, self._left(var_x), self._right(var_z), self.sine2)

    def within(self, cov: Tensor) -> GaussianPair:
        """The Gaussian pairs of positions within each image."""
        variance = self.variance(cov)
        return GaussianPair(cov, self._left(variance), self._right(variance))

    def variance(self, cov: Tensor) -> Tensor:
        """Same-position entries of a within-image covariance, (n, 1, *S)."""
        if self.positions is not Positions.ALL:
            return cov
        sizes = cov.shape[-self.rank :]
        square = cov.reshape(*cov.shape[: -2 * self.rank], sizes.numel(), sizes.numel())
        return square.diagonal(dim1=-2, dim2=-1).reshape(*cov.shape[: -self.rank])

    def with_variance(self, cov: Tensor, variance: Tensor) -> Tensor:
        """A covariance between positions with other same-position entries."""
        if self.positions is not Positions.ALL:
            return variance
        sizes = cov.shape[-self.rank :]
        equal = torch.eye(sizes.numel(), dtype=torch.bool, device=cov.device)
        return torch.where(equal.reshape(*sizes, *sizes), self._left(variance), cov)

    def _left(self, variance: Tensor) -> Tensor:
        if self.positions is not Positions.ALL:
            return variance
        return variance.reshape(*variance.shape, *(1,) * self.rank)

    def _right(self, variance: Tensor) -> Tensor:
        if self.positions is not Positions.ALL:
            return variance
        cut = variance.ndim - self.rank
        return variance.reshape(*variance.shape[:cut], *(1,) * self.rank, *variance.shape[cut:])
