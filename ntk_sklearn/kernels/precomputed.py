"""Kernel matrices that the caller has computed, in place of a kernel."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np


class Precomputed:
    """What estimators with ``network="precomputed"`` evaluate: blocks of a given matrix.

    "Rows" are rows of the kernel matrix against the training rows of `fit`; the place of training
    rows is taken by their column numbers.
    """

    image_shape = None

    def of_network(self, *quantities: str) -> Precomputed:
        """Itself, where one kernel is asked for.

        Raises
        ------
        ValueError
            For several kernels of one network.
        """
        if len(quantities) > 1:
            raise ValueError(
                "network='precomputed' has one kernel matrix; the spread over initializations "
                "needs those of the NTK and of the NNGP: give a network, or uncertainty='ntkgp'"
            )
        return self

    def matrix(self, X: np.ndarray, Z: np.ndarray | None = None, progress: Any = None) -> Any:
        """(1, n, m): X itself, or its columns Z."""
        return (X if Z is None else X[:, Z])[np.newaxis]

    def __call__(self, X: np.ndarray, Y: np.ndarray | None = None) -> Any:
        """(n, m): X itself, or its columns Y."""
        return self.matrix(X, Y)[0]

    def refuse_error_bars(self) -> NoReturn:
        """Not known: a block of new against training rows does not hold k(x, x)."""
        raise ValueError(
            "error bars need k(x, x) of the new rows, which network='precomputed' does not give"
        )

    def diagonal(self, X: np.ndarray) -> NoReturn:
        """Refused like error bars."""
        self.refuse_error_bars()

    def initial_outputs(self, X: np.ndarray, n_outputs: int, random_state: int) -> NoReturn:
        """Not known: random functions are those of a network."""
        raise ValueError("initial='random' needs a network, not network='precomputed'")

    def module_outputs(self, X: np.ndarray) -> NoReturn:
        """Not known: the function at initialization is that of a torch module."""
        raise ValueError("initial='network' needs a torch module, not network='precomputed'")


def is_precomputed(network: Any) -> bool:
    """Whether the caller gives kernel matrices instead of a network."""
    return isinstance(network, str) and network == "precomputed"


def check_square(K: np.ndarray) -> np.ndarray:
    """The Gram of training rows that the caller computed.

    Raises
    ------
    ValueError
        If it is not square and symmetric.
    """
    if K.shape[0] != K.shape[1]:
        raise ValueError(
            "with network='precomputed' X must be the square kernel matrix of the training rows, "
            f"got shape {K.shape}"
        )
    if np.abs(K - K.T).max() > 1e-5 * np.abs(K).max():  # matrices in float32 may pass
        raise ValueError("with network='precomputed' the kernel matrix X must be symmetric")
    symmetric: np.ndarray = 0.5 * (K + K.T)
    return symmetric
