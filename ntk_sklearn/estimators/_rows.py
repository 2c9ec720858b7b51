"""The rows that an estimator is trained on, or the blocks of a kernel matrix in their place."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..architecture import Dropout, contains
from ..finite import Linearized
from ..inference import Groups, equal_rows, ungrouped
from ..kernels import NNGP, NTK
from ..kernels._lowering import is_network
from ..kernels._network import as_network, trees
from ..kernels.precomputed import Precomputed
from ._blocks import Blocks

Kernel = NTK | NNGP | Precomputed


@dataclass(frozen=True)
class TrainingRows:
    """Training rows and their kernel.

    Attributes
    ----------
    kernel : Kernel
    rows : ndarray, (n, n_features)
        Rows, or the Gram (n, n) with a `Precomputed` kernel.
    reference : ndarray
        What new rows are compared with: the rows, or column numbers (n,) of a `Precomputed` one.
    """

    kernel: Kernel
    rows: np.ndarray
    reference: np.ndarray

    @property
    def precomputed(self) -> bool:
        """Whether there is a matrix in place of rows."""
        return isinstance(self.kernel, Precomputed)

    @property
    def by_output(self) -> Blocks:
        """Rows of the Gram for every row."""
        return Blocks(joint_outputs(self.kernel, self.rows) or 1)

    def gram(self, *quantities: Any, progress: Any = None) -> np.ndarray:
        """The Grams (n_quantities, n, n), in float64."""
        kernel = self.kernel.of_network(*quantities)
        return np.asarray(kernel.matrix(self.rows, progress=progress), dtype=np.float64)

    def merged(self) -> tuple[TrainingRows, Groups]:
        """Equal rows once each, where they are one row to the kernel."""
        if isinstance(self.kernel, Precomputed) or _masked(self.kernel):
            return self, ungrouped(len(self.rows))
        groups = equal_rows(self.rows)
        if groups.trivial:
            return self, groups
        first = self.rows[groups.first]
        return TrainingRows(self.kernel, first, first), groups


def of_one_network(kernel: Kernel) -> bool:
    """Whether NNGP and NTK are those of one network, which has a spread over initializations."""
    return not isinstance(kernel, Precomputed) and is_network(as_network(kernel.network))


def joint_outputs(kernel: Kernel, rows: np.ndarray) -> int | None:
    """Outputs of a module that are trained together; None where one kernel serves all targets."""
    if isinstance(kernel, Precomputed) or not isinstance(kernel.network, Linearized):
        return None
    return kernel.of_network("ntk").joint_outputs(rows.shape[1])


def check_targets(kernel: Kernel, rows: np.ndarray, n_targets: int) -> None:
    """Refuse targets of another number than a module has outputs.

    Raises
    ------
    ValueError
        Naming the remedy.
    """
    n_outputs = joint_outputs(kernel, rows)
    if n_outputs not in (None, n_targets):
        raise ValueError(
            f"y has {n_targets} target(s) and the module {n_outputs} output(s): give y a column "
            "for each output, or take Linearized(module, outputs='mean'), which has one kernel for "
            "any number of targets"
        )


def count_targets(kernel: Kernel, rows: np.ndarray, n_classes: int) -> int:
    """Columns of targets for labels: 1 for two classes, but 2 for a module of two outputs.

    Raises
    ------
    ValueError
        For a module of another number of outputs, naming the remedy.
    """
    n_outputs, usual = joint_outputs(kernel, rows), 1 if n_classes == 2 else n_classes
    if n_outputs not in (None, usual, n_classes):
        raise ValueError(
            f"y has {n_classes} classes and the module {n_outputs} output(s): take a module with "
            f"{n_classes} outputs{' or 1' if n_classes == 2 else ''}, or "
            "Linearized(module, outputs='mean'), which has one kernel for any number of classes"
        )
    return usual if n_outputs is None else n_outputs


def _masked(kernel: NTK | NNGP) -> bool:
    """Whether equal rows have masks of their own."""
    return any(contains(layers, Dropout) for layers in trees(as_network(kernel.network)))


def training_rows(kernel: Kernel, rows: np.ndarray, kept: np.ndarray) -> TrainingRows:
    """The rows of positive weight, `kept` (n,) telling which."""
    if isinstance(kernel, Precomputed):
        return TrainingRows(kernel, rows[np.ix_(kept, kept)], np.flatnonzero(kept))
    rows = rows[kept]
    return TrainingRows(kernel, rows, rows)


def warn_of_conflicts(targets: np.ndarray, means: np.ndarray) -> None:
    """Warn where targets (n, k) of rows to be fitted exactly differ from those of equal rows."""
    if not np.allclose(means, targets):
        warnings.warn(
            "equal rows of X have different targets, which no network can fit; their weighted "
            "means are fitted",
            UserWarning,
            stacklevel=4,
        )
