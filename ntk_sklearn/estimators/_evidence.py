"""Scales of a network, noise and amplitude that maximize the evidence."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError
from scipy.optimize import OptimizeResult, minimize
from sklearn.exceptions import ConvergenceWarning

from ..inference import MergedTargets, evidence_slope
from ..kernels import NNGP, NetworkKernel
from ..kernels._network import with_scales
from ._search_space import SearchSpace


@dataclass(frozen=True)
class OptimalScales:
    """What the evidence is largest for.

    Attributes
    ----------
    input_scale : ndarray, (n_features,)
    noise : float
        Factor of the given noise.
    output_scale : float
    network : Preset or Layer
        The network with other scales.
    n_iter : int
        Iterations of the run of L-BFGS that found them, 0 for the given values.
    """

    input_scale: np.ndarray
    noise: float = 1.0
    output_scale: float = 1.0
    network: Any = None
    n_iter: int = 0


def optimal_scales(
    kernel: NNGP,
    rows: np.ndarray,
    parts: Sequence[MergedTargets],
    space: SearchSpace,
    n_restarts: int,
    random: np.random.RandomState,
    report: Callable[[int, int | None], object],
) -> OptimalScales:
    """Maximize the evidence of (merged, normalized) targets; see `maximize`."""
    covariance = replace(kernel.of_network("nngp"), dtype="float64")
    evidence = Evidence(covariance, rows, parts, space)
    logs, n_iter = maximize(evidence, space, n_restarts, random, report)
    return OptimalScales(
        evidence.input_scale(logs),
        evidence.noise_factor(logs),
        evidence.output_scale(logs),
        evidence.kernel(logs).network,
        n_iter,
    )


class Evidence:
    """The log evidence as a function of the logarithms of the free scales, with its gradient.

    Parameters
    ----------
    kernel : NetworkKernel
        The covariance, in float64.
    rows : ndarray, (n, n_features)
        Merged rows.
    parts : sequence of MergedTargets
        Normalized targets with the given noise.
    space : SearchSpace
    """

    def __init__(
        self,
        kernel: NetworkKernel,
        rows: np.ndarray,
        parts: Sequence[MergedTargets],
        space: SearchSpace,
    ) -> None:
        self._kernel, self._rows, self._parts, self._space = kernel, rows, parts, space
        self._key: Any = None
        self._gram: Any = None

    def kernel(self, logs: np.ndarray) -> NetworkKernel:
        """The kernel with these scales of the network."""
        values = {name: float(self._space.values(logs, name)[0]) for name in self._space.network}
        return replace(self._kernel, network=with_scales(self._kernel.network, values))

    def noise_factor(self, logs: np.ndarray) -> float:
        """What the given noise is multiplied by."""
        ratio = self._space.values(logs, "noise") / self._space.values(self._space.given, "noise")
        return float(ratio.prod())

    def output_scale(self, logs: np.ndarray) -> float:
        """What the covariance is multiplied by."""
        return float(self._space.values(logs, "output_scale").prod())

    def input_scale(self, logs: np.ndarray) -> np.ndarray:
        """What the features are multiplied by."""
        found = self._space.values(logs, "input_scale")
        return found if len(found) else np.ones(self._rows.shape[1])

    def __call__(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient (p,); -inf and zeros where the covariance is singular or overflows."""
        kernel, features = self.kernel(logs), self._space.values(logs, "input_scale")
        try:  # the data have been checked: what fails are these scales
            K = self._matrix(kernel, self.input_scale(logs))
            found = evidence_slope(K, self._parts, self.output_scale(logs), self.noise_factor(logs))
            scales = self._space.network
            by_scale, by_feature = kernel.contracted_gradient(
                self._rows, found.matrix, scales, features if len(features) else None
            )
        except (LinAlgError, ValueError, OverflowError):
            return -np.inf, np.zeros(len(logs))
        slopes = dict(zip(scales, by_scale[:, np.newaxis], strict=True))
        slopes |= {"noise": [found.noise], "output_scale": [found.output_scale]}
        slopes |= {"input_scale": by_feature}
        gradient = np.concatenate([slopes[name] for name in dict.fromkeys(self._space.names)])
        if not (np.isfinite(found.value) and np.isfinite(gradient).all()):
            return -np.inf, np.zeros(len(logs))
        return found.value, gradient

    def _matrix(self, kernel: NetworkKernel, factors: np.ndarray) -> Any:
        """The Gram, kept while only noise and output scale change."""
        key = (kernel, factors.tobytes())
        if self._key != key:
            self._gram, self._key = kernel.gram_tensor(self._rows * factors), key
        return self._gram


