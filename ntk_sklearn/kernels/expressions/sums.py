"""Sums of kernels: with given weights, with weights to be learned, and over depths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from .._expression import Expression
from .._network import finite_width
from .parts import OfOne, OfSeveral, as_counted


class Added(OfSeveral):
    r"""The weighted sum of kernels of several networks.

    .. math:: k = \sum_j w_j k_j

    is, for the NNGP and the NTK alike, the kernel of one network: of
    :math:`\sum_j \sqrt{w_j} f_j` with independent networks :math:`f_j` side by side.

    Parameters
    ----------
    networks : sequence of Preset, Layer, Expression or None
        A list or a tuple; None in it is ``FullyConnected()``.
    weights : sequence of float or None, default=None
        One positive number for each network, which no optimizer changes; None is 1 for each.

    Raises
    ------
    TypeError
        When evaluated: if `networks` is no sequence, or an entry no network.
    ValueError
        When evaluated: if there is no network, or `weights` are not one positive number for each.

    Examples
    --------
    >>> from ntk_sklearn.kernels import NNGP, Added
    >>> from ntk_sklearn.networks import FullyConnected
    >>> NNGP(Added([FullyConnected(1), FullyConnected(2)], weights=[1.0, 0.5])).theta.shape
    (4,)
    """

    def __init__(self, networks: Any, weights: Sequence[float] | None = None) -> None:
        self.networks = networks
        self.weights = weights

    def compared(self) -> dict[str, Any]:
        """The parameters, weights as they count."""
        weights = as_counted(self.weights, lambda _: tuple(self.numbers()))
        return {**super().compared(), "weights": weights}

    def numbers(self) -> list[float]:
        """The weights, one for each network."""
        return check_weights(self.weights, len(self.parts()), type(self).__name__)


class Mixture(Added):
    r"""A weighted sum of kernels whose weights are learned, as the scales of a network are.

    .. math:: k = \sum_j w_j k_j

    with free amplitudes :math:`w_j > 0`, the hyperparameters ``weights.0``, ``weights.1`` and so on
    of the kernel (by their logarithms in `theta`). The marginal likelihood so chooses the family of
    networks: the weight of one that does not help falls towards its lower bound. As a prior it is
    that of independent networks side by side, added up; see `Added`.

    Parts of a finite width are refused: where an expression has one, none of its scales can be
    learned, the weights neither. So it is with a mixture beside such a part in another expression:
    its weights are fixed.

    Parameters
    ----------
    networks : sequence of Preset, Layer, Expression or None
        A list or a tuple; None in it is ``FullyConnected()``.
    weights : sequence of float or None, default=None
        Where the search starts; None is 1 / (number of networks) for each.

    Raises
    ------
    TypeError
        When evaluated: if `networks` is no sequence, or an entry no network.
    ValueError
        When evaluated: if there is no network,
        `weights` are not one positive number for each, or a network has a finite width: `Added`
        takes these, with given weights.

    Examples
    --------
    >>> from ntk_sklearn.kernels import NNGP, Mixture
    >>> from ntk_sklearn.networks import FullyConnected
    >>> kernel = NNGP(Mixture([FullyConnected(1), FullyConnected(1, activation="erf")]))
    >>> [h.name for h in kernel.hyperparameters if not h.fixed]
    ['weights.0', 'weights.1', '0.w_std', '0.b_std', '1.w_std', '1.b_std']
    """

    @property
    def own_scales(self) -> dict[str, float]:
        """The weights."""
        return {f"weights.{k}": weight for k, weight in enumerate(self.numbers())}

    def rebuilt(self, parts: Mapping[str, Any], scales: Mapping[str, Any]) -> Expression:
        """A copy with other parts and weights; see `Expression`."""
        weights = tuple((self.own_scales | dict(scales)).values())
        return super().rebuilt(parts, {"weights": weights})

    def numbers(self) -> list[float]:
        """The weights, one for each network."""
        n = len(self.parts())
        if finite_width(self) is not None:
            raise ValueError(
                "Mixture learns its weights, which kernels of a finite width do not allow: take "
                "Added(networks, weights) with given weights, or infinite widths"
            )
        return super().numbers() if self.weights is not None else [1.0 / n] * n


class DepthAveraged(OfOne):
    r"""The mean of the kernels of a preset over depths.

    .. math:: k = \sum_d w_d k_d, \qquad \textstyle\sum_d w_d = 1

    is the kernel of the networks of all these depths side by side, each with a share of the output.
    They have the same scales; what they begin with alike is computed once.

    Parameters
    ----------
    network : Preset or None, default=None
        With a parameter `depth`, which is replaced; None is ``FullyConnected()``.
    depths : sequence of int, default=(1, 2, 3, 4, 5)
    weights : sequence of float or None, default=None
        Relative weights of the depths; None are equal ones.

    Raises
    ------
    TypeError
        When evaluated: if `network` is no preset with a parameter `depth`.
    ValueError
        When evaluated: if `depths` is no sequence of integers, or `weights` are not one positive
        number for each.

    Examples
    --------
    >>> from ntk_sklearn import NTKRegressor
    >>> from ntk_sklearn.kernels import DepthAveraged
    >>> from ntk_sklearn.networks import FullyConnected
    >>> model = NTKRegressor(DepthAveraged(FullyConnected(), depths=(1, 2, 4)))
    """

    def __init__(
        self,
        network: Any = None,
        depths: Sequence[int] = (1, 2, 3, 4, 5),
        weights: Sequence[float] | None = None,
    ) -> None:
        self.network = network
        self.depths = depths
        self.weights = weights

    def compared(self) -> dict[str, Any]:
        """The parameters, sequences as tuples."""
        depths = as_counted(self.depths, tuple)
        weights = as_counted(self.weights, lambda _: tuple(self.numbers()))
        return {**super().compared(), "depths": depths, "weights": weights}

    def numbers(self) -> list[float]:
        """The weights of the depths, which sum to 1."""
        if isinstance(self.depths, str) or np.ndim(self.depths) != 1 or not len(self.depths):
            raise ValueError(f"depths must be a sequence of integers, got {self.depths!r}")
        found = check_weights(self.weights, len(self.depths), "DepthAveraged")
        return [weight / sum(found) for weight in found]


def check_weights(weights: Any, n: int, name: str) -> list[float]:
    """n positive numbers; ones for None.

    Raises
    ------
    ValueError
        If they are not.
    """
    if weights is None:
        return [1.0] * n
    found = [*weights] if hasattr(weights, "__iter__") and not isinstance(weights, str) else []
    if len(found) != n or not all(_positive(weight) for weight in found):
        raise ValueError(
            f"weights of {name} must be None or {n} positive numbers, one for each, got {weights!r}"
        )
    return [float(weight) for weight in found]


def _positive(value: Any) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and 0 < float(value) < np.inf
