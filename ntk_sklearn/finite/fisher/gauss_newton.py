"""The generalized Gauss-Newton matrix of any torch module; the Fisher matrix of likelihoods."""

from __future__ import annotations

from .curvature import Curvature
from .losses import LIKELIHOODS
from .roots import Root, curvature_root


class GaussNewton(Curvature):
    r"""The generalized Gauss-Newton matrix of a mean loss, as an operator in parameter space.

    .. math:: F = \sum_i c_i J_i^\top S_i J_i = A^\top A, \qquad c_i = \frac{w_i}{\sum_j w_j},
              \quad A_i = \sqrt{c_i} R_i^\top J_i, \quad S_i = R_i R_i^\top

    with the Jacobian J_i (k, n_parameters) of the outputs of row i and the Hessian S_i of its loss
    in the outputs. It is the Hessian of the mean loss without the second derivatives of the module,
    and hence all of it where the module is linear in its parameters. Its dual ``A A^T`` has the
    same eigenvalues other than zero. With equal weights these are the ones of the tangent kernel
    over ``n sigma^2`` for the squared loss; for others they are those of
    ``S^(1/2) J J^T S^(1/2) / n``, which has not the tangent kernel's spectrum.

    A `scipy.sparse.linalg.LinearOperator`: arrays go in and come out. Only `dense`, `solve` and
    `natural_gradient` form a matrix, the latter two the smaller one of F and its dual. The module
    is not touched; parameters, buffers and inputs are as in `ModuleFunction`.

    Parameters
    ----------
    module : torch.nn.Module or ModuleFunction
    X : array, tensor, tuple or mapping of them
        Inputs, rows along the first axis.
    loss : SquaredLoss, SoftmaxCrossEntropy, BinaryCrossEntropy or ConvexLoss
    y : array-like, (n,) or (n, k), optional
        Targets, for gradients and for the Hessian of a `ConvexLoss`.
    sample_weight : array-like, (n,), optional
        Weights w, not negative.
    parameters, dtype
        See `ModuleFunction`.
    memory_budget : int, str or None, default=None
        Bytes for a piece of rows, beside the parameters, inputs and outputs, as a number or "2GB";
        None is scikit-learn's `working_memory`.

    Attributes
    ----------
    function : ModuleFunction
    outputs : Tensor, (n, k)
    dual : LinearOperator
        A A^T (n * rank, n * rank), by sample and then by column of R. R is S^(1/2) (k, k), but for
        `SoftmaxCrossEntropy` one of k - 1 columns, which leaves n zero eigenvalues out.

    Raises
    ------
    ValueError
        If the loss is not convex, or targets, weights or inputs do not fit.

    References
    ----------
    Martens, "New insights and perspectives on the natural gradient method", 2020, section 9.
    """

    def _root(self) -> Root:
        return curvature_root(self.loss, self.outputs, self.targets)


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

    Examples
    --------
    >>> import torch
    >>> from ntk_sklearn.finite import FisherOperator, SoftmaxCrossEntropy
    >>> module = torch.nn.Linear(3, 4).double()
    >>> F = FisherOperator(module, torch.eye(3), SoftmaxCrossEntropy(), [0, 1, 3])
    >>> F.shape, F.dual.shape
    ((16, 16), (9, 9))
    >>> F.top_eigenpairs(2).parameters.shape, F.natural_gradient(damping=0.1).shape
    ((16, 2), (16,))
    """

    def _root(self) -> Root:
        if not isinstance(self.loss, LIKELIHOODS):
            raise ValueError(
                f"a Fisher matrix needs the distribution of a likelihood, {self.loss!r} has none: "
                "use GaussNewton"
            )
        return super()._root()
