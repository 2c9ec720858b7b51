"""Sums over Hermite coefficients of pairs, with or without what is known of kinks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .hermite import Coefficients, coefficients, in_log_scale

# Shares of a total that are rounding, not a remainder.
_ROUNDING = 1e-14


@dataclass(frozen=True)
class Expanded:
    """Coefficients of phi and, where a part of it is known, of phi without this part, `rest`.

    With phi = rest + part, E[phi phi] = E[part part] + E[rest phi] + E[part rest].
    """

    whole: Coefficients
    rest: Coefficients | None

    def enough(self, terms: int, i: Tensor, j: Tensor, c: Tensor, tolerance: float) -> Tensor:
        """Whether so many terms are, by Cauchy and Schwarz: of pairs of the i-th and the j-th."""
        bounds = [whole[i] * whole[j] for whole in self._tails(self.whole, terms)]
        if self.rest is not None:
            both = zip(self._tails(self.rest, terms), self._tails(self.whole, terms), strict=True)
            bounds = [r[i] * w[j] + (w[i] + r[i]) * r[j] for r, w in both]
        return c.abs() ** terms * torch.maximum(*bounds) <= tolerance

    def _tails(self, table: Coefficients, terms: int) -> list[Tensor]:
        """Roots of what is beyond the first coefficients, relative to those of E[phi^2]."""
        found, rounding = table.rest(terms), 0.0 if table is self.whole else _ROUNDING
        parts = zip(found, table.moments[:2], self.whole.moments[:2], strict=True)
        return [
            ((beyond - rounding * own).clamp(min=0.0) / torch.where(total > 0, total, 1.0)).sqrt()
            for beyond, own, total in parts
        ]

    def summed(self, terms: int, i: Tensor, j: Tensor, c: Tensor, partials: bool) -> Tensor:
        """Sums for pairs of the i-th and the j-th."""
        whole = _factors(self.whole, terms, partials)
        if self.rest is None:
            return torch.stack([_horner(x, z, i, j, c) for x, z in whole])
        rest = _factors(self.rest, terms, partials)
        both = zip(whole, rest, strict=True)
        return torch.stack(
            [_horner(r, z, i, j, c) + _horner(x - r, s, i, j, c) for (x, z), (r, s) in both]
        )


def expanded(dual: Any, part: Any, a: Tensor, terms: int) -> Expanded:
    """Coefficients of phi(a s) for standard deviations a (n,)."""
    whole = coefficients(dual, a, terms)
    rest = None if part is None else coefficients(dual, a, terms, _Difference(dual, part))
    return Expanded(whole, rest)


@dataclass(frozen=True)
class _Difference:
    """phi without a part of it."""

    dual: Any
    part: Any

    def phi(self, x: Tensor) -> Tensor:
        found: Tensor = self.dual.phi(x) - self.part.phi(x)
        return found

    def slope(self, x: Tensor) -> Tensor:
        found: Tensor = self.dual.slope(x) - self.part.slope(x)
        return found


def _factors(table: Coefficients, terms: int, partials: bool) -> list[tuple[Tensor, Tensor]]:
    """Coefficients in x and in z of T, T' and their derivatives; see `expectations`."""
    f, g = table.value[:, :terms], table.slope[:, :terms]
    found = [(f, f), (g, g)]
    if partials:
        k = torch.arange(terms).to(f)
        f_a, g_a = in_log_scale(table.value), in_log_scale(table.slope)
        found += [((k * g)[:, 1:], g[:, 1:]), (f_a, f), (f, f_a), (g_a, g), (g, g_a)]
    return found


def _horner(left: Tensor, right: Tensor, i: Tensor, j: Tensor, c: Tensor) -> Tensor:
    """Sum over l of left[i, l] right[j, l] c^l, by Horner's rule."""
    columns = zip(left.T.contiguous().flip(0), right.T.contiguous().flip(0), strict=True)
    total, x, z = torch.zeros_like(c), torch.empty_like(c), torch.empty_like(c)
    for f, g in columns:  # into memory that is there: three times as fast
        torch.index_select(f, 0, i, out=x)
        torch.index_select(g, 0, j, out=z)
        total.mul_(c).addcmul_(x, z)
    return total
