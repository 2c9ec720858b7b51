"""Fisher matrices: of the model's labels, and the empirical one of the labels in the data."""

from __future__ import annotations

from .gauss_newton import GaussNewton
from .losses import LIKELIHOODS
from .roots import DenseRoot, Root


class FisherOperator(GaussNewton):
    r"""The Fisher information of a module's parameters, for the distribution behind a likelihood.

    .. math:: F = \frac1n \sum_i \mathrm{E}_{y \sim p(y | f(x_i))} [g_i(y) g_i(y)^\top], \qquad
              g_i(y) = -\nabla_\theta \log p(y | f(x_i)):

    the labels are the model's, not those of the data. Since the outputs are natural parameters of
    the categorical and Bernoulli distributions, and up to a constant of the Gaussian, it is the
    Gauss-Newton matrix of the negative log-likelihood: ``J^T J / (n sigma^2)`` for `SquaredLoss`,
    ``J^T S J / n`` with S = diag p - p p^T for `SoftmaxCrossEntropy` (rank n (k - 1) at most), and
    S = diag p (1 - p) for `BinaryCrossEntropy`.

    Parameters
    ----------
    module, X, loss, y, sample_weight, parameters, dtype, memory_budget
        As of `GaussNewton`; y serves gradients alone.

    Raises
    ------
    ValueError
        For a `ConvexLoss`, which has no distribution.
    """

    def _root(self) -> Root:
        if not isinstance(self.loss, LIKELIHOODS):
            raise ValueError(
                f"a Fisher matrix needs the distribution of a likelihood, {self.loss!r} has none: "
                "use GaussNewton"
            )
        return super()._root()


class EmpiricalFisher(GaussNewton):
    r"""The uncentred covariance of the rows' gradients, with the labels of the data.

    .. math:: \hat F = \frac1n \sum_i g_i g_i^\top = \frac1n \sum_i J_i^\top r_i r_i^\top J_i

    r being the gradient of the loss in the outputs. It is not the Fisher matrix, nor does it
    approximate the Hessian away from a model that fits the distribution of the labels: it vanishes
    where the labels are fitted exactly. Its mean over labels drawn from the model is the Fisher
    matrix. Its rank is n at most, and its dual (n, n) holds the products of the rows' gradients
    over n.

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
