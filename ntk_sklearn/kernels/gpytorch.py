"""NTK and NNGP as kernels for GPyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gpytorch
import torch
from gpytorch.constraints import Positive
from sklearn.base import clone
from torch import Tensor

from .._validation import resolve_image_shape
from ..backends import Quantity
from ._autograd import kernel_matrix
from ._batch import batch_shape, collapse, flatten_batch
from ._docs import documented
from ._guards import check_tensor, warn_of_iterative_solves
from ._lowering import averages, problem_of, rebuilding
from ._network import Network, as_network, free_scales, modules, refuse_module, structure, trees
from ._terms_graph import differentiable
from .network_kernel import same_memory


class _NetworkKernel(gpytorch.kernels.Kernel):
    """The adapter shared by `NTKKernel` and `NNGPKernel`, which only name their quantity."""

    _quantity: ClassVar[Quantity]
    is_stationary = False

    def __init__(
        self,
        network: Network | None = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        ard_num_dims: int | None = None,
        batch_shape: torch.Size | None = None,
        active_dims: tuple[int, ...] | None = None,
        memory_budget: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        # GPyTorch reads this while it sets itself up: inputs are scaled only where asked
        self.has_lengthscale = ard_num_dims is not None
        super().__init__(
            ard_num_dims=ard_num_dims, batch_shape=batch_shape, active_dims=active_dims, **kwargs
        )
        self.network = _owned(as_network(network))
        if self._quantity == "nngp":
            refuse_module(self.network)
        trees(self.network)  # checks all values, of which the constraints below see only the sign
        self._structure = structure(self.network)
        if self.has_lengthscale and averages(self.network):
            raise ValueError(
                "ard_num_dims scales features differently, and Averaged permutes them: use one "
                "without the other"
            )
        self.image_shape = image_shape
        self.memory_budget = memory_budget
        for name, value in free_scales(self.network).items():
            self._register_scale(name, value)

    def _register_scale(self, name: str, value: float) -> None:
        raw = _raw(name)
        shape = (*self.batch_shape, 1, 1)
        self.register_parameter(raw, torch.nn.Parameter(torch.zeros(shape)))
        self.register_constraint(raw, Positive())
        self.set_scale(name, value)

    # The scales: learnable, positive, by the names of the preset or the paths of the tree.

    @property
    def scales(self) -> dict[str, Tensor]:
        """Current values of all learnable scales, each (*batch_shape, 1, 1)."""
        return {name: self._scale(name) for name in free_scales(self.network)}

    def _scale(self, name: str) -> Tensor:
        raw = _raw(name)
        parameter = getattr(self, raw)  # expanded where GPyTorch expanded the kernel
        value = self.constraint_for_parameter_name(raw).transform(collapse(parameter))
        return value.expand(parameter.shape)

    def set_scale(self, name: str, value: Any) -> None:
        """Set a scale by name ("w_std") or path ("layers.0.w_std")."""
        raw = _raw(name)
        if raw not in self._parameters:
            raise ValueError(f"no scale {name!r}; the kernel has {list(free_scales(self.network))}")
        parameter = getattr(self, raw)
        value = torch.as_tensor(value, dtype=parameter.dtype, device=parameter.device)
        value = value.expand(parameter.shape)
        self.initialize(**{raw: self.constraint_for_parameter_name(raw).inverse_transform(value)})

    def get_extra_state(self) -> Tensor:
        """The network without its scales: what parameters of another network must not enter.

        As the bytes of a text, since BoTorch's checkpoints expect tensors.
        """
        return torch.tensor(list(self._structure.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse the state of a kernel of another network.

        Raises
        ------
        RuntimeError
            If the saved kernel has another depth, activation or layer.
        """
        saved = bytes(state.int().tolist()).decode()
        if saved != self._structure:
            raise RuntimeError(
                f"the saved kernel belongs to another network: saved {saved}, this kernel has "
                f"{self._structure}"
            )

    # Evaluation.

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """Covariance (*batch, n, m), or (*batch, n) of corresponding rows with `diag`."""
        if params.get("last_dim_is_batch"):
            raise NotImplementedError("last_dim_is_batch is not supported: the network reads rows")
        same = same_memory(x1, x2)
        full = torch.broadcast_shapes(x1.shape[:-2], x2.shape[:-2], self.batch_shape)
        if diag and not same:
            # pairs of rows as batches of single rows, ahead of the batch axes
            x, z = (t.expand(*full, *t.shape[-2:]).movedim(-2, 0).unsqueeze(-2) for t in (x1, x2))
            return self.forward(x, z)[..., 0, 0].movedim(0, -1)
        x = self._scaled(collapse(x1))
        z = x if same else self._scaled(collapse(x2))
        found = self._covariance(x, z, diag)
        return found.expand(*full, *found.shape[-1 if diag else -2 :])

    def prediction_strategy(
        self, train_inputs: Any, train_prior_dist: Any, train_labels: Any, likelihood: Any
    ) -> Any:
        """GPyTorch's own, with a warning where it would not solve by Cholesky factorization."""
        warn_of_iterative_solves(train_prior_dist.event_shape.numel())
        return super().prediction_strategy(train_inputs, train_prior_dist, train_labels, likelihood)

    def _scaled(self, x: Tensor) -> Tensor:
        return x / collapse(self.lengthscale) if self.has_lengthscale else x

    def _covariance(self, x: Tensor, z: Tensor, diag: bool) -> Tensor:
        for rows in (x,) if z is x else (x, z):
            check_tensor(rows)
        scales = {name: collapse(value) for name, value in self.scales.items()}
        batch = batch_shape(x, z, *scales.values())
        if not batch.numel():
            return x.new_empty(*batch, x.shape[-2], *(() if diag else z.shape[-2:-1]))
        rows = flatten_batch(x, batch)
        columns = None if z is x else flatten_batch(z, batch)
        kernel = differentiable(*self._problem(x), tuple(scales), self.memory_budget)
        found = kernel_matrix(kernel, rows, columns, _stacked(scales, batch, x), diag)
        return found.reshape(*batch, *found.shape[1:])

    def _problem(self, x: Tensor) -> tuple[Any, Any]:
        """What the evaluators would be asked for rows like those of x, and for other scales."""
        n_features, shape = x.shape[-1], self.image_shape
        shape = None if shape is None else resolve_image_shape(shape, n_features)
        problem = problem_of(self.network, (self._quantity,), shape, n_features, x.dtype, x.device)
        if problem.per_row > 1:
            raise ValueError(
                "a kernel for GPyTorch has one number for a pair of rows: take "
                "Linearized(module, outputs='mean'), the mean over the module's outputs"
            )
        return problem, rebuilding(self.network, self._quantity, shape, n_features)


