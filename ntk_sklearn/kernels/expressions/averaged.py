"""Kernels averaged over a group of transformations."""

from __future__ import annotations

from typing import Any

from .groups import as_group, horizontal_flip
from .parts import OfOne, as_counted


class Averaged(OfOne):
    r"""A kernel averaged over a finite group of permutations of the features.

    .. math:: k^G(x, z) = \frac{1}{|G|^2} \sum_{g, h \in G} k(g x, h z)
              = \frac{1}{|G|} \sum_{g \in G} k(g x, z)

    is the kernel, NNGP and NTK, of the network :math:`\frac{1}{|G|} \sum_g f(g x)`, which gives
    transformed inputs the same output. The second form, with one argument transformed, needs
    :math:`k(g x, g z) = k(x, z)` for all g. It is used where that is known from the tree and
    confirmed by one pair of random rows, moved by at most three elements of the group: for any
    permutation of the rows of dense networks; for a flip of images where every window mirrored is a
    window (not with even filters, or padding and pooling that treat the two ends differently); for
    translations where every window shifts with the image (not with zero padding, nor with strides
    and pooling that do not divide the step). Elsewhere, and for finite widths, both arguments are
    transformed. `ntk_sklearn.kernels.NTK.explain` tells which.

    Where the kernel has this invariance, kernel regression with :math:`k^G` is regression with k on
    all transformed copies of the training rows (Li et al. 2019, theorem 4.1): the mean predictions
    are equal if the ridge, in the units of the kernel, is divided by the order of the group, and
    for the sum loss the time of training multiplied by it. Variances are not equal.

    Parameters
    ----------
    network : Preset, Layer, Expression or None, default=None
        None is ``FullyConnected()``.
    group : Group or array-like of int (order, n_features), default=horizontal_flip()
        `horizontal_flip`, `translations`, products of these (``*``), or the list of all
        permutations of a group: row g maps x to ``x[group[g]]``.

    Raises
    ------
    TypeError
        When evaluated: if `network` is no network, or `group` a function that makes groups.
    ValueError
        When evaluated: if a list of permutations is no group, or the group does not fit the rows
        (flips and translations need the shape of images).

    References
    ----------
    Li et al., "Enhanced convolutional neural tangent kernels", 2019, section 4. Mroueh, Voinea and
    Poggio, "Learning with group invariant features", NeurIPS 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from ntk_sklearn.kernels import NTK, Averaged
    >>> kernel = NTK(Averaged(group=[[0, 1, 2], [2, 1, 0]]))
    >>> x, reversed_x = [[1.0, 2.0, 3.0]], [[3.0, 2.0, 1.0]]
    >>> bool(np.isclose(kernel(x, reversed_x), kernel(x, x))[0, 0])
    True
    """

    def __init__(self, network: Any = None, group: Any = horizontal_flip()) -> None:  # noqa: B008
        self.network = network
        self.group = group

    def compared(self) -> dict[str, Any]:
        """The parameters, lists of permutations as groups."""
        return {**super().compared(), "group": as_counted(self.group, as_group)}
