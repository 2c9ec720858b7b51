"""Covariances of the product of independent branches."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from ..architecture import Product
from .rules import propagate
from .state import KernelState


@propagate.register
def _(layer: Product, state: KernelState) -> KernelState:
    """K = prod K_k and Theta = sum_k Theta_k prod_{j != k} K_j."""
    return reduce(_times, [propagate(branch, state) for branch in layer.branches]).pinned()


def _times(a: KernelState, b: KernelState) -> KernelState:
    """The product of two independent signals."""
    cov_x, in_place = a.cov_x * b.cov_x, a.diagonal_mode
    ntk, sine2 = None, None
    if a.ntk is not None and b.ntk is not None:
        ntk = a.ntk * b.nngp + a.nngp * b.ntk
    if a.sine2 is not None and b.sine2 is not None:
        sine2 = a.sine2 + (1.0 - a.sine2) * b.sine2  # cosines multiply
    return replace(
        a,
        nngp=cov_x if in_place else a.nngp * b.nngp,
        ntk=ntk,
        cov_x=cov_x,
        cov_z=cov_x if in_place else a.cov_z * b.cov_z,
        sine2=sine2,
    )
