"""Products of kernels."""

from __future__ import annotations

from typing import Any

from .parts import OfSeveral, of_one_sequence


class Multiplied(OfSeveral):
    r"""The product of kernels of several networks.

    The kernels are those of a network whose infinitely many hidden units are products of outputs of
    independent networks, with a trained readout of unit variance behind them,

    .. math:: f(x) = \frac{1}{\sqrt n} \sum_{i=1}^n v_i \prod_j f_j^{(i)}(x), \qquad
              K = \prod_j K_j, \qquad
              \Theta = \sum_j \Theta_j \prod_{l \ne j} K_l + \prod_j K_j.

    The NTK is therefore not the product of the tangent kernels, which no network has. It needs
    parts that are kernels of networks: it is refused for others, such as `Normalized`.

    Parameters
    ----------
    networks : sequence of Preset, Layer, Expression or None
        A list or a tuple; None in it is ``FullyConnected()``.

    Raises
    ------
    TypeError
        When evaluated: if `networks` is no sequence, or an entry no network.
    ValueError
        When evaluated: if there is no network,
        or for the NTK, if a part is no network.

    See Also
    --------
    ntk_sklearn.networks.Product : Products of branches within a network.

    Examples
    --------
    >>> from ntk_sklearn.kernels import NNGP, Multiplied
    >>> from ntk_sklearn.networks import FullyConnected
    >>> kernel = NNGP(Multiplied([FullyConnected(1), FullyConnected(0, b_std=1.0)]))
    """

    @of_one_sequence
    def __init__(self, networks: Any) -> None:
        self.networks = networks
