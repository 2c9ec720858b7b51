"""The empirical Fisher matrix: gradients for the labels of the data."""

from __future__ import annotations

from .curvature import Curvature
from .roots import DenseRoot, Root


class EmpiricalFisher(Curvature):
    r"""The uncentred covariance of the rows' gradients, with the labels of the data.

    .. math:: \hat F = \frac1n \sum_i g_i g_i^\top = \frac1n \sum_i J_i^\top r_i r_i^\top J_i

    r being the gradient of the loss in the outputs. It is not the Fisher matrix, nor does it
    approximate the Hessian away from a model that fits the distribution of the labels: it vanishes
    where the labels are fitted exactly. Its mean over labels drawn from the model is the Fisher
    matrix. Its rank is n at most, and its dual (n, n) holds the products of the rows' gradients
    over n.

    `natural_gradient` is ``(F + damping I)^-1 g`` for this matrix, and hence no natural gradient:
    without damping, and with full row rank, the losses of all rows fall alike to first order.

    Parameters
    ----------
    module, X, loss, y, sample_weight, parameters, dtype, memory_budget
        As of `GaussNewton`; y is needed.

    References
    ----------
    Kunstner, Balles and Hennig, "Limitations of the empirical Fisher approximation for natural
    gradient descent", 2019.
    """

    def _root(self) -> Root:
        return DenseRoot(self._output_gradient[:, :, None])
