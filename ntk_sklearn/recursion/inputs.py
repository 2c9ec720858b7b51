"""The state of the inputs: dot products of rows, or of the pixels of two images.

Inputs are (n, channels) or (n, channels, *S), and may carry leading batch axes: the states then
carry them, too. Products are divided by the number of channels.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..architecture import Positions
from ..duals import GaussianPair
from .state import KernelState

# 1 - correlation below which the angle is taken from the difference of the normalized rows.
_NEAR = {torch.float64: 1e-4, torch.float32: 1e-2}
# Numbers held at a time while differences of near rows are formed.
_CHUNK = 2**22


def pair_state(
    x: Tensor, z: Tensor, rank: int, positions: Positions, ntk: bool, on_diagonal: bool = False
) -> KernelState:
    """State of the tile x against z; `on_diagonal` says that both are the same inputs."""
    cov_x, cov_z = (_own(x, rank, positions), _own(z, rank, positions))
    axes = cov_x.ndim - (x.ndim - rank - 1)  # position axes
    nngp = _products(x, z, rank, positions)
    n = x.shape[-rank - 2]
    state = KernelState(
        nngp=nngp,
        ntk=_zeros_like(nngp) if ntk else None,
        cov_x=cov_x.unsqueeze(cov_x.ndim - axes),
        cov_z=cov_z.unsqueeze(cov_z.ndim - axes - 1),
        rank=rank,
        positions=positions,
        same=torch.eye(n, dtype=torch.bool, device=x.device) if on_diagonal else None,
        sine2=None,
        x=x,
        z=z,
    ).pinned()
    return state if rank else _with_angles(state, x, z)


def diagonal_state(x: Tensor, rank: int, positions: Positions, ntk: bool) -> KernelState:
    """State of every input with itself."""
    cov = _own(x, rank, positions)
    tangent = _zeros_like(cov) if ntk else None
    sine2 = None if rank else torch.zeros_like(cov)
    return KernelState(cov, tangent, cov, cov, rank, positions, None, sine2, x, x)


def _zeros_like(x: Tensor) -> Tensor:
    return torch.zeros((), dtype=x.dtype, device=x.device).expand_as(x)


def _products(x: Tensor, z: Tensor, rank: int, positions: Positions) -> Tensor:
    """Dot products over the channels, (n, m, *P)."""
    channels = x.shape[-rank - 1]
    if not rank:
        return x @ z.mT / channels
    sizes = x.shape[-rank:]
    a, b = x.flatten(-rank), z.flatten(-rank)
    if positions is Positions.ALL:
        product = torch.einsum("...nci,...mcj->...nmij", a, b)
        return product.reshape(*product.shape[:-2], *sizes, *sizes) / channels
    product = torch.einsum("...nci,...mci->...nmi", a, b)
    return product.reshape(*product.shape[:-1], *sizes) / channels


def _own(x: Tensor, rank: int, positions: Positions) -> Tensor:
    """Dot products of each input with itself, (n, *P)."""
    channels = x.shape[-rank - 1]
    if not rank:
        return (x * x).sum(-1) / channels
    sizes = x.shape[-rank:]
    if positions is Positions.ALL:
        a = x.flatten(-rank)
        product = a.mT @ a
        return product.reshape(*product.shape[:-2], *sizes, *sizes) / channels
    return (x * x).sum(-rank - 1) / channels


def _with_angles(state: KernelState, x: Tensor, z: Tensor) -> KernelState:
    """Add the squared sines of the angles between rows, exact for nearly (anti)parallel rows."""
    pair = GaussianPair(state.nngp, state.cov_x, state.cov_z)
    near = (1.0 - pair.absolute < _NEAR[x.dtype]) & (pair.scale > 0)
    if state.same is not None:
        near = near & ~state.same
    where = near.nonzero(as_tuple=True)
    sine2 = (1.0 - pair.absolute) * (1.0 + pair.absolute)
    if where[0].numel():
        sine2 = sine2.index_put(where, _near_sine2(x, z, where, pair.cosine[where]))
    if state.same is not None:
        sine2 = torch.where(state.same, 0.0, sine2)
    return replace(state, sine2=sine2)


def _near_sine2(x: Tensor, z: Tensor, where: tuple[Tensor, ...], cosine: Tensor) -> Tensor:
    """From |u -+ w|^2 = 2 - 2 |cosine| of the rows u, w scaled to unit length."""
    *batch, i, j = where
    u, w = _unit(x), _unit(z)
    found = []
    step = max(1, _CHUNK // x.shape[-1])
    for k in range(0, i.numel(), step):
        part = slice(k, k + step)
        lead = tuple(b[part] for b in batch)
        sign = torch.sign(cosine[part]).unsqueeze(-1)
        gap = u[(*lead, i[part])] - sign * w[(*lead, j[part])]
        versine = (gap * gap).sum(-1) / 2.0
        found.append(versine * (2.0 - versine))
    return torch.cat(found)


def _unit(x: Tensor) -> Tensor:
    norm = x.square().sum(-1, keepdim=True)
    return x * torch.where(norm > 0, norm, 1.0).rsqrt()
