"""Operations and memory of empirical kernels: what a method is chosen by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..uses import PAIR_BLOCK, pairs_are_cheaper
from .contraction import GRADIENT_BLOCK
from .examine import Structure
from .function import ModuleFunction


@dataclass(frozen=True)
class Sizes:
    """Numbers of a module, as three rows showed them.

    Multiplications are counted in affine calls, of which `forward` are one row's; whatever else a
    module computes is not.
    """

    function: ModuleFunction
    structure: Structure
    form: str

    @property
    def k(self) -> int:
        """Outputs."""
        return self.structure.n_outputs

    @property
    def blocks(self) -> int:
        """Products of outputs for every pair of rows."""
        return self.k**2 if self.form == "full" else self.k

    @cached_property
    def forward(self) -> int:
        """Multiplications of one row's forward pass."""
        values, read = self.function.values, 0
        for site in self.structure.sites:
            if site is not None and site.weight is not None:
                read += values[site.weight].numel() * site.written[1]
        return read + sum(values[name].numel() for name in self.structure.others)

    def numel(self, names: Iterable[str]) -> int:
        """Numbers of some parameters."""
        return sum(self.function.values[name].numel() for name in names)

    def affine(self, names: Sequence[str]) -> list[str]:
        """Those of some parameters that are contracted by what affine calls read."""
        return [name for name in names if name in self.structure.structured]

    def pair_operations(self, name: str) -> int:
        """Multiplications per pair of rows of a structured parameter."""
        weight = self._window(name)
        if weight is None:
            return self.blocks * self.numel([name])
        positions, channels, patch, groups = weight
        if self._pairs(name):
            return groups * positions**2 * (self.blocks * channels + patch)
        return self.blocks * self.numel([name])

    def row_operations(self, name: str) -> int:
        """Multiplications per row for the gradients of a structured parameter, where formed."""
        weight = self._window(name)
        if weight is None or self._pairs(name):
            return 0
        return self.k * weight[0] * self.numel([name])

    def kept(self, name: str) -> int:
        """Numbers per row that stay for the products by a structured parameter."""
        weight, gradient = self._window(name), self.k * self.numel([name])
        if weight is None:
            return gradient
        sites = [site for site in self.structure.sites if site and site.weight == name]
        signals = sum(s.read[0] * s.read[1] + self.k * s.written[0] * s.written[1] for s in sites)
        if self._pairs(name):
            return signals
        return gradient if gradient <= signals else signals + min(2 * GRADIENT_BLOCK, gradient)

    def passing(self, names: Sequence[str]) -> int:
        """Numbers per row of the backward pass of all outputs by what structured calls write."""
        wanted = set(self.affine(names))
        sites = (s for s in self.structure.sites if s and {s.weight, s.bias} & wanted)
        return sum(self.k * s.written[0] * s.written[1] for s in sites)

    def pairing(self, names: Sequence[str], side: int) -> int:
        """Numbers for products of pairs of positions at a time, in tiles of a side."""
        windows = [w for w in map(self._window, self.affine(names)) if w is not None and w[0] > 1]
        pairs = [self.blocks * w[0] ** 2 for w in windows]
        return 3 * max((min(side**2 * p, max(PAIR_BLOCK, p)) for p in pairs), default=0)

    def _pairs(self, name: str) -> bool:
        weight = self._window(name)
        assert weight is not None
        positions, channels, patch, _ = weight
        if self.form == "full":
            return pairs_are_cheaper(positions, channels, patch, self.k**2)
        return pairs_are_cheaper(positions, self.k * channels, patch)

    def _window(self, name: str) -> tuple[int, int, int, int] | None:
        """(positions, channels of a group, numbers that one channel reads, groups)."""
        sites = [site for site in self.structure.sites if site and site.weight == name]
        if not sites:
            return None
        channels, groups = sites[0].written[0], sites[0].groups
        patch = self.numel([name]) // channels
        return sum(site.written[1] for site in sites), channels // groups, patch, groups
