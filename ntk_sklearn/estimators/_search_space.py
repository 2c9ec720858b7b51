"""Scales of a network, noise and amplitude: which are free, and within which bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..kernels import NNGP
from ..kernels._network import as_network, free_scales, is_weight

# Where the search starts if the noise is "auto", in units of the mean square of the targets: from
# the small value of "auto" it would often end where the network interpolates the noise.
NOISE_START = 0.1
# Default bounds, for targets of variance 1.
NOISE_BOUNDS = (1e-8, 1e2)
OUTPUT_SCALE_BOUNDS = (1e-5, 1e5)
INPUT_SCALE_BOUNDS = (1e-3, 1e3)


@dataclass(frozen=True)
class SearchSpace:
    """The scales that are free, by name, in logarithms.

    Attributes
    ----------
    names : tuple of str
        Scales of the network, then "noise", "output_scale" and one "input_scale" per feature.
    given : ndarray, (p,)
    start : ndarray, (p,)
        Where the first search starts.
    bounds : ndarray, (p, 2)
    """

    names: tuple[str, ...]
    given: np.ndarray
    start: np.ndarray
    bounds: np.ndarray

    @cached_property
    def network(self) -> list[str]:
        """Names of the free scales of the network."""
        return [n for n in self.names if n not in ("noise", "output_scale", "input_scale")]

    @cached_property
    def tie(self) -> np.ndarray:
        """T (p, q) with all logarithms T z of z (q,), which has one entry for all input scales."""
        kinds = list(dict.fromkeys(self.names))
        return np.array([[float(name == kind) for kind in kinds] for name in self.names])

    def values(self, logs: np.ndarray, name: str) -> np.ndarray:
        """The values (n_entries,) of one name; none where it is not free."""
        chosen: np.ndarray = np.exp(logs[[n == name for n in self.names]])
        return chosen

    def at_bounds(self, logs: np.ndarray) -> list[str]:
        """Who is at a bound, and at which; but for parts of a mixture that do not help."""
        found = []
        for k, name in enumerate(self.names):
            label = f"input_scale[{k - self.names.index(name)}]" if name == "input_scale" else name
            for bound in self.bounds[k][int(is_weight(name)) :]:
                if np.isclose(logs[k], bound, rtol=0.0, atol=1e-6):
                    found.append(f"{label} ({np.exp(bound):.3g})")
        return found


def search_space(
    kernel: NNGP,
    scale_bounds: Mapping[str, Any] | str | None,
    noise: float | None,
    n_inputs: int,
    mean_square: float,
    auto: bool = False,
) -> SearchSpace:
    """What is free: scales of the network that are not 0, noise, output scale, input scales.

    Parameters
    ----------
    kernel : NNGP
    scale_bounds : None, "fixed" or mapping
        As in `NNGPRegressor`.
    noise : float or None
        The given noise of normalized targets; None where it stays as it is.
    n_inputs : int
        Number of features that are scaled, 0 for none.
    mean_square : float
        Of the normalized targets: widens the default bounds where they are not normalized.
    auto : bool, default=False
        Whether the noise was chosen by nobody, so that the search starts from another one.
    """
    low, high = min(1.0, mean_square), max(1.0, mean_square)
    defaults = {
        "noise": (NOISE_BOUNDS[0] * low, NOISE_BOUNDS[1] * high),
        "output_scale": (OUTPUT_SCALE_BOUNDS[0] * low, OUTPUT_SCALE_BOUNDS[1] * high),
        "input_scale": INPUT_SCALE_BOUNDS,
    }
    given = {} if noise is None else {"noise": np.array([noise])}
    given |= {"output_scale": np.ones(1), "input_scale": np.ones(n_inputs)}
    bounds = _bounds(kernel, scale_bounds, defaults)
    scales = free_scales(as_network(kernel.network))
    values = {name: np.array([value]) for name, value in scales.items()} | given
    free = [name for name in values if name in bounds for _ in values[name]]
    if not free:
        return SearchSpace((), np.empty(0), np.empty(0), np.empty((0, 2)))
    logs = np.log(np.concatenate([values[name] for name in dict.fromkeys(free)]))
    limits, start = np.log([bounds[name] for name in free]), logs.copy()
    if auto and "noise" in free:
        start[free.index("noise")] = np.log(NOISE_START * mean_square)
    return SearchSpace(tuple(free), logs, np.clip(start, *limits.T), limits)


def _bounds(
    kernel: NNGP, scale_bounds: Mapping[str, Any] | str | None, defaults: Mapping[str, Any]
) -> dict[str, tuple[float, float]]:
    """Bounds by name of all that is not fixed."""
    own = scale_bounds
    if isinstance(scale_bounds, Mapping):
        known = [*free_scales(as_network(kernel.network)), *defaults]
        unknown = set(scale_bounds) - set(known)
        if unknown:
            raise ValueError(f"scale_bounds names {sorted(unknown)}; there are {known}")
        own = {name: b for name, b in scale_bounds.items() if name not in defaults}
    scales = NNGP(kernel.network, scale_bounds=own).hyperparameters
    found = {h.name: "fixed" if h.fixed else np.ravel(h.bounds) for h in scales}
    for name, default in defaults.items():
        given = scale_bounds.get(name, default) if isinstance(scale_bounds, Mapping) else default
        found[name] = "fixed" if scale_bounds == "fixed" else given
    return {
        name: _checked(name, b)
        for name, b in found.items()
        if not (isinstance(b, str) and b == "fixed")
    }


def _checked(name: str, bounds: Any) -> tuple[float, float]:
    try:
        pair = np.asarray(bounds, dtype=np.float64)
    except (TypeError, ValueError):
        pair = np.empty(0)
    if pair.shape != (2,) or not 0 < pair[0] <= pair[1] < np.inf:
        raise ValueError(f"scale_bounds of {name} must be 0 < low <= high or 'fixed', got {bounds}")
    return float(pair[0]), float(pair[1])