def _owned(network: Network) -> Network:
    """The network; a copy where it has torch modules, whose training the kernel must not notice."""
    return clone(network) if modules(network) else network


def _raw(name: str) -> str:
    return f"raw_{name.replace('.', '_')}"


def _stacked(scales: Mapping[str, Tensor], batch: torch.Size, like: Tensor) -> Tensor:
    """(B, n_scales), in the precision of the rows."""
    values = [flatten_batch(value, batch)[:, 0, 0].to(like.dtype) for value in scales.values()]
    return torch.stack(values, -1) if values else like.new_empty(batch.numel(), 0)


def _scale_property(name: str) -> property:
    def get(self: _NetworkKernel) -> Tensor:
        return self._scale(name)

    def put(self: _NetworkKernel, value: Any) -> None:
        self.set_scale(name, value)

    return property(get, put, doc=f"The learnable scale `{name}` of a preset.")


for _name in ("w_std", "b_std", "readout_w_std", "readout_b_std"):
    setattr(_NetworkKernel, _name, _scale_property(_name))


_PARAMETERS = """Parameters
    ----------
    network : Preset, Layer, Expression, torch.nn.Module, Linearized or None, default=None
        None is ``FullyConnected()``. Scales that are not 0 become learnable parameters:
        ``raw_w_std`` and so on for a preset, ``raw_layers_0_w_std`` for a layer tree,
        ``raw_network_w_std`` for the network in an expression. A torch module is copied as it is,
        and has the tangent kernel at its parameters, of several outputs the mean: see `Linearized`.
        Its parameters are none of the kernel's, and there are no gradients in the rows.
    image_shape : tuple of int or None, default=None
        (channels, *spatial) of the flattened rows, one entry may be -1.
    ard_num_dims : int or None, default=None
        Number of input scales: rows are divided by a learnable `lengthscale` first. A network's
        kernel is not stationary; this is a scaling of inputs, useful to weigh features.
    batch_shape : torch.Size or None, default=None
    active_dims : tuple of int or None, default=None
    memory_budget : int, str or None, default=None
        As in `ntk_sklearn.kernels.NTK`. It covers the backward pass, too, which computes the
        recursion a second time, tile by tile, instead of keeping it."""


@documented(parameters=_PARAMETERS)
class NTKKernel(_NetworkKernel):
    """Neural tangent kernel of an infinitely wide network, for GPyTorch and BoTorch.

    As a Gaussian-process prior it is the NTK-GP of He, Lakshminarayanan and Teh (2020): its
    posterior is that of Bayesian deep ensembles in the infinite-width limit.

    {parameters}

    Examples
    --------
    >>> import gpytorch
    >>> from ntk_sklearn.kernels import NTKKernel
    >>> covar_module = gpytorch.kernels.ScaleKernel(NTKKernel())
    """

    _quantity = "ntk"


@documented(parameters=_PARAMETERS)
class NNGPKernel(_NetworkKernel):
    """Covariance of an infinitely wide network with random weights, for GPyTorch and BoTorch.

    The prior over functions of a Bayesian infinitely wide network (Lee et al. 2018).

    {parameters}

    Examples
    --------
    >>> import gpytorch
    >>> from ntk_sklearn.kernels import NNGPKernel
    >>> covar_module = gpytorch.kernels.ScaleKernel(NNGPKernel(ard_num_dims=4))
    """

    _quantity = "nngp"