class _Objective:
    """What L-BFGS-B minimizes, and the best point that it saw."""

    def __init__(self, evidence: Callable[..., tuple[float, np.ndarray]], report: Any) -> None:
        self._evidence, self._report = evidence, report
        self.best, self.n_evaluations = (-np.inf, np.empty(0)), 0

    def __call__(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self._evidence(logs)
        self.n_evaluations += 1
        self._report(self.n_evaluations, None)
        if value > self.best[0]:
            self.best = value, logs.copy()
        if value == -np.inf:
            # infinity would break the line search, which halves its step for a bad value
            top = self.best[0] if self.best[0] > -np.inf else 0.0
            return -top + 10.0 * (1.0 + abs(top)), gradient
        return -value, -gradient


def maximize(
    evidence: Callable[..., tuple[float, np.ndarray]],
    space: SearchSpace,
    n_restarts: int,
    random: np.random.RandomState,
    report: Callable[[int, int | None], object],
) -> tuple[np.ndarray, int]:
    """Maximize by L-BFGS-B from `space.start` and from points drawn log-uniformly in the bounds.

    Input scales are first varied together, from the start: alone, they would often end in a local
    maximum where some features are lost. The given values are candidates, too, even out of bounds:
    nothing worse is found.

    Returns
    -------
    logs : ndarray, (p,)
    n_iter : int
        Iterations of the run of L-BFGS that found them, 0 for the given values.

    Warns
    -----
    ConvergenceWarning
        Naming the scales that ended at a bound; and if L-BFGS failed.
    """
    if not space.names:
        return space.given, 0
    objective = _Objective(evidence, report)
    report(0, None)
    objective(space.given)
    best, chosen, failed = (objective.best[0], space.given), None, []
    low, high = space.bounds.T
    starts = [_alike(objective, space), *random.uniform(low, high, (n_restarts, len(low)))]
    for start in starts:
        objective.best = (-np.inf, start)
        result = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=space.bounds)
        if not result.success or objective.best[0] == -np.inf:
            failed.append(result)
        if objective.best[0] > best[0]:
            best, chosen = objective.best, result
    if len(failed) == len(starts) or any(result is chosen for result in failed):
        _warn_of_failure(failed[0] if chosen is None else chosen)
    _warn_of_bounds(space.at_bounds(best[1]))
    return best[1], 0 if chosen is None else int(chosen.nit)


def _alike(objective: _Objective, space: SearchSpace) -> np.ndarray:
    """Where the evidence is largest with equal input scales; the start where there are none."""
    tie = space.tie
    if tie.shape[0] == tie.shape[1]:
        return space.start

    def tied(logs: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = objective(tie @ logs)
        return value, tie.T @ gradient

    shared = tie.argmax(axis=0)  # a scale of each kind
    objective.best = (-np.inf, space.start)
    minimize(tied, space.start[shared], jac=True, method="L-BFGS-B", bounds=space.bounds[shared])
    return objective.best[1]


def _warn_of_failure(result: OptimizeResult) -> None:
    warnings.warn(
        "L-BFGS failed to maximize the evidence, other starts or scale_bounds may help: "
        f"{result.message}",
        ConvergenceWarning,
        stacklevel=5,
    )


def _warn_of_bounds(at_bounds: list[str]) -> None:
    if at_bounds:
        warnings.warn(
            f"the evidence is largest at a bound of {', '.join(at_bounds)}: it may be larger "
            "beyond; set scale_bounds",
            ConvergenceWarning,
            stacklevel=5,
        )
