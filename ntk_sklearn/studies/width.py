"""How fast the kernels of random networks approach those of infinite width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..backends import Quantity
from ..finite import empirical_nngp, empirical_ntk
from ..kernels._network import Network
from ._checks import check_count, check_widths
from ._given import given
from ._power_law import fit_power_law
from ._tangent import relative_distance

_EMPIRICAL = {"ntk": empirical_ntk, "nngp": empirical_nngp}


@dataclass(frozen=True)
class WidthConvergence:
    """Errors of the kernels of random networks, for several widths.

    Attributes
    ----------
    widths : ndarray, (n_widths,)
    errors : ndarray, (n_widths, n_draws)
        Of the kernel of every draw, relative in the Frobenius norm.
    mean_errors : ndarray, (n_widths,)
        Of the mean of the kernels of all draws of a width.
    slope, intercept : float
        ``errors`` are about ``exp(intercept) * width**slope``.
    slope_error : float
        Standard error of the slope.
    """

    widths: np.ndarray
    errors: np.ndarray
    mean_errors: np.ndarray
    slope: float
    slope_error: float
    intercept: float


def width_convergence(
    network: Network | None,
    X: ArrayLike,
    widths: Sequence[int] = (32, 64, 128, 256, 512),
    n_draws: int = 10,
    quantity: Quantity = "ntk",
    image_shape: tuple[int, ...] | None = None,
    random_state: int = 0,
) -> WidthConvergence:
    r"""Relative error of kernels of random networks against the limit, and how it falls.

    .. math:: \epsilon = \|\hat\Theta - \Theta\|_F / \|\Theta\|_F \sim \text{width}^{-1/2}

    for the kernel :math:`\hat\Theta` of one random network (Lee et al. 2019, section 3.1). For the
    mean over D draws that is divided by :math:`\sqrt{D}`, down to a bias, the same in every
    draw, of order 1 / width.

    Parameters
    ----------
    network : Preset, Layer or None
        Of infinite width; None is ``FullyConnected()``.
    X : array-like, (n, n_features) or images (n, channels, height, width)
    widths : sequence of int, (n_widths,)
        Ascending; see `to_module` for which layers have them.
    n_draws : int, default=10
        Independent networks of every width.
    quantity : {"ntk", "nngp"}, default="ntk"
        The tangent kernel, or the covariance over the readout given the hidden layers.
    image_shape : tuple of int or None
        (channels, \*spatial) of the flattened rows of X.
    random_state : int, default=0
        Determines the networks; those of a width do not depend on the other widths.

    Returns
    -------
    WidthConvergence
        The slope is NaN for one width, and where an error is 0: there is no power then.

    Raises
    ------
    ValueError
        For a network of finite width, widths that do not ascend, and rows that kernels refuse.
    TypeError
        For a network that is neither a preset nor a tree of layers.

    References
    ----------
    Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent",
    2019.

    Examples
    --------
    >>> import numpy as np
    >>> from ntk_sklearn.networks import FullyConnected
    >>> from ntk_sklearn.studies import width_convergence
    >>> X = np.random.default_rng(0).normal(size=(5, 3))
    >>> width_convergence(FullyConnected(depth=1), X, (64, 256), n_draws=3).errors.shape
    (2, 3)
    """
    if quantity not in _EMPIRICAL:
        raise ValueError(f"quantity must be 'ntk' or 'nngp', got {quantity!r}")
    widths_, n = check_widths(widths), check_count(n_draws, "n_draws")
    study = given(network, X, image_shape, quantity)
    limit, rows = study.limit(), torch.from_numpy(np.array(study.rows))
    errors, means = np.empty((len(widths_), n)), np.empty(len(widths_))
    for row, width in enumerate(widths_):
        drawn = study.draws(int(width), n, random_state)
        kernels = [_EMPIRICAL[quantity](module, rows).detach().numpy() for module in drawn]
        errors[row] = [relative_distance(kernel, limit) for kernel in kernels]
        means[row] = relative_distance(np.mean(kernels, axis=0), limit)
    return WidthConvergence(widths_, errors, means, *fit_power_law(widths_, errors))
