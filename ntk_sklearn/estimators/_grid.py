"""Grids of parameters, the depths of a preset among them, and the table of their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from ..backends import Quantity
from ..kernels import NNGP, NTK
from ..kernels.family import NetworkFamily
from ..kernels.precomputed import Precomputed
from ..presets import Preset
from ._rows import Kernel, TrainingRows


@dataclass(frozen=True)
class Grid:
    """Candidates: all combinations of some values.

    Attributes
    ----------
    axes : dict of str to list
        Values by the name of a parameter; [None] is a parameter that is not searched.
    """

    axes: dict[str, list[Any]]

    def table(self, scores: np.ndarray) -> dict[str, Any]:
        """Scores (*lengths of the axes, n_splits) as the `cv_results_` of scikit-learn.

        Candidates are in the order of `ParameterGrid`: by the names of the parameters, the last one
        varying fastest.

        Raises
        ------
        ValueError
            If no candidate has a finite score.
        """
        names = list(self.axes)
        order = sorted(range(len(names)), key=lambda k: names[k])
        per_split = scores.transpose(*order, -1).reshape(-1, scores.shape[-1])
        searched = {name: values for name, values in self.axes.items() if values != [None]}
        params = list(ParameterGrid(searched))
        mean = per_split.mean(axis=1)
        if not np.isfinite(mean).any():
            raise ValueError(f"no candidate has a finite score, they are {mean}")
        found: dict[str, Any] = {"params": params}
        found |= {f"param_{name}": np.array([p[name] for p in params]) for name in searched}
        found |= {f"split{k}_test_score": np.array(column) for k, column in enumerate(per_split.T)}
        found |= {"mean_test_score": mean, "std_test_score": per_split.std(axis=1)}
        worst_last = np.where(np.isnan(mean), -np.inf, mean)
        rank = rankdata(-worst_last, method="min").astype(np.int32)
        return found | {"rank_test_score": rank}

    def place(self, index: int) -> dict[str, int]:
        """Which value of every parameter candidate `index` of the table has."""
        names = sorted(self.axes)
        places = np.unravel_index(index, [len(self.axes[name]) for name in names])
        return {name: int(place) for name, place in zip(names, places, strict=True)}


def check_axis(values: Any, name: str, check: Callable[[Any], Any]) -> list[Any]:
    """Checked values of a parameter.

    Raises
    ------
    ValueError
        If they are not a sequence of at least one.
    """
    if isinstance(values, str) or np.ndim(values) != 1 or len(values) == 0:
        raise ValueError(f"{name} must be a sequence of at least one value, got {values!r}")
    return [check(value) for value in values]


def kernels_of_depths(kernel: Kernel, depths: Any) -> list[Kernel]:
    """The kernel with every depth of its preset; itself for None.

    Raises
    ------
    ValueError
        For networks that have no `depth`.
    """
    if depths is None:
        return [kernel]
    network = getattr(kernel, "network", "precomputed")
    if not isinstance(network, Preset) or "depth" not in network.get_params(deep=False):
        raise ValueError(
            "depths are those of a preset with a parameter depth, such as FullyConnected(); got "
            f"network={network!r}"
        )
    assert isinstance(kernel, (NTK, NNGP))
    values = check_axis(depths, "depths", lambda depth: depth)
    networks = [clone(network).set_params(depth=depth) for depth in values]
    return [clone(kernel).set_params(network=network) for network in networks]


def depth_of(kernel: Kernel) -> Any:
    """The depth of the kernel's network, None where it has none."""
    return getattr(getattr(kernel, "network", None), "depth", None)


def grams(
    kernels: Sequence[Kernel],
    data: TrainingRows,
    quantities: Sequence[Quantity],
    progress: Any = None,
) -> np.ndarray:
    """The Grams (n_kernels, n_quantities, n, n) of the rows, in one pass."""
    if data.precomputed:
        return data.gram(*quantities)[np.newaxis]
    of_depths = [k.of_network(*quantities) for k in kernels if not isinstance(k, Precomputed)]
    family = NetworkFamily(tuple(of_depths))
    found = family.matrix(data.rows, progress)
    return found.reshape(len(kernels), len(quantities), *found.shape[1:])
