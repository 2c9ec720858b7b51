"""The empirical tangent kernel of any torch module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn

from ..._validation import working_bytes
from . import forms
from .examine import Structure, examine
from .function import Inputs, ModuleFunction, as_function, following_gradients, n_rows
from .operator import TangentOperator
from .plan import PASS_BYTES, Plan, Task, check_form, make_plan, told
from .sizes import Sizes
from .tiles import as_given, diagonal, matrices


class EmpiricalNTK:
    r"""Products of gradients in the trained parameters of a given module.

    .. math:: \hat\Theta_{ij}(x, z) = \sum_\theta \partial_\theta f_i(x)\, \partial_\theta f_j(z)

    At initialization this is the kernel of the linearized network; after training it is the
    after-kernel. Parameters are those of the module as it was handed over: later training does
    not change the kernel. The module is not touched.

    Parameters
    ----------
    module : torch.nn.Module or ModuleFunction
        Maps rows to outputs, row by row: see `ModuleFunction`. k is the number of outputs of a
        row, of which several axes count as one.
    parameters : sequence of str or None
        Names of parameters, or beginnings of dotted names; None for all that require a gradient.
    outputs : {"mean", "trace", "diagonal", "full"}
        "full": all products, (n, k, m, k); ``reshape(n * k, m * k)`` is the matrix by sample and
        then by output. "diagonal": i = j only, (n, m, k). "trace": their sum, (n, m); "mean": the
        trace divided by k, which estimates the kernel of infinite width where outputs are alike.
    method : {"auto", "jacobian", "vector_products", "structured"}
        "jacobian" forms the gradients of a tile's rows and multiplies them. "vector_products"
        takes derivatives of the rows along the gradients of the columns. "structured" (Novak et
        al. 2022) uses that gradients by weights of linear layers and convolutions are outer
        products of what they read and of derivatives by what they return, also of weights that
        are used several times; for other parameters it forms gradients. "auto" counts the
        multiplications of all three in these layers and takes the fewest that fit.
    dtype : torch.dtype or None
        None is the parameters' own.
    memory_budget : int, str or None
        Bytes of the result and the work on it, as a number or "2GB"; None leaves scikit-learn's
        `working_memory` to the work.

    References
    ----------
    Jacot, Gabriel and Hongler, "Neural tangent kernel", 2018. Novak, Sohl-Dickstein and
    Schoenholz, "Fast finite width neural tangent kernel", 2022, section 3.
    """

    def __init__(
        self,
        module: nn.Module | ModuleFunction,
        *,
        parameters: Sequence[str] | None = None,
        outputs: str = "mean",
        method: str = "auto",
        dtype: torch.dtype | None = None,
        memory_budget: int | str | None = None,
    ) -> None:
        self.function = as_function(module, parameters, dtype)
        self.outputs = check_form(outputs)
        self.method = method
        self.memory_budget = memory_budget
        self._structures: dict[Any, Structure] = {}

    def __call__(self, X: Inputs, Z: Inputs | None = None) -> Any:
        """The kernel in the form of `outputs`; a Gram, exactly symmetric, where Z is None.

        Parameters
        ----------
        X, Z
            What the module reads: an array or tensor, a tuple of them, or a mapping of keyword
            arguments, with rows along the first axes.

        Returns
        -------
        ndarray or Tensor
            A tensor if X or Z has one.

        Raises
        ------
        ValueError
            For an unknown method or budget; for inputs without rows; if rows depend on others.
        MemoryError
            If tiles of one row do not fit into the budget.
        """
        return as_given(self._matrix(X, Z, self.outputs), X, Z)

    def blocks(self, X: Inputs, Z: Inputs | None = None) -> Tensor:
        """All products of outputs, (n, k, m, k)."""
        return self._matrix(X, Z, "full")

    @following_gradients()
    def diag(self, X: Inputs) -> Any:
        """The diagonal of the Gram, without the Gram: (n,), or (n, k) of "diagonal" and "full"."""
        x = self.function.prepare(X)
        plan = self._plan(x, None, self.outputs, matrix=False)
        return as_given(diagonal(plan.passes, x, self.outputs), X)

    def by_parameter(self, X: Inputs, Z: Inputs | None = None) -> dict[str, Any]:
        """The parts of the kernel, by name of the parameter; their sum is the kernel."""
        return self._parts(X, Z, lambda name: name)

    def by_layer(self, X: Inputs, Z: Inputs | None = None) -> dict[str, Any]:
        """The parts of the kernel, by path of the submodule that has the parameters.

        Parameters of the module itself have the path "", and shared ones the first.
        """
        return self._parts(X, Z, lambda name: name.rpartition(".")[0])

    @following_gradients()
    def operator(self, X: Inputs, Z: Inputs | None = None) -> LinearOperator:
        """Products of the full kernel (n * k, m * k) with vectors, without the kernel.

        A product costs a backward and a forward pass in parameter space for pieces of the rows.
        """
        x = self.function.prepare(X)
        z = x if Z is None else self.function.prepare(Z)
        self._check_alike(x, z)
        structure = self._structure(x)
        row = 4 * structure.saved + 1
        step = max(1, min(PASS_BYTES, self._work(0, False) // 4) // row)
        return TangentOperator(self.function, x, z, structure.n_outputs, step)

    @following_gradients()
    def explain(self, X: Inputs, Z: Inputs | None = None) -> str:
        """Method and reason, tiles, and memory of a call with these inputs, in words."""
        x = self.function.prepare(X)
        z = None if Z is None else self.function.prepare(Z)
        if z is not None:
            self._check_alike(x, z)
        plan = self._plan(x, z, self.outputs)
        return told(plan, self._structure(x))

    def _parts(self, X: Inputs, Z: Inputs | None, group: Callable[[str], str]) -> dict[str, Any]:
        found = self._matrices(X, Z, self.outputs, group)
        return {name: as_given(part, X, Z) for name, part in found.items()}

    def _matrix(self, X: Inputs, Z: Inputs | None, form: str) -> Tensor:
        (found,) = self._matrices(X, Z, form, lambda name: "").values()
        return found

    @following_gradients()
    def _matrices(
        self, X: Inputs, Z: Inputs | None, form: str, group: Callable[[str], str]
    ) -> dict[str, Tensor]:
        x = self.function.prepare(X)
        z = None if Z is None else self.function.prepare(Z)
        if z is not None:
            self._check_alike(x, z)
        plan, k = self._plan(x, z, form), self._structure(x).n_outputs
        return matrices(plan.passes, x, z, form, k, group)

    def _plan(self, x: Any, z: Any, form: str, matrix: bool = True) -> Plan:
        """The plan of a matrix; of a diagonal where `matrix` is False, the same if there is one."""
        structure, n = self._structure(x), n_rows(x)
        m = n if z is None else n_rows(z)
        sizes = Sizes(self.function, structure, forms.kind(form))
        result = prod(forms.stack_shape(form, n, m, structure.n_outputs))
        bytes_ = self._work(result * self.function.dtype.itemsize, matrix)
        return make_plan(Task(sizes, n, m, z is None, bytes_), self.method, x)

    def _check_alike(self, x: Any, z: Any) -> None:
        """Examine columns, too, where they show more than rows."""
        if n_rows(z) and (_shapes(z) != _shapes(x) or n_rows(x) == 1):
            k, other = (self._structure(rows).n_outputs for rows in (x, z))
            if k != other:
                raise ValueError(
                    f"the module has {k} outputs for rows of X and {other} for rows of Z: give "
                    "them the same shape"
                )

    def _structure(self, x: Any) -> Structure:
        """What rows of such shapes show; examined once, and again if it was by a single row."""
        key = _shapes(x), n_rows(x) > 1
        if key not in self._structures:
            self._structures[key] = examine(self.function, x)
        return self._structures[key]

    def _work(self, result: int, refuse: bool) -> int:
        """Bytes beside the result."""
        budget = working_bytes(self.memory_budget)
        if self.memory_budget is None:
            return budget
        if budget > result:
            return budget - result
        if refuse:
            raise MemoryError(
                f"the kernel takes {result / 2**20:.4g} MB, memory_budget allows "
                f"{budget / 2**20:.4g} MB: raise it, take fewer rows, or outputs='mean'"
            )
        return budget


def _shapes(x: Any) -> tuple[Any, ...]:
    items = x.items() if isinstance(x, Mapping) else enumerate(x)
    return tuple((name, tuple(t.shape[1:]), t.dtype) for name, t in items)
