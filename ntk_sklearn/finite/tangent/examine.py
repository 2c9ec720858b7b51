"""What a pass over three rows tells about a module: its affine calls, and what can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ..uses import Use, gradients
from .calls import Call, Recorder, tensors
from .function import ROWS_MEET, ModuleFunction, agree, n_rows, take
from .graph import kept_bytes
from .rows import gradients as gradients_of
from .rows import row_jacobians
from .signals import Site, derivatives, parts, run, site

# Numbers of the derivatives up to which all parameters are tried row by row.
_TRIED = 10**6
_FEW, _MORE = 2, 3
_CHECKPOINTS = (
    "the module computes parts of itself again on the way back (torch.utils.checkpoint), with the "
    "parameters that it has then: switch its checkpointing off, memory_budget bounds the memory"
)


@dataclass(frozen=True)
class Structure:
    """How gradients of a module's rows can be found.

    Attributes
    ----------
    n_outputs : int
    sites : tuple of Site or None
        Of all calls in order.
    structured : tuple of str
        Parameters that affine calls alone read, in a way that was checked on three rows.
    others : dict
        By the remaining parameters, why.
    batched : bool
        Whether the outputs go backward together, by `torch.func.vmap`.
    vectorized : bool
        Whether `torch.func.vmap` follows whole rows.
    saved : int
        Bytes that the graph of one row keeps.
    """

    n_outputs: int
    sites: tuple[Site | None, ...]
    structured: tuple[str, ...]
    others: dict[str, str]
    batched: bool
    vectorized: bool
    saved: int
    kinds: tuple[Any, ...] = field(repr=False, default=())

    def check(self, recorder: Recorder) -> None:
        """Refuse a pass in which parameters are used in another way.

        Raises
        ------
        ValueError
            Naming the remedy.
        """
        strange = set(recorder.others) & set(self.structured)
        if strange or tuple(call.kind for call in recorder.calls) != self.kinds:
            raise ValueError(
                "the module uses its parameters in ways that depend on the rows: take "
                "method='jacobian'"
            )


def examine(function: ModuleFunction, inputs: Any) -> Structure:
    """Watch three rows pass, and compare gradients with those of each row alone.

    Raises
    ------
    ValueError
        If there are no rows; if outputs depend on other rows, or are no numbers; if the module
        uses `torch.utils.checkpoint`.
    """
    if not n_rows(inputs):
        raise ValueError(
            "inputs must have at least one row: a module is examined on the first ones"
        )
    three = take(inputs, torch.arange(_MORE, device=function.device) % n_rows(inputs))
    two = take(three, slice(_FEW))
    few = run(function, two, graph=False)[1]
    outputs, more, saved = _counted(function, three)
    _check_finite(outputs)
    sites, others = _sites(function, few, more)
    try:
        unlike = _unlike_alone(function, three, outputs, more.calls, sites, others)
    except RuntimeError as error:
        if "checkpoint" not in str(error):
            raise
        raise ValueError(_CHECKPOINTS) from error
    for name in unlike:
        others[name] = "its gradient is not that of the calls that were seen"
    return Structure(
        outputs.shape[1],
        sites,
        tuple(name for name in function.values if name not in others),
        others,
        _batches(outputs, more.calls),
        _vectorizes(function, list(others) or list(function.values), two),
        saved // _MORE,
        tuple(call.kind for call in more.calls),
    )


def _check_finite(outputs: Tensor) -> None:
    if not bool(torch.isfinite(outputs).all()):
        raise ValueError(
            "the module's outputs for the first rows are NaN or infinite: look for such numbers in "
            "the inputs and in the module's parameters"
        )


def _counted(function: ModuleFunction, inputs: Any) -> tuple[Tensor, Recorder, int]:
    """A pass and the bytes that its graph keeps."""
    (outputs, recorder), kept = kept_bytes(lambda: run(function, inputs), function.values.values())
    return outputs, recorder, kept


def _sites(
    function: ModuleFunction, few: Recorder, more: Recorder
) -> tuple[tuple[Site | None, ...], dict[str, str]]:
    """Sites of all calls, and the parameters that have something else, with the reason."""
    others = {name: f"read by {what}" for name, what in (few.others | more.others).items()}
    seen = {name for call in more.calls for name in (call.weight, call.bias)}
    others |= {
        name: "no call was seen" for name in function.values if name not in seen | set(others)
    }
    if [call.kind for call in few.calls] != [call.kind for call in more.calls]:
        return (None,) * len(more.calls), dict.fromkeys(
            function.values, "calls depend on the number of rows"
        )
    pairs = zip(few.calls, more.calls, strict=True)
    sites = tuple(site(a, b, _FEW, _MORE) for a, b in pairs)
    for call, found in zip(more.calls, sites, strict=True):
        if found is None:
            names = [name for name in (call.weight, call.bias) if name is not None]
            others |= dict.fromkeys(names, "rows are no axis of what it reads")
    for name in function.values:
        if len({s.groups for s in sites if s and s.weight == name}) > 1:
            others[name] = "convolutions in several groups share it"
    return sites, others


def _unlike_alone(
    function: ModuleFunction,
    rows: Any,
    outputs: Tensor,
    calls: Sequence[Call],
    sites: Sequence[Site | None],
    others: dict[str, str],
) -> list[str]:
    """Parameters whose gradients of random combinations are not those of the row alone."""
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(0)).to(outputs)
    combined = (outputs * weights).sum(1, keepdim=True)
    known = [(s, c) for s, c in zip(sites, calls, strict=True) if s is not None]
    found = derivatives(combined, [call.z for _, call in known], batched=False)
    names = [name for name in function.values if name not in others]
    made = parts([s for s, _ in known], names, [c for _, c in known], found)
    expected = _alone(function, names, rows, outputs, weights)
    return [
        name for name in names if not agree(_dense(made[name]), _by_tap(made[name], expected[name]))
    ]


def _alone(
    function: ModuleFunction, names: Sequence[str], rows: Any, outputs: Tensor, weights: Tensor
) -> dict[str, Tensor]:
    """Gradients (n, *shape) of combined outputs, every row in a pass of its own."""
    found = []
    for i in range(len(outputs)):
        with torch.inference_mode(False), torch.enable_grad():
            leaves = [function.values[name].clone().requires_grad_() for name in names]
            at = {**function.values, **dict(zip(names, leaves, strict=True))}
            alone = function(at, take(rows, slice(i, i + 1)))[0]
            if not agree(outputs[i], alone):
                raise ValueError(ROWS_MEET)
            found.append(gradients_of((alone * weights[i]).sum(), leaves))
    return {name: torch.stack(several) for name, *several in zip(names, *found, strict=True)}


def _dense(part: Use | Tensor) -> Tensor:
    """Gradients (n, numbers) of one output."""
    if isinstance(part, Tensor):
        return part[:, 0]
    return next(gradients(part, part.d.shape[2] * part.in_channels * part.n_taps))[:, 0]


def _by_tap(part: Use | Tensor, gradient: Tensor) -> Tensor:
    """Gradients (n, numbers) with the entries of the filter in front of the channels read."""
    if isinstance(part, Use) and part.n_taps > 1:
        return gradient.flatten(3).mT.flatten(1)
    return gradient.flatten(1)


def _batches(outputs: Tensor, calls: Sequence[Call]) -> bool:
    """Whether the backward pass of several outputs at once does the same, in less time."""
    if any(call.layout.filter for call in calls):
        return False  # torch goes through convolutions output by output, and copies what it finds
    ends = [call.z for call in calls]
    expected = derivatives(outputs[:, :2], ends, batched=False)
    try:
        found = derivatives(outputs[:, :2], ends, batched=True)
    except RuntimeError:  # what torch has no batching rule for
        return False
    return all(map(agree, found, expected))


class _NoOtherParameters(TorchDispatchMode):
    """Refuse what is computed with the module's own parameters instead of their copies."""

    def __init__(self, function: ModuleFunction) -> None:
        super().__init__()
        self._own = {id(p) for p in function.module.parameters()}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if any(id(t) in self._own for t in tensors((args, kwargs or {}))):
            raise ValueError(_CHECKPOINTS)
        return func(*args, **(kwargs or {}))


def _vectorizes(function: ModuleFunction, names: list[str], rows: Any) -> bool:
    """Whether rows and outputs at once give what one after another gives."""
    smallest = min(names, key=lambda name: function.values[name].numel())
    small = [name for name in names if function.values[name].numel() * len(names) < _TRIED]
    tried = small or [smallest]
    with _NoOtherParameters(function):
        expected = row_jacobians(function, tried, rows, vectorized=False)
    try:
        found = row_jacobians(function, tried, rows, vectorized=True)
    except (RuntimeError, ValueError, TypeError):  # values that vmap cannot follow
        return False
    return all(agree(found[name], expected[name]) for name in tried)
