"""A torch module as a function of its trained parameters; the module itself is not touched."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from threading import RLock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

# What a module reads: one array or tensor, a tuple of them, or a mapping of keyword arguments; the
# rows are along the first axis of each.
Inputs = Any

# Inputs as tensors, from `ModuleFunction.prepare`.
Prepared = tuple[Tensor, ...] | dict[str, Tensor]

Values = Mapping[str, Tensor]

# `functional_call` exchanges the parameters of the module, which other threads may be calling.
_CALLING = RLock()
os.register_at_fork(after_in_child=_CALLING._at_fork_reinit)  # type: ignore[attr-defined]


@contextmanager
def following_gradients() -> Iterator[None]:
    """Gradients in the parameters' precision, within `no_grad`, `inference_mode`, `autocast`."""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    with ExitStack() as stack:
        for device in devices:
            stack.enter_context(torch.autocast(device, enabled=False))
        with torch.inference_mode(False):
            yield


ROWS_MEET = (
    "row 0 of the module's outputs changes with the rows beside it, or by chance: outputs must be "
    "functions of their own row"
)


class ModuleFunction:
    """Outputs (n, k) of a module as a function of its trained parameters.

    Buffers and frozen parameters are copied: whatever a call does to them, and whatever later
    happens to the module, neither notices the other.

    Parameters
    ----------
    module : torch.nn.Module
        Maps rows to outputs (n,) or (n, ...), row by row. Random numbers and batch statistics
        would make the rows depend on each other and are refused.
    parameters : sequence of str or None
        Names (as of ``module.named_parameters()``), or beginnings of dotted names, of the
        parameters that are trained; None for all that require a gradient.
    dtype : torch.dtype or None
        Precision of the copied parameters and of floating-point inputs; None is the module's own.

    Attributes
    ----------
    values : dict of str to Tensor
        The trained parameters as they are now; parameters that a module uses in several places
        stand here once.
    n_parameters : int
    dtype, device
        Of the parameters.
    """

    @following_gradients()
    def __init__(
        self,
        module: nn.Module,
        parameters: Sequence[str] | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_module(module)
        self.module = module
        found = dict(module.named_parameters())
        _check_values(found)
        trained = _selected(found, parameters)
        self.dtype = _floating_dtype(found) if dtype is None else _checked_dtype(dtype)
        self.device = next(iter(found.values())).device
        self.values = {name: self._copied(found[name]) for name in trained}
        frozen = {name: p for name, p in found.items() if name not in self.values}
        self._rest = {n: self._copied(t) for n, t in [*frozen.items(), *module.named_buffers()]}
        self.n_parameters = sum(value.numel() for value in self.values.values())

    def _copied(self, tensor: Tensor) -> Tensor:
        floating = tensor.is_floating_point()
        return tensor.detach().to(self.dtype if floating else tensor.dtype, copy=True)

    def __call__(self, values: Values, inputs: Prepared) -> Tensor:
        """Outputs (n, k) at other parameters, for inputs from `prepare`."""
        return self.shaped(values, inputs).reshape(n_rows(inputs), -1)

    def shaped(self, values: Values, inputs: Prepared) -> Tensor:
        """Outputs (n, ...) as the module shapes them."""
        rest = {name: tensor.clone() for name, tensor in self._rest.items()}
        positional, named = (inputs, {}) if isinstance(inputs, tuple) else ((), inputs)
        with _CALLING, _row_by_row():
            outputs = functional_call(self.module, {**rest, **values}, positional, named)
        return _checked(outputs, n_rows(inputs))

    @following_gradients()
    def prepare(self, inputs: Inputs) -> Prepared:
        """Inputs as tensors where the parameters are; floating-point ones in their precision.

        Raises
        ------
        ValueError
            If the inputs have no, or different numbers of, rows.
        """
        if isinstance(inputs, Mapping):
            prepared: Any = {name: self._tensor(x) for name, x in inputs.items()}
        else:
            several = inputs if isinstance(inputs, tuple) else (inputs,)
            prepared = tuple(map(self._tensor, several))
        lengths = {len(x) if x.ndim else None for x in tensors_of(prepared)}
        if len(lengths) != 1 or None in lengths:
            raise ValueError(
                "inputs must be an array, a tuple or a mapping of arrays with the same number of "
                f"rows along their first axis, got {sorted(map(str, lengths))}"
            )
        return prepared

    def _tensor(self, x: Any) -> Tensor:
        found = x.detach() if isinstance(x, Tensor) else torch.from_numpy(np.array(x))
        if found.is_inference():  # from `torch.inference_mode()`: no graph may keep them
            found = found.clone()
        found = found.to(self.device)
        return found.to(self.dtype) if found.is_floating_point() else found

    def fingerprint(self) -> str:
        """A hash of the parameters' and buffers' names and values."""
        found = hashlib.sha256()
        for name, tensor in {**self.values, **self._rest}.items():
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return found.hexdigest()

    def at(self, values: Values) -> ModuleFunction:
        """The same function where its parameters have other values, which are not copied.

        Raises
        ------
        ValueError
            For values of other names or shapes.
        """
        shapes = {name: value.shape for name, value in self.values.items()}
        if {name: value.shape for name, value in values.items()} != shapes:
            raise ValueError(f"values must be of the parameters {list(shapes)}, in their shapes")
        moved = copy(self)
        moved.values = {name: values[name].detach() for name in self.values}
        return moved

    def flatten(self, values: Values) -> Tensor:
        """Parameters side by side, (n_parameters,) in the order of `values`."""
        return torch.cat([values[name].reshape(-1) for name in self.values])

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        """The parameters that `flatten` puts side by side."""
        parts = vector.split([value.numel() for value in self.values.values()])
        shaped = zip(self.values.items(), parts, strict=True)
        return {name: part.view_as(value) for (name, value), part in shaped}


def as_function(
    module: nn.Module | ModuleFunction,
    parameters: Sequence[str] | None = None,
    dtype: torch.dtype | None = None,
) -> ModuleFunction:
    """A module as a function of its parameters; a `ModuleFunction` is one.

    Raises
    ------
    TypeError, ValueError
        As in `ModuleFunction`.
    ValueError
        For `parameters` or `dtype` beside a `ModuleFunction`, which has its own.
    """
    if not isinstance(module, ModuleFunction):
        return ModuleFunction(module, parameters, dtype)
    if parameters is not None or dtype is not None:
        raise ValueError("a ModuleFunction has its own parameters and dtype: pass them to it")
    return module


def agree(found: Tensor, expected: Tensor) -> bool:
    """Up to half of the digits, relative to the largest number."""
    scale = max(float(expected.detach().abs().max()), 1e-30) if expected.numel() else 1.0
    tolerance = torch.finfo(expected.dtype).eps ** 0.5
    return bool(torch.allclose(found / scale, expected / scale, tolerance, tolerance))


def n_rows(inputs: Prepared) -> int:
    """How many rows prepared inputs have."""
    return len(tensors_of(inputs)[0])


def to_numpy(found: Tensor) -> np.ndarray:
    """An array.

    Raises
    ------
    TypeError
        For precisions that numpy does not have.
    """
    if found.dtype == torch.bfloat16:
        raise TypeError(
            "numpy has no bfloat16: pass dtype=torch.float32, or tensors, which give tensors"
        )
    array: np.ndarray = found.cpu().numpy()
    return array


def take(inputs: Any, rows: Any) -> Any:
    """Some rows of prepared inputs."""
    if isinstance(inputs, dict):
        return {name: x[rows] for name, x in inputs.items()}
    return tuple(x[rows] for x in inputs)


def check_module(module: Any) -> None:
    """Refuse what is no function of one row.

    Raises
    ------
    TypeError
        For anything but a module of Python code.
    ValueError
        For random or batch-dependent submodules in training mode, and embeddings whose gradients
        depend on the batch, by path.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {module!r}")
    if isinstance(module, (torch.jit.ScriptModule, nn.DataParallel)):
        raise TypeError(
            f"module is a {type(module).__name__}, whose parameters torch cannot exchange: pass "
            "the torch.nn.Module that it was made from"
        )
    for path, part in module.named_modules():
        if isinstance(part, (nn.Embedding, nn.EmbeddingBag)) and part.scale_grad_by_freq:
            raise ValueError(
                f"{path or type(part).__name__} divides gradients by how often a batch has a "
                "token: they are no derivatives; set its scale_grad_by_freq to False"
            )
        why = _depends_on_more(part)
        if why:
            raise ValueError(
                f"{path or type(part).__name__} {why}: outputs are no function of one row; call "
                "module.eval(), put that submodule in evaluation mode, or exchange it"
            )


def _depends_on_more(part: nn.Module) -> str | None:
    if isinstance(part, nn.modules.batchnorm._BatchNorm) and (
        part.training or not part.track_running_stats
    ):
        return "normalizes by statistics of the batch"
    if isinstance(part, _RANDOM_POOLS) and part._random_samples is None:
        return "pools over random regions"
    if part.training and isinstance(part, nn.RReLU) and part.lower != part.upper:
        return "draws slopes at random"
    if part.training and isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0:
        return "drops units at random"
    if part.training and isinstance(part, _WITH_DROPOUT) and part.dropout > 0:
        return "drops units at random"
    return None


_WITH_DROPOUT = (nn.MultiheadAttention, nn.RNNBase)
_RANDOM_POOLS = (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)


def _selected(found: Mapping[str, Tensor], names: Sequence[str] | None) -> list[str]:
    """Names of the trained parameters, in the module's order."""
    if names is None:
        trained = [name for name, p in found.items() if p.requires_grad]
    else:
        names = [names] if isinstance(names, str) else list(names)
        unknown = [name for name in names if not any(is_within(p, name) for p in found)]
        if unknown:
            raise ValueError(
                f"parameters {unknown} are none of the module's: they are {list(found)}"
            )
        trained = [p for p in found if any(is_within(p, name) for name in names)]
    if not trained:
        raise ValueError(
            "the module has no parameters to train: none requires a gradient; name them in "
            "`parameters`"
        )
    return trained


def is_within(parameter: str, name: str) -> bool:
    """Whether a parameter has this name, or one that begins with it and a dot."""
    return parameter == name or parameter.startswith(f"{name}.")


def _floating_dtype(found: Mapping[str, Tensor]) -> torch.dtype:
    kinds = {p.dtype for p in found.values() if p.is_floating_point()}
    if len(kinds) > 1:
        raise ValueError(
            f"the module's parameters have several precisions {sorted(map(str, kinds))}: convert "
            "the module, as by module.double(), or pass the dtype"
        )
    return kinds.pop() if kinds else torch.get_default_dtype()


def _checked_dtype(dtype: Any) -> torch.dtype:
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(
            f"dtype must be None or a floating-point torch.dtype, as torch.float64, got {dtype!r}"
        )
    return dtype


def _check_values(found: Mapping[str, Tensor]) -> None:
    for name, p in found.items():
        if nn.parameter.is_lazy(p):
            raise ValueError(f"parameter {name} has no shape yet: call the module on a few rows")
        if p.is_meta:
            raise ValueError(f"parameter {name} is on the meta device: load its values first")
        if p.is_complex():
            raise ValueError(
                f"parameter {name} is complex: split it into real parts, as gradients are products "
                "of real numbers here"
            )


def tensors_of(inputs: Prepared) -> list[Tensor]:
    """The tensors of prepared inputs."""
    found = list(inputs.values() if isinstance(inputs, dict) else inputs)
    if not found:
        raise ValueError("a module needs at least one input")
    return found


def _checked(outputs: Any, n: int) -> Tensor:
    """Outputs (n, ...), if they are a tensor with the rows in front."""
    if not isinstance(outputs, Tensor):
        raise TypeError(
            f"the module returns {type(outputs).__name__}, not a tensor: wrap it in a module whose "
            "forward returns the outputs that count"
        )
    if not outputs.is_floating_point():
        raise TypeError(
            f"the module returns {outputs.dtype}: outputs must be real floating-point numbers"
        )
    if outputs.ndim == 0 or len(outputs) != n:
        raise ValueError(
            f"the module returns outputs of shape {tuple(outputs.shape)} for {n} rows: the first "
            "axis must be the rows'"
        )
    return outputs


@contextmanager
def _row_by_row() -> Iterator[None]:
    """Attention as plain products, which have derivatives of all orders and in both modes."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
