"""What a study of a network over widths is given: rows, the limit's kernels, random networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._validation import as_rows, check_rows, resolve_image_shape
from ..architecture import Layer
from ..backends import Quantity
from ..finite import FiniteNetwork, to_module
from ..finite.seeds import check_seed, spawn
from ..kernels import NetworkKernel
from ..kernels._network import Network, as_network, finite_width, tree
from ._checks import check_positive


@dataclass(frozen=True)
class Given:
    """A network of any width, and the rows that it reads.

    Attributes
    ----------
    layers : Layer
    kernel : NetworkKernel
        Of infinite width.
    rows : ndarray, (n, n_features)
    """

    layers: Layer
    kernel: NetworkKernel
    rows: np.ndarray

    def limit(self, Z: np.ndarray | None = None) -> np.ndarray:
        """The kernel of infinite width: the Gram (n, n) of the rows, or (m, n) for others."""
        found = self.kernel.matrix(self.rows) if Z is None else self.kernel.matrix(Z, self.rows)
        matrix: np.ndarray = found[0]
        return matrix

    def rate(self, given: float | None) -> float:
        """The learning rate that is given, or half the one where gradient descent diverges.

        1 / (largest eigenvalue of the Gram).
        """
        if given is not None:
            return check_positive(given, "learning_rate")
        largest = float(np.linalg.eigvalsh(self.limit())[-1])
        if not largest > 0:
            raise ValueError("the kernel of X is 0: no learning rate follows from it, give one")
        return 1.0 / largest

    def others(self, X: ArrayLike, name: str) -> np.ndarray:
        """More rows, (m, n_features)."""
        flat, _ = as_rows(X, self.kernel.image_shape)
        return check_rows(flat, name, self.rows.shape[1])

    def draws(
        self, width: int, n_draws: int, random_state: int, n_outputs: int = 1
    ) -> Iterator[FiniteNetwork]:
        """Random networks that the integer and the width determine."""
        shape = self.kernel.problem(self.rows.shape[1]).input_shape
        seed = np.random.SeedSequence([check_seed(random_state), width]).generate_state(1)[0]
        for generator in spawn(int(seed), n_draws):
            yield to_module(self.layers, shape, width, n_outputs, generator)


def given(
    network: Network | None,
    X: ArrayLike,
    image_shape: tuple[int, ...] | None = None,
    quantity: Quantity = "ntk",
) -> Given:
    """The network and its rows, checked.

    Raises
    ------
    TypeError
        For anything but a preset or a layer tree.
    ValueError
        For presets of finite width, and rows that the kernel refuses.
    """
    found = as_network(network)
    layers = tree(found)
    if finite_width(found) is not None:
        raise ValueError(
            f"network must be infinitely wide, the widths are those in `widths`, got {network!r}"
        )
    flat, shape = as_rows(X, image_shape)
    rows = check_rows(flat)
    if not len(rows):
        raise ValueError("X has no rows")
    shape = None if shape is None else resolve_image_shape(shape, rows.shape[1])
    return Given(layers, NetworkKernel(found, (quantity,), shape), rows)
