"""Parameters that all estimators document alike."""

from __future__ import annotations

from ..kernels._docs import documented

_PARTS = {
    "network": """network : Preset, Layer, Expression, Module, "precomputed" or None, default=None
        The network whose infinite-width limit is taken; None is ``FullyConnected()``. A preset of
        finite `width` gives the empirical kernel of random networks; an expression is made from the
        kernels of networks, as ``Normalized(FullyConnected())`` is. With "precomputed", X is the
        kernel matrix of the training rows, later of new against training rows. The
        NTK estimators take a ``torch.nn.Module``, too, or `Linearized`: the module linearized at
        the parameters that it has, of which `fit` makes a copy.
    image_shape : tuple of int or None, default=None
        (channels, *spatial) of the flattened rows of X, one entry may be -1; implied by 4-D X.""",
    "alpha": """alpha : float, default=1e-4
        Ridge in units of the (weighted) mean diagonal of the training kernel, so that it means the
        same for every depth and scale. 1e-4 nearly interpolates, which suits clean targets and
        images; with noisy targets it overfits. One number cannot serve both: cross-validate it.""",
    "time": """t : float, default=inf
        Time of gradient flow; inf is convergence, 0 the initial function. Finite times,
        and alpha=0, take an eigendecomposition instead of a Cholesky factorization.
    loss_scale : {"sum", "mean"}, default="sum"
        The loss whose time `t` is: 1/2 sum_i w_i (f(x_i) - y_i)^2, or its mean over the (weighted)
        samples and outputs, whose time runs slower by their number.""",
    "steps": """learning_rate : float or None, default=None
        None is gradient flow; a number is gradient descent, where `t` counts steps of this size.
        They must be below `max_learning_rate`.
    momentum : float, default=0.0
        Heavy-ball momentum of the steps, as in ``torch.optim.SGD``.""",
    "curriculum": """curriculum : ModeCurriculum or None, default=None
        Stages, of `ntk_sklearn.inference`, that show more and more eigenmodes of the targets, on
        squared loss. It delays what is learned, and changes nothing at ``t=inf``.""",
    "initial": """initial : {"zero", "random", "network"}, default="zero"
        The initial function: zero, which predicts the mean over initializations, or that of one
        random network (of width 1024 where the preset has none), drawn by `random_state`. Of a
        torch module zero stands for the module minus its present outputs: regression with its
        tangent kernel, the after-kernel where it has been trained. "network" starts from its
        outputs, in the units of the targets: the linearized network itself.""",
    "random": """random_state : int, RandomState or None, default=None
        Of the initial function, and of `sample_y` where there is one.""",
    "verbose": """verbose : int, default=0
        1 reports the phases of `fit`, 2 also the progress of the kernel.""",
    "trained": """t_ : float
        The time that was trained for.
    initial_ : ndarray, (n, n_targets)
        The initial function at `X_fit_`.
    L_ : ndarray, (n, n)
        Cholesky factor of the kernel with its ridge; empty where it is not needed.
    targets_, weight_ : ndarray, (n, n_targets) and (n,)
        What the rows of `X_fit_` were trained on.
    eigenvalues_, eigenvectors_ : ndarray
        Of the weighted kernel; empty where they were not needed.""",
    "evaluation": """backend : {"auto", "fused", "reference", "empirical", "module"}, default="auto"
        The evaluator of kernel tiles.
    device : {"auto", "cpu", "cuda", "cuda:0", ...}, default="auto"
        Where kernels are evaluated; solves are LAPACK's, in float64.
    dtype : {"float64", "float32"}, default="float64"
        Precision of the kernel's evaluation.
    memory_budget : int, str or None, default=None
        Bytes ("2GB") for a kernel matrix and the work on it; None takes scikit-learn's
        `working_memory` for the work.""",
    "fitted": """X_fit_ : ndarray, (n, n_features)
        Training rows of positive weight; equal ones are merged, where that changes nothing.
    kernel_ : Kernel
        The kernel with a copy of the network.
    n_features_in_ : int""",
}

estimator_docs = documented(**_PARTS)
