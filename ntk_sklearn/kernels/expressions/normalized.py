"""Kernels scaled to unit diagonal."""

from __future__ import annotations

from typing import Any

from .parts import OfOne


class Normalized(OfOne):
    r"""A kernel scaled to unit diagonal: the cosine of the angle between feature vectors.

    .. math:: \hat k(x, z) = \frac{k(x, z)}{\sqrt{k(x, x)\, k(z, z)}},

    0 where a variance is 0 (rows of zeros without biases). Of the NNGP it is the correlation of the
    outputs. Of the NTK it is the tangent kernel of the network whose output is divided by
    :math:`\sqrt{\Theta(x, x)}`, a fixed function of its input. The NNGP of that network is not the
    normalized NNGP: error bars over initializations are refused.

    Parameters
    ----------
    network : Preset, Layer, Expression or None, default=None
        None is ``FullyConnected()``.

    Examples
    --------
    >>> from ntk_sklearn.kernels import NTK, Normalized
    >>> NTK(Normalized())([[1.0, 2.0], [30.0, 40.0]]).diagonal()
    array([1., 1.])

    References
    ----------
    Li et al., "Enhanced convolutional neural tangent kernels", 2019, section 5.
    """

    def __init__(self, network: Any = None) -> None:
        self.network = network
