"""Matrices tile by tile, from engines that know some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from . import forms
from .function import n_rows, take, to_numpy
from .plan import Pass

Group = Callable[[str], str]


def matrices(
    passes: Sequence[Pass], x: Any, z: Any, form: str, k: int, group: Group
) -> dict[str, Tensor]:
    """By group of parameters the kernel in a form, over all passes; a Gram where z is None."""
    found: dict[str, Tensor] = {}
    for step in passes:
        for name, part in _of_pass(step, x, z, form, k, group).items():
            found[name] = found[name].add_(part) if name in found else part
    return found


def diagonal(passes: Sequence[Pass], x: Any, form: str) -> Tensor:
    """The diagonal of a Gram, from the same numbers in the same order."""
    found = []
    for step in passes:
        records = (step.engine.record(take(x, rows)) for rows in _slices(n_rows(x), step.side))
        squares = [step.engine.squares(step.names, record) for record in records]
        found.append(forms.diagonal(torch.cat(squares), form))
    return reduce(torch.add, found)


def _of_pass(step: Pass, x: Any, z: Any, form: str, k: int, group: Group) -> dict[str, Tensor]:
    groups: dict[str, list[str]] = {}
    for name in step.names:
        groups.setdefault(group(name), []).append(name)
    n, m = n_rows(x), n_rows(x if z is None else z)
    if m and max(n, m) <= step.side:
        (only,) = _tiles(step, x, z, form, k, groups)
        return only[2]
    shape = {"full": (n, k, m, k), "diagonal": (n, m, k)}.get(form, (n, m))
    like = next(iter(step.engine.function.values.values()))
    found = {name: like.new_zeros(shape) for name in groups}
    for rows, cols, parts in _tiles(step, x, z, form, k, groups):
        for name, part in parts.items():
            _put(found[name], form, rows, cols, part)
            if z is None and rows != cols:
                _put(found[name], form, cols, rows, forms.transposed(part, form))
    return found


def _tiles(
    step: Pass, x: Any, z: Any, form: str, k: int, groups: Mapping[str, Sequence[str]]
) -> Iterator[tuple[slice, slice, dict[str, Tensor]]]:
    """Rows, columns and matrices; of a Gram the upper tiles."""
    for rows in _slices(n_rows(x), step.side):
        left = step.engine.record(take(x, rows))
        for cols in _slices(n_rows(x if z is None else z), step.side):
            if z is None and cols.start < rows.start:
                continue
            if z is None and cols == rows:
                yield rows, cols, _on_diagonal(step, left, form, k, groups, rows)
                continue
            right = step.engine.record(take(x if z is None else z, cols))
            found = {}
            for name, names in groups.items():
                total = _zeros(step, form, rows, cols, k)
                step.engine.products(total, names, left, right)
                found[name] = forms.shaped(total, form, k)
            del right  # before the next one is made
            yield rows, cols, found
        del left


def _on_diagonal(
    step: Pass, a: Any, form: str, k: int, groups: Mapping[str, Sequence[str]], rows: slice
) -> dict[str, Tensor]:
    found = {}
    for name, names in groups.items():
        total = _zeros(step, form, rows, rows, k)
        own = step.engine.gram(total, names, a)
        found[name] = forms.shaped(forms.symmetric(total, form, own), form, k)
    return found


def _zeros(step: Pass, form: str, rows: slice, cols: slice, k: int) -> Tensor:
    like = next(iter(step.engine.function.values.values()))
    sizes = rows.stop - rows.start, cols.stop - cols.start
    return like.new_zeros(forms.stack_shape(form, *sizes, k))


def _put(target: Tensor, form: str, rows: slice, cols: slice, part: Tensor) -> None:
    target[(rows, slice(None), cols) if form == "full" else (rows, cols)] = part


def _slices(n: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def as_given(found: Tensor, *inputs: Any) -> Any:
    """An array, or the tensor where the inputs have tensors."""
    return found if any(map(_has_tensor, inputs)) else to_numpy(found)


def _has_tensor(inputs: Any) -> bool:
    if isinstance(inputs, Mapping):
        return any(map(_has_tensor, inputs.values()))
    if isinstance(inputs, tuple):
        return any(map(_has_tensor, inputs))
    return isinstance(inputs, Tensor)
