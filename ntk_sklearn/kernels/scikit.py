"""NTK and NNGP as kernels for scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from .._validation import as_rows, check_rows, resolve_image_shape
from ..backends import Quantity
from ._docs import documented
from ._evaluate import Progress
from ._network import (
    Network,
    as_network,
    free_scales,
    is_weight,
    with_default_network,
    with_scales,
)
from ._output import check_out
from .network_kernel import NetworkKernel

# Default bounds of the scales: wide around useful values, within what float64 resolves.
W_STD_BOUNDS = (0.3, 3.0)
B_STD_BOUNDS = (0.01, 10.0)
# Of the weights of a mixture, and of the rate of an exponential, in expressions.
WEIGHT_BOUNDS = (1e-5, 1e5)
GAMMA_BOUNDS = (0.01, 10.0)


class _NetworkKernel(Kernel):
    """The adapter shared by `NTK` and `NNGP`, which only name their quantity."""

    _quantity: ClassVar[Quantity]

    def __init__(
        self,
        network: Network | None = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        scale_bounds: Mapping[str, Any] | str | None = None,
        backend: str = "auto",
        device: str = "auto",
        dtype: str = "float64",
        memory_budget: int | str | None = None,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.scale_bounds = scale_bounds
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.memory_budget = memory_budget

    def __call__(
        self, X: Any, Y: Any = None, eval_gradient: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Kernel matrix, and its gradient.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        Y : array-like, (m, n_features) or None
            None, X itself or the same memory give the Gram, with exact diagonal.
        eval_gradient : bool, default=False

        Returns
        -------
        K : ndarray, (n, m)
            A new array at each call.
        dK : ndarray, (n, n, n_dims)
            Derivatives in the log-transformed scales; only with `eval_gradient`.

        Raises
        ------
        ValueError
            For rows that are not finite numbers, of different width or of a width that the network
            or `image_shape` do not fit; with Y and `eval_gradient` together.
        TypeError
            For sparse X.
        MemoryError
            If the matrix does not fit, before anything is allocated.
        """
        if eval_gradient and Y is not None:
            raise ValueError("the gradient can only be evaluated when Y is None")
        if not eval_gradient:
            return self.matrix(X, Y)
        return self._with_gradient(*self._checked(X))

    def matrix(
        self,
        X: Any,
        Y: Any = None,
        *,
        out: np.ndarray | None = None,
        progress: Progress = None,
    ) -> np.ndarray:
        """Kernel matrix, as calling the kernel gives it, into an array of the caller's or a file.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        Y : array-like, (m, n_features) or None
            None, X itself or the same memory give the Gram, with exact diagonal; both of its
            triangles are written.
        out : ndarray, (n, m), optional
            Where the matrix is written: a writeable array of the kernel's `dtype`, contiguous or
            not, that overlaps neither X nor Y. A `numpy.memmap` is a file, and does not count as
            memory for the budget. What it holds after an error or an interrupt is undefined.
        progress : callable, bool or None, default=None
            True shows a bar of tiles with pairs per second and the time left, for which tqdm must
            be installed. A callable is called as ``progress(done, total)`` with 0 before the first
            tile and after each tile, in the calling thread; what it raises ends the computation.

        Returns
        -------
        K : ndarray, (n, m)
            `out` if given, else a new array.

        Raises
        ------
        ValueError
            For rows that calling the kernel refuses; for an `out` of another shape or dtype, which
            cannot be written into, or which overlaps the rows.
        TypeError
            For sparse X; if `out` is no numpy array, or `progress` cannot be called.
        MemoryError
            If the matrix does not fit, before anything is allocated.
        ImportError
            With ``progress=True``, if tqdm is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> from ntk_sklearn.kernels import NTK
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> K = np.empty((100, 100))
        >>> NTK().matrix(X, out=K) is K
        True
        """
        Z = None if Y is X else Y
        kernel, rows = self._checked(X)
        columns = None
        if Z is not None:
            other, _ = as_rows(Z, kernel.image_shape)
            columns = check_rows(other, "Y", rows.shape[1])
        if out is None:
            return kernel.matrix(rows, columns, progress)[0]
        times = kernel.problem(rows.shape[1]).per_row
        n, m = (times * len(given) for given in (rows, rows if columns is None else columns))
        check_out(out, (n, m), np.dtype(self.dtype), X=X, Y=Y)
        kernel.matrix(rows, columns, progress, out[np.newaxis])
        return out

    def diag(self, X: Any) -> np.ndarray:
        """k(x, x) for every row, without the Gram; equal to its diagonal to rounding."""
        kernel, rows = self._checked(X)
        return kernel.diagonal(rows)[0]

    def explain(self, X: Any) -> str:
        """Who would compute the Gram of X, in which tiles and threads, in how much memory.

        Of a network, a line for every evaluator says that it can run it, or why it cannot. Of an
        expression, there is a line for every network inside with the evaluator that would run it,
        and for every average whether one argument is transformed or both, and why. The Gram is not
        computed (an average evaluates its network at two random rows), and one that would be
        refused is told of, not raised.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)

        Returns
        -------
        str

        Raises
        ------
        ValueError
            For a `backend` that does not exist, and rows that the kernel refuses.
        """
        kernel, rows = self._checked(X)
        return kernel.explain(rows)

    def of_network(self, *quantities: Quantity) -> NetworkKernel:
        """The kernels of the network in one pass, for rows that have been checked already."""
        return NetworkKernel(
            as_network(self.network),
            quantities,
            self.image_shape,
            self.backend,
            self.device,
            self.dtype,
            self.memory_budget,
        )

    def is_stationary(self) -> bool:
        """False: the kernel is not a function of x - z."""
        return False

    def _checked(self, X: Any) -> tuple[NetworkKernel, np.ndarray]:
        rows, found = as_rows(X, self.image_shape)
        rows = check_rows(rows)
        shape = None if found is None else resolve_image_shape(found, rows.shape[1])
        return replace(self.of_network(self._quantity), image_shape=shape), rows

    def _with_gradient(
        self, kernel: NetworkKernel, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        free = [h.name for h in self.hyperparameters if not h.fixed]
        if free:
            return kernel.gradient(rows, free)
        K = kernel.matrix(rows)[0]
        return K, np.empty((*K.shape, 0))

    # Hyperparameters: the scales of the network that are not 0, tied over layers in a preset.

    @property
    def hyperparameters(self) -> list[Hyperparameter]:
        """One per scale of a preset, or per scale of each layer of a tree; 0 stays 0."""
        scales = free_scales(as_network(self.network))
        self._check_scale_bounds(scales)
        return [Hyperparameter(name, "numeric", self._bounds_of(name)) for name in scales]

    def _check_scale_bounds(self, scales: Mapping[str, float]) -> None:
        if isinstance(self.scale_bounds, Mapping):
            unknown = set(self.scale_bounds) - set(scales)
            if unknown:
                raise ValueError(
                    f"scale_bounds names {sorted(unknown)}; the network has {sorted(scales)}"
                )
        elif self.scale_bounds not in (None, "fixed"):
            raise ValueError(
                "scale_bounds must be None, 'fixed' or a mapping from names of scales to (low, "
                f"high) or 'fixed', got {self.scale_bounds!r}"
            )

    def _bounds_of(self, name: str) -> Any:
        # the readout's scale is an amplitude, which scikit-learn's kernels leave to ConstantKernel
        last = name.rpartition(".")[2]
        default: Any = B_STD_BOUNDS if name.endswith("b_std") else W_STD_BOUNDS
        default = "fixed" if last.startswith("readout_") else default
        if is_weight(name):
            default = WEIGHT_BOUNDS
        elif last == "gamma":
            default = GAMMA_BOUNDS
        if self.scale_bounds is None or self.scale_bounds == "fixed":
            return self.scale_bounds or default
        return self.scale_bounds.get(name, default)  # type: ignore[union-attr]

    @property
    def theta(self) -> np.ndarray:
        """Logarithms of the scales that are not fixed."""
        scales = free_scales(as_network(self.network))
        return np.log([scales[h.name] for h in self.hyperparameters if not h.fixed])

    @theta.setter
    def theta(self, theta: np.ndarray) -> None:
        # a copy of the network: the one passed to the constructor may be shared
        free = [h.name for h in self.hyperparameters if not h.fixed]
        if len(theta) != len(free):
            raise ValueError(f"theta has {len(theta)} entries, the kernel has {len(free)} ({free})")
        values = {name: float(np.exp(t)) for name, t in zip(free, theta, strict=True)}
        self.network = with_scales(as_network(self.network), values)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters, with those of a preset as ``network__depth`` and so on."""
        params: dict[str, Any] = super().get_params(deep=deep)
        if deep and isinstance(self.network, BaseEstimator):
            nested = self.network.get_params(deep=True)
            params.update({f"network__{name}": value for name, value in nested.items()})
        return params

    def set_params(self, **params: Any) -> _NetworkKernel:
        """Set parameters; ``network__depth`` and so on also where the network is the default."""
        params = with_default_network(self, params)
        if "network" in params:  # scikit-learn would set those of the network as it was
            self.network = params.pop("network")
        super().set_params(**params)
        return self

    def __repr__(self) -> str:
        given = [repr(as_network(self.network))]
        for name, default in (("image_shape", None), ("dtype", "float64"), ("device", "auto")):
            if getattr(self, name) != default:
                given.append(f"{name}={getattr(self, name)!r}")
        return f"{type(self).__name__}({', '.join(given)})"


_PARAMETERS = """Parameters
    ----------
    network : Preset, Layer, Expression, torch.nn.Module, Linearized or None, default=None
        None is ``FullyConnected()``. A preset ties its scales over the layers; a layer tree has one
        hyperparameter per layer and scale, named by path. An expression is made from the kernels of
        networks, as `Normalized` is, and has the hyperparameters of all of them.
        A torch module has the tangent kernel at its present parameters, of several outputs the
        mean, and neither hyperparameters nor an NNGP: see `Linearized`.
    image_shape : tuple of int or None, default=None
        (channels, *spatial) of the flattened rows of X, one entry may be -1; implied by 4-D X.
    scale_bounds : None, "fixed" or mapping, default=None
        Bounds of the hyperparameters by name, each (low, high) or "fixed"; None means (0.3, 3) for
        weights and (0.01, 10) for biases (in expressions (1e-5, 1e5) for weights of a
        mixture and (0.01, 10) for gamma), and "fixed" for a preset's readout, whose scale is an
        amplitude (multiply by a ConstantKernel). Scales that are 0 are fixed.
    backend : {"auto", "fused", "reference", "empirical", "module"}, default="auto"
        The evaluator; "auto" takes the first that can run the network (see `explain`).
    device : {"auto", "cpu", "cuda", "cuda:0", ...}, default="auto"
    dtype : {"float64", "float32"}, default="float64"
        Precision of the evaluation and of the returned matrices.
    memory_budget : int, str or None, default=None
        Bytes ("2GB") for the matrix and the work on it together. None takes scikit-learn's
        `working_memory` for the work and refuses only a matrix that exceeds the free memory."""


@documented(parameters=_PARAMETERS)
class NTK(_NetworkKernel):
    r"""Neural tangent kernel of an infinitely wide network, for scikit-learn.

    :math:`\Theta(x, z) = \langle \nabla_\theta f(x), \nabla_\theta f(z) \rangle`, the inner product
    of the output's gradients in all trained parameters, which in the limit of infinite width is
    deterministic and stays constant during training (Jacot et al. 2018). Kernel regression with it
    is the network trained to convergence by gradient descent on squared loss.

    {parameters}

    Examples
    --------
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from ntk_sklearn.kernels import NTK
    >>> from ntk_sklearn.networks import FullyConnected
    >>> gp = GaussianProcessRegressor(1.0 * NTK(FullyConnected(depth=2)), alpha=1e-2)

    References
    ----------
    Jacot, Gabriel and Hongler, "Neural tangent kernel", NeurIPS 2018. Lee et al., "Wide neural
    networks of any depth evolve as linear models under gradient descent", NeurIPS 2019.
    """

    _quantity = "ntk"


@documented(parameters=_PARAMETERS)
class NNGP(_NetworkKernel):
    r"""Covariance of an infinitely wide network with random weights, for scikit-learn.

    :math:`K(x, z) = E[f(x) f(z)]` over the initialization: the network's output is a Gaussian
    process with this covariance, and its posterior is the Bayesian infinitely wide network, or
    training only the readout (Lee et al. 2018; Matthews et al. 2018).

    {parameters}

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from ntk_sklearn.kernels import NNGP
    >>> svc = SVC(kernel=NNGP())

    References
    ----------
    Lee et al., "Deep neural networks as Gaussian processes", ICLR 2018. Novak et al., "Bayesian
    deep convolutional networks with many channels are Gaussian processes", ICLR 2019.
    """

    _quantity = "nngp"
