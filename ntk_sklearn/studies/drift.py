"""How far the tangent kernel of a finite network moves in training, and where to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from ..finite.tangent import Inputs
from ..inference import kernel_alignment, target_alignment
from ..kernels._network import Network
from ._checks import check_count, check_steps, check_targets, check_widths
from ._descent import Loss, MakeOptimizer, descend, make_optimizer, task
from ._given import given
from ._power_law import fit_power_law
from ._tangent import KernelAtStart, relative_distance


@dataclass(frozen=True)
class KernelDrift:
    r"""The tangent kernel of a module after several numbers of steps.

    Attributes
    ----------
    steps : ndarray, (n_steps,)
    losses : ndarray, (n_steps,)
    drifts : ndarray, (n_steps,)
        :math:`\|K_t - K_0\|_F / \|K_0\|_F`
    alignments : ndarray, (n_steps,)
        Cosine :math:`\langle K_t, K_0 \rangle_F / (\|K_t\|_F \|K_0\|_F)`
    target_alignments : ndarray, (n_steps,)
        :math:`y^T K_t y / (\|K_t\|_F \|y\|^2)`, the cosine of K_t and :math:`y y^T`; NaN for
        targets of 0.
    """

    steps: np.ndarray
    losses: np.ndarray
    drifts: np.ndarray
    alignments: np.ndarray
    target_alignments: np.ndarray


@dataclass(frozen=True)
class DriftOverWidths:
    """`KernelDrift` of random networks of several widths.

    Attributes
    ----------
    widths : ndarray, (n_widths,)
    steps : ndarray, (n_steps,)
    learning_rate : float
    losses, drifts, alignments, target_alignments : ndarray, (n_widths, n_draws, n_steps)
    slope, intercept : float
        The drifts after the last step are about ``exp(intercept) * width**slope``.
    slope_error : float
        Standard error of the slope.
    """

    widths: np.ndarray
    steps: np.ndarray
    learning_rate: float
    losses: np.ndarray
    drifts: np.ndarray
    alignments: np.ndarray
    target_alignments: np.ndarray
    slope: float
    slope_error: float
    intercept: float


def kernel_drift(
    module: nn.Module,
    X: Inputs,
    y: ArrayLike,
    *,
    learning_rate: float,
    steps: Sequence[int] = (0, 1, 3, 10, 30, 100),
    loss: Loss | None = None,
    optimizer: MakeOptimizer = torch.optim.SGD,
    parameters: Sequence[str] | None = None,
) -> KernelDrift:
    """How a module's tangent kernel at the training rows moves while all rows are trained on.

    Parameters
    ----------
    module : torch.nn.Module
        Not touched: copies of its parameters are trained.
    X : array, tensor, tuple or mapping of them
        What the module reads.
    y : array-like, (n,) or (n, k)
    learning_rate, steps, loss, optimizer, parameters
        As in `trained_versus_linearized`.

    Returns
    -------
    KernelDrift
        NaN where training has diverged.

    Raises
    ------
    ValueError
        For targets of another shape than the outputs, and steps that do not ascend.

    References
    ----------
    Fort et al., "Deep learning versus kernel learning: an empirical study of loss landscape
    geometry and the time evolution of the neural tangent kernel", 2020, for the kernel's path;
    Cristianini et al., "On kernel-target alignment", 2001.
    """
    checked, study = check_steps(steps), task(module, X, y, loss, parameters)
    kernel, learner = KernelAtStart(study), study.learner()
    targets, found = study.targets.double().cpu().numpy().ravel(), []
    stepper = make_optimizer(optimizer, learner.values.values(), learning_rate)
    for value in descend(learner, study, stepper, checked):
        K, K_0 = kernel.at(learner.values), kernel.start
        found.append((value, relative_distance(K, K_0), *_alignments(K, K_0, targets)))
    return KernelDrift(checked, *np.array(found).T)


def _alignments(K: np.ndarray, start: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Cosines with the kernel at the start and with y y^T; NaN where they are undefined."""
    if not np.isfinite(K).all() or not K.any():
        return np.nan, np.nan
    with_targets = target_alignment(K, y, centred=False) if y.any() else np.nan
    return kernel_alignment(K, start, centred=False), with_targets


def kernel_drift_over_widths(
    network: Network | None,
    X: ArrayLike,
    y: ArrayLike,
    widths: Sequence[int] = (32, 64, 128, 256),
    n_draws: int = 3,
    *,
    learning_rate: float | None = None,
    steps: Sequence[int] = (0, 10, 100),
    image_shape: tuple[int, ...] | None = None,
    random_state: int = 0,
) -> DriftOverWidths:
    r"""How the movement of the tangent kernel in training falls with the width.

    Random networks in the NTK parametrization, trained by gradient descent on 1/2 sum (f - y)^2
    for the same steps at every width. For smooth activations the drift is observed to be of order
    1 / width (Lee et al. 2019, figure 1; the bound that is proved there is of order
    width^-1/2); for relu it falls more slowly.

    Parameters
    ----------
    network : Preset, Layer or None
        Of infinite width; None is ``FullyConnected()``.
    X : array-like, (n, n_features) or images (n, channels, height, width)
    y : array-like, (n,) or (n, k)
    widths : sequence of int, (n_widths,)
    n_draws : int, default=3
    learning_rate : float or None
        None is 1 / (largest eigenvalue of the NTK of infinite width).
    steps : sequence of int
        Ascending; 0 is the start.
    image_shape : tuple of int or None
    random_state : int, default=0

    Returns
    -------
    DriftOverWidths

    Raises
    ------
    ValueError, TypeError
        As in `width_convergence`, and as in `kernel_drift`.

    References
    ----------
    Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent",
    2019; Dyer and Gur-Ari, "Asymptotics of wide networks from Feynman diagrams", 2020, for 1/width.
    """
    widths_, n = check_widths(widths), check_count(n_draws, "n_draws")
    study, targets = given(network, X, image_shape), check_targets(y)
    rate = study.rate(learning_rate)
    runs = [
        [
            kernel_drift(module, study.rows, targets, learning_rate=rate, steps=steps)
            for module in study.draws(int(width), n, random_state, targets.shape[1])
        ]
        for width in widths_
    ]
    found: Any = [np.array([[part(run) for run in row] for row in runs]) for part in _PARTS]
    law: Any = fit_power_law(widths_, found[1][:, :, -1])
    return DriftOverWidths(widths_, check_steps(steps), rate, *found, *law)


_PARTS = tuple(map(attrgetter, ("losses", "drifts", "alignments", "target_alignments")))
