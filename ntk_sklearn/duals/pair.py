"""Two jointly Gaussian variables, and arithmetic that survives angles 0 and pi.

A covariance alone forgets small angles: 1 - correlation loses half of the digits, and arccos near
1 the other half. A pair therefore knows the *squared sine* of its angle. Where the recursion can
carry it from layer to layer (no spatial axes), it is exact to rounding at every angle; elsewhere
it is computed from the covariance, and pairs whose correlation is +-1 up to rounding are snapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

# Rounding of a dot product leaves equal, parallel and antiparallel inputs this far from
# correlation +-1, in units of the machine epsilon.
SNAP = 8.0


def safe_sqrt(x: Tensor) -> Tensor:
    """Square root with value and gradient 0 where x <= 0."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1.0).sqrt(), 0.0)


def safe_divide(a: Tensor, b: Tensor) -> Tensor:
    """a / b with value and gradient 0 where b == 0."""
    nonzero = b != 0
    return torch.where(nonzero, a / torch.where(nonzero, b, 1.0), 0.0)


@dataclass(frozen=True)
class GaussianPair:
    """Centred Gaussians u, v with covariance `cov` and variances `var_x`, `var_z`.

    Attributes
    ----------
    cov, var_x, var_z : Tensor
        Broadcast against one another: (n, m, ...), (n, 1, ...) and (1, m, ...) for a Gram tile.
    carried : Tensor or None
        The squared sine of the angle between u and v, where it is known better than `cov` tells.
    """

    cov: Tensor
    var_x: Tensor
    var_z: Tensor
    carried: Tensor | None = None

    @cached_property
    def roots(self) -> tuple[Tensor, Tensor]:
        """Standard deviations of u and v."""
        return safe_sqrt(self.var_x), safe_sqrt(self.var_z)

    @cached_property
    def scale(self) -> Tensor:
        """sqrt(var_x var_z)."""
        return self.roots[0] * self.roots[1]

    @cached_property
    def cosine(self) -> Tensor:
        """Correlation, in [-1, 1]; 0 where a variance is 0."""
        x, z = (safe_divide(torch.ones_like(root), root) for root in self.roots)
        return (self.cov * x * z).clamp(-1.0, 1.0)

    @cached_property
    def absolute(self) -> Tensor:
        """|cosine|, with the derivative of cosine at 0: orthogonal pairs have no kink."""
        return torch.where(self.cosine < 0, -self.cosine, self.cosine)

    @cached_property
    def sine2(self) -> Tensor:
        """Squared sine of the angle: 1 - cosine^2 without its cancellation; 1 at variance 0."""
        if self.carried is not None:
            return self.carried
        gap = 1.0 - self.absolute
        apart = gap > SNAP * torch.finfo(gap.dtype).eps
        return torch.where(apart, gap * (1.0 + self.absolute), 0.0)

    @cached_property
    def sine(self) -> Tensor:
        """Sine of the angle; its gradient at angles 0 and pi is 0."""
        return safe_sqrt(self.sine2)

    @cached_property
    def root_determinant(self) -> Tensor:
        """sqrt(var_x var_z - cov^2)."""
        return self.scale * self.sine

    @cached_property
    def determinant(self) -> Tensor:
        """var_x var_z - cov^2."""
        return self.scale * self.scale * self.sine2

    @cached_property
    def angle(self) -> Tensor:
        """Angle in [0, pi]; pi / 2 by convention where a variance is 0."""
        return torch.atan2(self.sine, self.cosine)

    @cached_property
    def fold(self) -> Tensor:
        """1 - |cosine|, without cancellation at angles near 0 and pi."""
        return self.sine2 / (1.0 + self.absolute)

    @cached_property
    def versine(self) -> Tensor:
        """1 - cosine, without cancellation at small angles."""
        return torch.where(self.cosine >= 0, self.fold, 2.0 - self.fold)

    @cached_property
    def distance2(self) -> Tensor:
        """E (u - v)^2 = var_x + var_z - 2 cov, without cancellation at small angles."""
        difference = self.roots[0] - self.roots[1]
        apart = difference * difference + 2.0 * self.scale * self.versine
        # at variance 0 the roots have no derivative, the plain sum has
        return torch.where(self.scale > 0, apart, self.var_x + self.var_z - 2.0 * self.cov)


def sine2_of_sum(first: GaussianPair, second: GaussianPair) -> Tensor:
    r"""Squared sine for u1 + u2, v1 + v2, the two pairs being independent of each other.

    With the shares a_k, b_k of the two standard deviations (a_1^2 + a_2^2 = 1 for u, b for v) and
    the cosines c_k, it is a sum of terms >= 0: ``(a_1 b_1)^2 sine2_1 + (a_2 b_2)^2 sine2_2
    + (a_1 b_2 - a_2 b_1)^2 + 2 a_1 b_1 a_2 b_2 (1 - c_1 c_2)``.
    """
    (x1, z1), (x2, z2) = first.roots, second.roots
    x, z = torch.hypot(x1, x2), torch.hypot(z1, z2)
    a1, a2, b1, b2 = (safe_divide(*parts) for parts in ((x1, x), (x2, x), (z1, z), (z2, z)))
    one, two, cross = a1 * b1, a2 * b2, a1 * b2 - a2 * b1
    product = first.cosine * second.cosine
    alike = first.fold + second.fold - first.fold * second.fold  # 1 - |product|
    mixed = torch.where(product > 0, alike, 1.0 - product)
    sine2 = one * one * first.sine2 + two * two * second.sine2 + cross * cross
    # a vanishing sum has angle pi / 2 by the convention of `GaussianPair.angle`
    found = torch.where((x > 0) & (z > 0), sine2 + 2.0 * one * two * mixed, 1.0)
    return found.clamp(max=1.0)
