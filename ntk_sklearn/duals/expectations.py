"""Expectations of any activation as differentiable functions of a Gaussian pair.

Known expectations of kinks, Hermite series of the rest where so many terms are enough, and
two-dimensional quadrature where they are not: at correlations near +-1 and large variances.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .direct import direct
from .examination import examine
from .hermite import Coefficients
from .series import expanded

# Numbers of terms that are tried, one after another; few are enough beside known kinks.
_LEVELS = (32, 128, 512, 2048)
_FEW = 8
# After so many it is seen which pairs will need more than there are.
_PATIENCE = 128
# Pairs computed at a time, so that they stay in the cache.
_PAIRS = 2**13
# Truncation errors, relative to the root of the product of the two own values.
_SMOOTH, _KINKED = 1e-13, 1e-7


def expectations(dual: Any, cosine: Tensor, sine2: Tensor, a: Tensor, b: Tensor) -> Any:
    """T and T' of pairs with standard deviations a and b, differentiable in all but `sine2`."""
    return _Expectations.apply(dual, cosine, sine2, a, b)


def _batched(function: Any, info: Any, in_dims: Any, dual: Any, *args: Tensor) -> Any:
    """The batch axis of all arguments in front; they broadcast behind it."""
    moved = [x if d is None else x.movedim(d, 0) for x, d in zip(args, in_dims[1:], strict=True)]
    ndim = max(x.ndim - (d is not None) for x, d in zip(moved, in_dims[1:], strict=True))
    ready = [
        x if d is None else x.reshape(len(x), *(1,) * (ndim + 1 - x.ndim), *x.shape[1:])
        for x, d in zip(moved, in_dims[1:], strict=True)
    ]
    found = function.apply(dual, *ready)
    return found, (0,) * len(found)


class _Expectations(torch.autograd.Function):
    """Values; their derivatives are computed where they are asked for."""

    @staticmethod
    def forward(dual: Any, *pair: Tensor) -> tuple[Tensor, ...]:
        return _computed(dual, pair, partials=False)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.dual = inputs[0]
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        pair = ctx.saved_tensors
        columns = _derivatives(ctx.dual, *pair)
        found = [sum(g * d for g, d in zip(grads, column, strict=True)) for column in columns]
        shapes = (pair[0].shape, pair[2].shape, pair[3].shape)
        cosine, a, b = (_to(f, s) for f, s in zip(found, shapes, strict=True))
        return None, cosine, None, a, b

    @staticmethod
    def jvp(ctx: Any, _: Any, cosine: Any, sine2: Any, a: Any, b: Any) -> Any:
        columns = _derivatives(ctx.dual, *ctx.saved_tensors)
        steps = [(t, c) for t, c in zip((cosine, a, b), columns, strict=True) if t is not None]
        return tuple(sum(t * column[k] for t, column in steps) for k in range(2))

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _batched(_Expectations, info, in_dims, *args)


class _Partials(torch.autograd.Function):
    """T, T' and their five derivatives; see `_computed`."""

    @staticmethod
    def forward(dual: Any, *pair: Tensor) -> tuple[Tensor, ...]:
        return _computed(dual, pair, partials=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise NotImplementedError("activations without closed form have first derivatives only")

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _batched(_Partials, info, in_dims, *args)


def _to(x: Any, shape: torch.Size) -> Tensor:
    found: Tensor = x.sum_to_size(shape)
    return found


def _derivatives(dual: Any, cosine: Tensor, sine2: Tensor, a: Tensor, b: Tensor) -> Any:
    """Derivatives of (T, T') in the cosine, a and b."""
    found = _Partials.apply(dual, cosine, sine2, a, b)
    _, slope, slope_c, value_a, value_b, slope_a, slope_b = found
    inverse_a, inverse_b = _reciprocal(a), _reciprocal(b)
    return (
        (a * b * slope, slope_c),
        (value_a * inverse_a, slope_a * inverse_a),
        (value_b * inverse_b, slope_b * inverse_b),
    )


def _reciprocal(a: Tensor) -> Tensor:
    return torch.where(a > 0, 1.0 / torch.where(a > 0, a, 1.0), 0.0)


def _computed(dual: Any, pair: tuple[Tensor, ...], partials: bool) -> tuple[Tensor, ...]:
    """E[phi phi], E[phi' phi'] and, if asked for, derivatives.

    Of E[phi' phi'] in the cosine, of both in log a, and of both in log b, in this order: slope_c,
    value_a, value_b, slope_a, slope_b.
    """
    cosine, sine2, a, b = pair
    shape = torch.broadcast_shapes(*(t.shape for t in pair))
    with torch.no_grad():
        sizes = torch.cat([a.detach().flatten(), b.detach().flatten()]).double()
        own, at = sizes.unique(return_inverse=True)
        index = at[: a.numel()].reshape(a.shape), at[a.numel() :].reshape(b.shape)
        i, j, c, s2 = (t.expand(shape).reshape(-1) for t in (*index, cosine, sine2))
        found = _flat(dual, own, i, j, c.double(), s2.double(), partials)
    return tuple(row.reshape(shape).to(cosine.dtype) for row in found)


def _flat(
    dual: Any, own: Tensor, i: Tensor, j: Tensor, c: Tensor, s2: Tensor, partials: bool
) -> Tensor:
    """The same for pairs (k,) of the i-th and the j-th of the standard deviations `own`."""
    examine(dual)
    found = c.new_zeros((7 if partials else 2, len(c)))
    equal = (s2 == 0) & (c > 0) & (i == j)
    number = own[i].isfinite() & own[j].isfinite() & ~(c.isnan() | s2.isnan())
    found[:, ~number] = torch.nan
    split = dual.kinked_part() if dual.kinks else None
    rest, left = [], number.nonzero().squeeze(-1)
    for terms in _LEVELS if split is None else (_FEW, *_LEVELS):
        if not len(left):
            break
        rows, at = torch.cat([i[left], j[left]]).unique(return_inverse=True)
        table = expanded(dual, split, own[rows], terms + 2)
        x, z = at[: len(left)], at[len(left) :]
        enough = table.enough(terms, x, z, c[left], _SMOOTH if split is None else _KINKED)
        # where kinks are known, as pairs of nearly the same variable are
        same = equal[left] if split is None else equal[left] & ~enough
        found[:, left[same]] = _on_itself(table.whole, x[same], partials)
        for part in (enough & ~same).nonzero().squeeze(-1).split(_PAIRS):
            k = left[part]
            found[:, k] = table.summed(terms, x[part], z[part], c[k], partials)
            if split is not None:
                found[:, k] += split.expectations(c[k], s2[k], own[i[k]], own[j[k]], partials)
        left = left[~(enough | same)]
        if terms >= _PATIENCE:
            short = s2[left] > 0  # parallel pairs are one-dimensional integrals
            rest.append(left[~short])
            left = left[short]
    left = torch.cat([left, *rest])
    if len(left):
        half = (s2[left] / (2.0 * (1.0 + c[left].abs()))).sqrt()
        pair = own[i[left]], own[j[left]], half, c[left] < 0
        found[:, left] = direct(dual, *pair, partials)
    return found


def _on_itself(table: Coefficients, i: Tensor, partials: bool) -> Tensor:
    """Pairs of one and the same variable."""
    value, slope, value_a, slope_a = table.moments[:, i]
    if not partials:
        return torch.stack([value, slope])
    zero = torch.zeros_like(value)  # of E[phi' phi'] in the cosine: its one-sided derivative
    return torch.stack([value, slope, zero, value_a, value_a, slope_a, slope_a])
